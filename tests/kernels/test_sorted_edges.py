"""Every graph is sorted once, as long as it lives and does not change; and what is kept cannot be made unsafe."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from gatlib.kernels import cpu
from gatlib.kernels import remembered as module
from gatlib.nn import GATv2Conv
from gatlib.nn.functional import edge_attention

EDGES = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 2, 0, 3, 3]])
OTHERS = {"fewer": EDGES[:, :3], "more": torch.cat([EDGES, EDGES.flip(0)], dim=1), "as many": EDGES.flip(0)}
HEADS = CHANNELS = 4


@pytest.fixture
def edge_index() -> Tensor:
    return EDGES.clone()


@pytest.fixture
def sorts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The arguments of every sort there was."""
    calls: list[Any] = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments[1:])
        return sort_edges(*arguments)

    sort_edges = cpu.sort_edges
    monkeypatch.setattr(cpu, "sort_edges", counted)
    yield calls
    torch.compiler.reset()


def nodes(count: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, HEADS, CHANNELS, generator=generator, dtype=torch.float64).requires_grad_()


def attend(
    edge_index: Tensor, implementation: Any = "cpu", sizes: tuple[int, int] = (5, 5), loops: bool = False
) -> tuple[Tensor, ...]:
    """Output and gradients."""
    key, query = nodes(sizes[0]), nodes(sizes[1], seed=1)
    out = edge_attention(query, key, key, edge_index, score="dot", add_self_loops=loops, implementation=implementation)
    return out, *torch.autograd.grad(out.sin().sum(), [query, key])


def assert_right(edge_index: Tensor, **options: Any) -> None:
    torch.testing.assert_close(attend(edge_index, **options), attend(edge_index, "reference", **options))


def model_of_two_layers() -> list[GATv2Conv]:
    torch.manual_seed(0)
    return [GATv2Conv(HEADS * CHANNELS, CHANNELS, heads=HEADS) for _ in range(2)]


def train(layers: list[Any], edge_index: Tensor, steps: int) -> None:
    optimizer = torch.optim.SGD([parameter for layer in layers for parameter in layer.parameters()], lr=0.01)
    for _ in range(steps):
        hidden = torch.ones(5, HEADS * CHANNELS)
        for layer in layers:
            hidden = layer(hidden, edge_index)
        optimizer.zero_grad()
        hidden.square().sum().backward()
        optimizer.step()


def test_one_sort_for_all_layers_and_steps(edge_index: Tensor, sorts: list[Any]) -> None:
    train(model_of_two_layers(), edge_index, steps=3)
    assert sorts == [(5, 5, True)]


def test_one_sort_for_all_steps_of_a_compiled_model(edge_index: Tensor, sorts: list[Any]) -> None:
    layers = [torch.compile(layer, fullgraph=True, backend="aot_eager") for layer in model_of_two_layers()]
    train(layers, edge_index, steps=3)
    assert sorts == [(5, 5, True)]


@pytest.mark.parametrize(
    "change",
    [
        lambda edges: edges.__setitem__((0, 0), 4),
        lambda edges: edges[1].fill_(2),  # through a view
        lambda edges: edges.detach().copy_(EDGES.flip(0)),
        lambda edges: edges.resize_(2, 3),
    ],
    ids=["an item", "a view", "detached", "resized"],
)
def test_changes_are_seen(edge_index: Tensor, sorts: list[Any], change: Any) -> None:
    before = attend(edge_index)
    change(edge_index)
    assert_right(edge_index)
    assert not torch.equal(attend(edge_index)[0], before[0])
    assert len(sorts) == 2


def test_a_change_in_place_to_nodes_that_are_not_there_is_refused(edge_index: Tensor) -> None:
    attend(edge_index)
    edge_index[0, 0] = 5
    for _ in range(2):
        with pytest.raises(ValueError, match="edge_index must hold source nodes from 0 to 4"):
            attend(edge_index)
    edge_index[0, 0] = 1
    assert_right(edge_index)


@pytest.mark.parametrize("edges", OTHERS.values(), ids=OTHERS)
def test_other_data_in_the_same_tensor_is_seen(edge_index: Tensor, edges: Tensor) -> None:
    attend(edge_index)
    edge_index.data = edges.clone()  # of which PyTorch keeps no record
    assert_right(edge_index)


