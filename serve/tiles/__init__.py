"""Render, encode, queue and cache the tiles of worlds."""
