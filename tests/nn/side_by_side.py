"""PyG's layers and ours, side by side: made alike, called alike, held against each other."""

from collections.abc import Callable
from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor

import gatlib.nn

IMPLEMENTATIONS = ("reference", "cpu")
LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")
GAT, GATV2, TRANSFORMER = LAYERS
GATS = (GAT, GATV2)
FEATURES, EDGE_FEATURES, HEADS, CHANNELS = 5, 3, 2, 4
NUM_NODES = 7
# With self-loops (0, 4), a double edge (1 to 2), a triple one (4 to 4), and a node without any edge (6).
EDGES = torch.tensor(
    [
        [0, 0, 1, 1, 1, 2, 3, 4, 4, 4, 5, 5, 3, 2],
        [0, 1, 2, 2, 0, 3, 1, 4, 4, 4, 2, 3, 4, 5],
    ]
)
NUM_EDGES = EDGES.size(1)


def pair(name: str, *args: Any, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[Any, Any]:
    """PyG's layer and ours, made from the same seed and found to have the same parameters."""
    layers = []
    for library in (pyg, gatlib.nn):
        torch.manual_seed(12)
        layers.append(getattr(library, name)(*args, **options).to(dtype))
    theirs, ours = layers
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)
    if theirs.state_dict().get("bias") is not None:
        theirs.bias.data.normal_()  # it starts at zero, where a forgotten one would not show
        ours.bias.data.copy_(theirs.bias)
    return theirs, ours


def run(layer: Any, call: Callable[..., Any], leaves: list[Tensor], seed: int) -> list[Tensor | None]:
    """Outputs of `call(layer, *leaves)`, then the gradients with respect to every leaf and every parameter."""
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    torch.manual_seed(seed)
    out = call(layer, *leaves)
    outputs = [out] if isinstance(out, Tensor) else [out[0], out[1][1]]
    graph = [] if isinstance(out, Tensor) else [out[1][0]]
    generator = torch.Generator().manual_seed(seed)
    cotangents = [torch.randn(o.shape, generator=generator, dtype=torch.float64).to(o.dtype) for o in outputs]
    needing = [*leaves, *layer.parameters()]
    gradients = torch.autograd.grad(outputs, needing, cotangents, allow_unused=True)
    return [*outputs, *graph, *gradients]


def assert_same(theirs: Any, ours: Any, call: Callable[..., Any], leaves: list[Tensor], seed: int = 3) -> None:
    """Both layers give the same outputs, attention weights, and gradients."""
    expected, found = run(theirs, call, leaves, seed), run(ours, call, leaves, seed)
    tolerance = 1e-12 if leaves[0].dtype == torch.float64 else 1e-5
    assert len(found) == len(expected)
    for index, (a, b) in enumerate(zip(found, expected, strict=True)):
        if b is None or a is None:
            # A gradient that PyG does not have is one that is zero.
            other = a if b is None else b
            assert other is None or not other.any(), index
        else:
            assert type(a) is type(b)
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
