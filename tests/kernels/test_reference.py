"""The reference kernel: many chunks of edges give what one gives, and hold no [edges, heads, channels]."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gatlib.kernels import reference

HEADS, CHANNELS, EDGE_FEATURES = 2, 3, 4
SCORES = ("additive", "additive-dynamic", "dot")
DEFAULTS: dict[str, Any] = {
    "att": None,
    "edge_attr": None,
    "edge_weight": None,
    "bias": None,
    "negative_slope": 0.2,
    "normaliser": "softmax",
    "dropout": 0.0,
    "seed": torch.tensor(0),
    "add_self_loops": False,
    "return_attention_weights": True,
}


def problem(
    score: str, num_nodes: int, num_edges: int, edge_features: bool, channels: int = CHANNELS, **options: Any
) -> tuple[list[Tensor], Callable[..., Any]]:
    """The tensors that need gradients, and the attention as a function of them."""
    generator = torch.Generator().manual_seed(num_edges)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    width = 1 if score == "additive" else channels
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
    leaves = {
        "query": draw(num_nodes, HEADS, width),
        "key": draw(num_nodes, HEADS, width),
        "value": draw(num_nodes, HEADS, channels),
    }
    if score == "additive-dynamic":
        leaves["att"] = draw(HEADS, width)
    if edge_features:
        num_rows = num_edges + (num_nodes if options.get("add_self_loops") else 0)
        leaves["edge_attr"], leaves["edge_weight"] = draw(num_rows, EDGE_FEATURES), draw(HEADS * width, EDGE_FEATURES)

    def attend(*tensors: Tensor) -> tuple[Tensor, Tensor | None]:
        given = DEFAULTS | options | dict(zip(leaves, tensors, strict=True))
        return reference.edge_attention(edge_index=edge_index, score=score, **given)

    return list(leaves.values()), attend


def gradients(outputs: tuple[Tensor, ...], leaves: list[Tensor]) -> list[Tensor]:
    """First derivatives of a function of the outputs, and second ones of a function of those."""
    first = torch.autograd.grad(sum(out.sin().sum() for out in outputs), leaves, create_graph=True)
    second = torch.autograd.grad(sum(grad.square().sum() for grad in first), leaves)
    return [*first, *second]


@pytest.mark.parametrize(
    "options", [{}, {"add_self_loops": True}, {"normaliser": "sparsemax", "dropout": 0.3}], ids=str
)
@pytest.mark.parametrize("edge_features", [False, True], ids=["plain", "edge features"])
@pytest.mark.parametrize("score", SCORES)
def test_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, score: str, edge_features: bool, options: dict[str, Any]
) -> None:
    leaves, attend = problem(score, num_nodes=5, num_edges=43, edge_features=edge_features, **options)
    assert len(reference._chunks_of_edges(43, HEADS * CHANNELS, 5)) == 1
    expected = attend(*leaves)
    expected_gradients = gradients(expected, leaves)

    monkeypatch.setattr(reference, "CHUNK_ELEMENTS", 8 * HEADS * CHANNELS)
    assert len(reference._chunks_of_edges(43, HEADS * CHANNELS, 5)) == 6
    found = attend(*leaves)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(found, leaves), expected_gradients, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("chunk_elements", [2**22, 1], ids=["one chunk", "many chunks"])
@pytest.mark.parametrize("score", SCORES)
def test_gradcheck(monkeypatch: pytest.MonkeyPatch, score: str, chunk_elements: int) -> None:
    monkeypatch.setattr(reference, "CHUNK_ELEMENTS", chunk_elements)
    leaves, attend = problem(score, num_nodes=3, num_edges=7, edge_features=True)
    assert torch.autograd.gradcheck(attend, leaves)
    assert torch.autograd.gradgradcheck(attend, leaves)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [t.untyped_storage().nbytes() // t.itemsize for t in tree_leaves(out) if isinstance(t, Tensor)]
        self.elements = max([self.elements, *sizes])
        return out


@pytest.mark.parametrize("score", SCORES)
def test_large_graphs_hold_no_edges_by_heads_by_channels(monkeypatch: pytest.MonkeyPatch, score: str) -> None:
    num_edges, num_nodes, channels = 4000, 10, 32
    chunk, whole = 100 * HEADS * channels, num_edges * HEADS * channels
    leaves, attend = problem(score, num_nodes, num_edges, edge_features=True, channels=channels)
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def run() -> tuple[int, int]:
        """Elements of the largest tensor there ever is, and of all those kept for the backward pass."""
        saved.clear()
        with saved_tensors_hooks(pack, lambda tensor: tensor), LargestTensor() as largest:
            out, _ = attend(*leaves)
            kept = sum(tensor.untyped_storage().nbytes() // tensor.itemsize for tensor in saved.values())
            torch.autograd.grad(out.sum(), leaves)
        return largest.elements, kept

    largest, kept = run()  # in one chunk, which the measurement notices
    assert largest >= whole
    assert kept >= whole
    monkeypatch.setattr(reference, "CHUNK_ELEMENTS", chunk)
    largest, kept = run()
    # Scores, and what the softmax keeps of them, [E, H] each; and the edge features with their gradient, [E, D].
    assert largest <= num_edges * max(HEADS, EDGE_FEATURES) < whole / 10
    assert kept <= num_edges * (8 * HEADS + EDGE_FEATURES) < whole / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_sums_in_float32(dtype: torch.dtype) -> None:
    num_edges = 5000  # ones added up in bfloat16 stop at 256
    ones = torch.ones(num_edges, 1, 1, dtype=dtype)
    edge_index = torch.stack([torch.arange(num_edges), torch.zeros(num_edges, dtype=torch.long)])
    out, weights = reference.edge_attention(ones[:1], ones, ones, edge_index, score="dot", **DEFAULTS)
    assert weights is not None
    assert out.dtype == weights.dtype == dtype
    torch.testing.assert_close(out.item(), 1.0, rtol=1e-3, atol=0)
    torch.testing.assert_close(weights[0].item(), 1 / num_edges, rtol=1e-2, atol=0)


def test_chunks_cover_every_edge_once() -> None:
    for num_edges in (0, 1, 9, 10, 11):
        chunks = reference._chunks_of_edges(num_edges, width=reference.CHUNK_ELEMENTS // 5, num_nodes=2)
        assert [i for chunk in chunks for i in range(*chunk)] == list(range(num_edges))
    assert len(chunks) == 3
    # Never fewer edges in a chunk than there are nodes.
    assert len(reference._chunks_of_edges(11, width=reference.CHUNK_ELEMENTS, num_nodes=11)) == 1


def test_weights_come_only_if_asked_for() -> None:
    leaves, attend = problem("dot", num_nodes=3, num_edges=7, edge_features=False, return_attention_weights=False)
    assert attend(*leaves)[1] is None
