"""Encode rows of pixels as the bytes of a file: one encoder for each format."""
