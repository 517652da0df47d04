"""Edge features of the dot score: the Triton kernels and the products around them, against the kernels of the CPU."""

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")

from test_gpu import DEVICE, EDGE_INDEX, NUM_SOURCES, NUM_TARGETS, gpu

from gatlib.kernels import cpu
from gatlib.kernels.interface import Attention


@pytest.mark.parametrize("needs_edge_attr", [False, True])
@pytest.mark.parametrize("features", [0, 3])
def test_same_as_on_the_cpu(features: int, needs_edge_attr: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    num_edges, heads, channels = EDGE_INDEX.size(1), 3, 5
    attention = Attention(
        score="dot",
        normaliser="softmax",
        query=draw(NUM_TARGETS, heads, channels),
        key=draw(NUM_SOURCES, heads, channels),
        value=draw(NUM_SOURCES, heads, channels),
        att=None,
        edge_attr=draw(num_edges, features) if features else None,
        edge_weight=draw(heads * channels, features) if features else None,
        edge_query=None,
        bias=draw(num_edges, heads),
        negative_slope=0.2,
        dropout=0.3,
        seed=torch.tensor(12345),
    )
    grad_out, grad_weights = draw(NUM_TARGETS, heads, channels), draw(num_edges, heads)
    results = []
    for kernels, device in ((cpu, torch.device("cpu")), (gpu, DEVICE)):
        given = Attention(*(field.to(device) if isinstance(field, torch.Tensor) else field for field in attention))
        graph = kernels.sort_edges(EDGE_INDEX.to(device), NUM_SOURCES, NUM_TARGETS, False)
        forward = kernels.forward(given, graph, True)
        gradients = kernels.backward(
            given,
            graph,
            forward.edge_out,
            grad_out.to(device),
            grad_weights.to(device),
            needs_edge_attr,
        )
        results.append(dict(gradients._asdict(), out=forward.out, weights=forward.weights))
    expected, found = results
    for name, tensor in expected.items():
        if tensor is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name].cpu(), tensor, rtol=1e-10, atol=1e-12, msg=name)
