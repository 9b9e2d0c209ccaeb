"""The version of infgen."""

__version__ = "0.1.0"
