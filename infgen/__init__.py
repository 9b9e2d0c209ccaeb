"""infgen: images without edges."""

__version__ = "0.1.0"
