"""The layers leave for ONNX in PyTorch's plain operations, for graphs of any size: onnxruntime against the layer."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatlib.nn import GATConv, GATv2Conv, TransformerConv

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

# (source nodes, target nodes, edges): also those with isolated nodes, with no edge, with nothing.
SIZES = [(6, 7, 12), (1, 1, 1), (5, 3, 0), (20, 9, 90), (9, 30, 3), (300, 200, 2000), (0, 0, 0)]
CHANNELS, FEATURES = 8, 3


class Layer(nn.Module):
    """A layer whose arguments are tensors, and whose results are: a bipartite graph's nodes come as two."""

    def __init__(self, conv: nn.Module, is_bipartite: bool, returns_weights: bool) -> None:
        super().__init__()
        self.conv, self.is_bipartite, self.returns_weights = conv, is_bipartite, returns_weights

    def forward(self, source: Tensor, target: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Any:
        x = (source, target) if self.is_bipartite else source
        if not self.returns_weights:
            return (self.conv(x, edge_index, edge_attr),)
        out, (edges, weights) = self.conv(x, edge_index, edge_attr, return_attention_weights=True)
        return out, edges, weights


def graph(sizes: tuple[int, int, int], edge_features: bool) -> tuple[Any, ...]:
    num_sources, num_targets, num_edges = sizes
    generator = torch.Generator().manual_seed(num_edges)
    ends = [torch.randint(max(count, 1), (num_edges,), generator=generator) for count in (num_sources, num_targets)]
    edge_attr = torch.randn(num_edges, FEATURES, generator=generator) if edge_features else None
    source, target = (torch.randn(count, CHANNELS, generator=generator) for count in (num_sources, num_targets))
    return source, target, torch.stack(ends), edge_attr


def by_the_fused_kernels(conv: Any) -> Any:
    conv.implementation = "cpu"  # asked for by name, which an exporter could not look into
    return conv


CASES: dict[str, tuple[Any, dict[str, bool]]] = {
    "GATConv": (
        lambda: by_the_fused_kernels(GATConv(CHANNELS, 4, heads=2, edge_dim=FEATURES, fill_value="max")),
        {"edge_features": True, "weights": True},
    ),
    "GATConv, own self-loops": (
        lambda: GATConv(CHANNELS, 4, heads=2, add_self_loops=False, concat=False, bias=False, residual=True),
        {},
    ),
    "GATv2Conv, two sets of nodes": (
        lambda: GATv2Conv((CHANNELS, CHANNELS), 4, heads=2, edge_dim=FEATURES),
        {"is_bipartite": True, "edge_features": True, "weights": True},
    ),
    "TransformerConv": (
        lambda: TransformerConv(CHANNELS, 4, heads=2, edge_dim=FEATURES, beta=True),
        {"edge_features": True, "weights": True},
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "given"), CASES.values(), ids=CASES)
def test_any_number_of_nodes_and_edges(make: Any, given: dict[str, bool], caplog: Any) -> None:
    caplog.set_level(logging.ERROR)
    torch.manual_seed(0)
    is_bipartite, edge_features = given.get("is_bipartite", False), given.get("edge_features", False)
    layer = Layer(make().eval(), is_bipartite, given.get("weights", False))
    size = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        layer,
        graph((6, 7, 12), edge_features),
        dynamo=True,
        dynamic_shapes=({0: size}, {0: size}, {1: size}, {0: size} if edge_features else None),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for num_sources, num_targets, num_edges in SIZES:
        inputs = graph((num_sources, num_targets if is_bipartite else num_sources, num_edges), edge_features)
        arrays = (tensor.numpy() for tensor in inputs if tensor is not None)
        named = {given.name: array for given, array in zip(session.get_inputs(), arrays, strict=True)}
        for found, expected in zip(session.run(None, named), layer(*inputs), strict=True):
            torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)
