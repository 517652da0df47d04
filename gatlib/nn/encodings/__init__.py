"""Where a node stands: in its graph, or in a sequence."""

from gatlib.nn.encodings.degree import DegreeEncoding
from gatlib.nn.encodings.laplacian import (
    SignInvariantEncoding,
    flip_signs,
    heat_kernel_encoding,
    laplacian_encoding,
)
from gatlib.nn.encodings.position import LearnedEncoding, sinusoidal_encoding
from gatlib.nn.encodings.random_walk import random_walk_encoding
from gatlib.nn.encodings.shortest_path import ShortestPathEncoding
from gatlib.nn.encodings.transforms import (
    AddHeatKernelEncoding,
    AddLaplacianEncoding,
    AddRandomWalkEncoding,
)

__all__ = [
    "AddHeatKernelEncoding",
    "AddLaplacianEncoding",
    "AddRandomWalkEncoding",
    "DegreeEncoding",
    "LearnedEncoding",
    "ShortestPathEncoding",
    "SignInvariantEncoding",
    "flip_signs",
    "heat_kernel_encoding",
    "laplacian_encoding",
    "random_walk_encoding",
    "sinusoidal_encoding",
]
