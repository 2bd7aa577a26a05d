"""Classic convolutional networks in JAX, each as its paper has it."""

__version__ = "0.1.0"