def test_a_clone_is_another_graph(edge_index: Tensor, sorts: list[Any]) -> None:
    for graph in (edge_index, edge_index.clone(), edge_index):
        assert_right(graph)
    assert len(sorts) == 2


def test_sizes_and_self_loops_are_kept_apart(edge_index: Tensor, sorts: list[Any]) -> None:
    for _ in range(2):
        for sizes in ((5, 5), (6, 5), (5, 6)):
            for loops in (False, True):
                assert_right(edge_index, sizes=sizes, loops=loops)
    assert len(sorts) == 6


def test_forgotten_with_the_tensor(edge_index: Tensor) -> None:
    temporary = edge_index.clone()
    for graph in (edge_index, temporary):
        attend(graph)
    assert temporary in module._MADE_BEFORE
    held = len(module._MADE_BEFORE)
    del temporary, graph
    assert len(module._MADE_BEFORE) == held - 1
    assert edge_index in module._MADE_BEFORE


def test_tensors_of_inference_mode(sorts: list[Any]) -> None:
    with torch.inference_mode():
        edge_index = EDGES.clone()
        given = {"score": "dot", "implementation": "cpu"}
        for _ in range(2):
            found = edge_attention(nodes(), nodes(), nodes(), edge_index, **given)
            edge_index[0, 0] = 4
        edge_attention(nodes(), nodes(), nodes(), edge_index, **given)
        edge_attention(nodes(), nodes(), nodes(), edge_index, **given)
    assert len(sorts) == 2  # before and after the change
    expected = edge_attention(nodes(), nodes(), nodes(), EDGES, **given)
    assert not torch.equal(found, expected)


def test_memory_changed_behind_the_back_of_pytorch_is_followed(edge_index: Tensor, sorts: list[Any]) -> None:
    attend(edge_index)
    for number in (10**9, -(10**9)):
        edge_index.numpy()[:] = number
        with pytest.raises(ValueError, match="edge_index must hold source nodes from 0 to 4"):
            attend(edge_index)
    edge_index.numpy()[:] = EDGES.flip(0).numpy()
    assert_right(edge_index)
    assert len(sorts) == 4


def loss_of(edge_index: Tensor, leaves: list[Tensor], compiled: bool) -> Tensor:
    def loss(query: Tensor, key: Tensor, edges: Tensor) -> Tensor:
        return edge_attention(query, key, key, edges, score="dot", implementation="cpu").sin().sum()

    call = torch.compile(loss, fullgraph=True, backend="aot_eager") if compiled else loss
    found: Tensor = call(*leaves, edge_index)
    return found


@pytest.mark.parametrize("uses_between", [False, True], ids=["unused since", "used since"])
def test_gradients_are_those_of_the_graph_of_the_forward_pass(edge_index: Tensor, uses_between: bool) -> None:
    leaves = [nodes(), nodes(seed=1)]
    expected = torch.autograd.grad(loss_of(edge_index, leaves, False), leaves)
    loss = loss_of(edge_index, leaves, False)
    edge_index.numpy()[:] = EDGES.flip(0).numpy()
    if uses_between:
        attend(edge_index)
    for a, b in zip(torch.autograd.grad(loss, leaves), expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("way", ["compiled", "for second derivatives"])
@pytest.mark.parametrize("uses_between", [False, True], ids=["unused since", "used since"])
def test_operators_refuse_a_graph_that_is_not_that_of_the_forward_pass(
    edge_index: Tensor, uses_between: bool, way: str
) -> None:
    leaves, options = [nodes(), nodes(seed=1)], {"create_graph": way != "compiled"}
    expected = torch.autograd.grad(loss_of(edge_index, leaves, False), leaves)
    found = torch.autograd.grad(loss_of(edge_index, leaves, way == "compiled"), leaves, **options)
    torch.testing.assert_close(found, expected)
    loss = loss_of(edge_index, leaves, way == "compiled")
    edge_index.numpy()[:] = EDGES.flip(0).numpy()
    if uses_between:
        attend(edge_index)
    with pytest.raises(RuntimeError, match="edge_index was written to between the forward and the backward pass"):
        torch.autograd.grad(loss, leaves, **options)
    torch.compiler.reset()
