"""A laboratory for deep learning on pictures."""

__version__ = "0.1.0"
