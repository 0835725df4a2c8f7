"""edgepose: a sensor of human pose for small boards."""

__version__ = "0.1.0"
