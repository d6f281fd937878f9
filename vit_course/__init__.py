"""The helper package of the course *Vision Transformers and VGG, from scratch*."""

__version__ = "0.1.0"
