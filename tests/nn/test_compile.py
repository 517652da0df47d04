"""`torch.compile` takes attention and layers in one graph, without leaving edge attention."""

from typing import Any

import pytest
import torch
from attention_problems import every_implementation, every_normaliser, every_score, problem

from gatlib.nn import GATConv, GATv2Conv, TransformerConv
from gatlib.nn.functional import edge_attention

EDGES = torch.tensor([[0, 0, 1, 1, 4, 3, 2, 3, 3], [0, 1, 2, 2, 2, 0, 3, 1, 3]])
LAYERS = {
    "GATConv": lambda **options: GATConv(3, 4, heads=2, dropout=0.5, **options),
    "GATConv, own self-loops": lambda **options: GATConv(3, 4, heads=2, dropout=0.5, add_self_loops=False, **options),
    "GATv2Conv": lambda **options: GATv2Conv(3, 4, heads=2, dropout=0.5, **options),
    "TransformerConv": lambda **options: TransformerConv(3, 4, heads=2, dropout=0.5, **options),
}


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> None:
    torch.compiler.reset()


@every_normaliser
@every_score
def test_attention(score: str, normaliser: Any, implementation: Any) -> None:
    given = problem(score, edge_features=True, bias=True, add_self_loops=True)
    given |= {"normaliser": normaliser, "implementation": implementation, "return_attention_weights": True}
    compiled = torch.compile(edge_attention, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**given), edge_attention(**given))


@pytest.mark.parametrize("edge_dim", [None, 2], ids=["plain", "edge features"])
@every_implementation
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, implementation: Any, edge_dim: int | None) -> None:
    torch.manual_seed(1)
    conv = LAYERS[name](edge_dim=edge_dim)
    conv.implementation = implementation
    x, edge_attr = torch.randn(5, 3), None if edge_dim is None else torch.randn(9, edge_dim)
    compiled = torch.compile(conv, fullgraph=True, backend="eager")
    results = []
    for layer in (compiled, conv):
        torch.manual_seed(2)
        leaf = x.clone().requires_grad_()
        out = layer(leaf, EDGES, edge_attr)
        results.append((out, *torch.autograd.grad(out.sin().sum(), [leaf, *conv.parameters()])))
    # PyG's own way would draw another mask for dropout: this is edge attention.
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("fill_value", [0.5, "mean", "add", "min", "max", "mul", torch.tensor([0.1, -2.0])], ids=str)
def test_filled_edge_features(fill_value: Any) -> None:
    conv = GATv2Conv(3, 4, edge_dim=2, fill_value=fill_value)
    conv.implementation = "reference"
    x, edge_attr = torch.randn(5, 3), torch.randn(9, 2)
    compiled = torch.compile(conv, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, EDGES, edge_attr), conv(x, EDGES, edge_attr))
