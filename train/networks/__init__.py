"""Discriminators, and the pretrained network that projected discriminators and evaluation use."""
