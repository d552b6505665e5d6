"""A laboratory for deep learning on images."""

__version__ = "0.1.0"
