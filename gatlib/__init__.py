"""gatlib: graph attention for molecules and networks, on PyTorch Geometric."""

__version__ = "0.1.0"
