"""Change one import line, and nothing changes: our layers against those of `torch_geometric.nn`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.utils import to_torch_coo_tensor, to_torch_csr_tensor

import gatlib.nn

LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")
GAT, GATV2, TRANSFORMER = LAYERS
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


@dataclass
class Case:
    """One way to build and call a layer."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    edge_attr: bool = False
    layers: tuple[str, ...] = LAYERS
    train: bool = False


GATS = (GAT, GATV2)
CASES = [
    Case("plain"),
    Case("edge features", {"edge_dim": EDGE_FEATURES}, edge_attr=True),
    Case("edge features not given", {"edge_dim": EDGE_FEATURES}, layers=GATS),
    Case("edge features not asked for", edge_attr=True, layers=(GAT,)),
    Case("own self-loops", {"add_self_loops": False}, layers=GATS),
    Case("own self-loops, edges", {"add_self_loops": False, "edge_dim": EDGE_FEATURES}, True, GATS),
    Case("fill number", {"edge_dim": EDGE_FEATURES, "fill_value": 0.5}, True, GATS),
    Case("fill mean", {"edge_dim": EDGE_FEATURES, "fill_value": "mean"}, True, GATS),
    Case("fill max", {"edge_dim": EDGE_FEATURES, "fill_value": "max"}, True, GATS),
    Case("fill tensor", {"edge_dim": EDGE_FEATURES, "fill_value": torch.tensor([0.1, -2.0, 3.0])}, True, GATS),
    Case("residual", {"residual": True}, layers=GATS),
    Case("residual, mean of heads", {"residual": True, "concat": False}, layers=GATS),
    Case("mean of heads", {"concat": False, "edge_dim": EDGE_FEATURES}, True),
    Case("no bias", {"bias": False}),
    Case("slope", {"negative_slope": 0.7}, layers=GATS),
    Case("dropout in eval", {"dropout": 0.4}),
    Case("dropout in train", {"dropout": 0.4, "edge_dim": EDGE_FEATURES}, True, train=True),
    Case("shared weights", {"share_weights": True}, layers=(GATV2,)),
    Case("target to source", {"flow": "target_to_source", "edge_dim": EDGE_FEATURES}, True),
    Case("beta", {"beta": True}, layers=(TRANSFORMER,)),
    Case("beta, mean of heads", {"beta": True, "concat": False, "edge_dim": EDGE_FEATURES}, True, (TRANSFORMER,)),
    Case("no root", {"root_weight": False, "beta": True}, layers=(TRANSFORMER,)),
    Case("aggregate by mean", {"aggr": "mean"}),
    Case("aggregate by max", {"aggr": "max", "edge_dim": EDGE_FEATURES}, True),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}, {case.name}") for case in CASES for name in case.layers],
)
def test_same_results(name: str, case: Case, dtype: torch.dtype) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, dtype=dtype, **case.options)
    theirs.train(case.train)
    ours.train(case.train)
    assert repr(ours) == repr(theirs)
    leaves = [random(NUM_NODES, FEATURES, dtype=dtype)]
    if case.edge_attr:
        leaves.append(random(NUM_EDGES, EDGE_FEATURES, dtype=dtype))

    def call(layer: Any, x: Tensor, edge_attr: Tensor | None = None) -> Any:
        return layer(x, EDGES, edge_attr, return_attention_weights=True)

    assert_same(theirs, ours, call, leaves)


@pytest.mark.parametrize("name", LAYERS)
def test_edge_features_of_one_dimension(name: str) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=1)
    edge_attr = random(NUM_EDGES) if name != TRANSFORMER else random(NUM_EDGES, 1)
    assert_same(theirs, ours, lambda layer, x, e: layer(x, EDGES, e), [random(NUM_NODES, FEATURES), edge_attr])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_keeps_its_dtype(name: str, dtype: torch.dtype) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, dtype=dtype)
    x = random(NUM_NODES, FEATURES, dtype=dtype)
    expected, (_, expected_alpha) = theirs(x, EDGES, return_attention_weights=True)
    found, (_, alpha) = ours(x, EDGES, return_attention_weights=True)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(alpha, expected_alpha, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", LAYERS)
def test_autocast(name: str) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=EDGE_FEATURES, dtype=torch.float32)
    x, edge_attr = random(NUM_NODES, FEATURES).float(), random(NUM_EDGES, EDGE_FEATURES).float()
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = theirs(x, EDGES, edge_attr), ours(x, EDGES, edge_attr)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


# --- The many forms of a graph ---

BIPARTITE_EDGES = torch.tensor([[0, 1, 1, 4, 3, 3, 0, 2], [0, 1, 2, 2, 2, 0, 0, 1]])  # 5 sources, 4 targets


@pytest.mark.parametrize("edge_dim", [None, EDGE_FEATURES], ids=["plain", "edge features"])
@pytest.mark.parametrize("name", LAYERS)
def test_bipartite(name: str, edge_dim: int | None) -> None:
    theirs, ours = pair(name, (FEATURES, 6), CHANNELS, heads=HEADS, edge_dim=edge_dim)
    leaves = [random(5, FEATURES), random(4, 6)]
    if edge_dim is not None:
        leaves.append(random(8, edge_dim))

    def call(layer: Any, source: Tensor, target: Tensor, edge_attr: Tensor | None = None) -> Any:
        return layer((source, target), BIPARTITE_EDGES, edge_attr, return_attention_weights=True)

    assert_same(theirs, ours, call, leaves)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"concat": concat}) for name in LAYERS for concat in (True, False)),
        *((name, {"residual": True}) for name in GATS),
        (GATV2, {"share_weights": True}),
    ],
    ids=str,
)
def test_pair_through_one_set_of_weights(name: str, options: dict[str, Any]) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, **options)
    leaves = [random(5, FEATURES), random(4, FEATURES)]
    assert_same(theirs, ours, lambda layer, s, t: layer((s, t), BIPARTITE_EDGES), leaves)
    assert_same(theirs, ours, lambda layer, s: layer((s, s), BIPARTITE_EDGES), leaves[:1])


@pytest.mark.parametrize("size", [None, (5, 4), (5, 5)], ids=str)
@pytest.mark.parametrize("in_channels", [FEATURES, (FEATURES, 6)], ids=str)
def test_gat_without_target_features(in_channels: Any, size: tuple[int, int] | None) -> None:
    theirs, ours = pair(GAT, in_channels, CHANNELS, heads=HEADS, residual=True)

    def call(layer: Any, source: Tensor) -> Any:
        return layer((source, None), BIPARTITE_EDGES, size=size, return_attention_weights=True)

    assert_same(theirs, ours, call, [random(5, FEATURES)])


@pytest.mark.parametrize("name", LAYERS)
def test_bipartite_against_the_flow(name: str) -> None:
    theirs, ours = pair(name, (FEATURES, 6), CHANNELS, heads=HEADS, flow="target_to_source")
    edges = BIPARTITE_EDGES.flip(0)
    leaves = [random(5, FEATURES), random(4, 6)]
    assert_same(theirs, ours, lambda layer, s, t: layer((s, t), edges, return_attention_weights=True), leaves)


def edge_index_forms() -> dict[str, Any]:
    return {
        "EdgeIndex": EdgeIndex(EDGES, sparse_size=(NUM_NODES, NUM_NODES)),
        "EdgeIndex by column": EdgeIndex(EDGES, sparse_size=(NUM_NODES, NUM_NODES)).sort_by("col")[0],
        "EdgeIndex without size": EdgeIndex(EDGES),
        "COO": to_torch_coo_tensor(EDGES.flip(0), size=NUM_NODES).double(),
        "CSR": to_torch_csr_tensor(EDGES.flip(0), size=NUM_NODES).double(),
    }


@pytest.mark.parametrize("form", edge_index_forms())
@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in LAYERS), *((name, {"add_self_loops": False}) for name in GATS)],
    ids=str,
)
def test_graph_in_any_form(name: str, options: dict[str, Any], form: str) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, **options)
    edge_index = edge_index_forms()[form]

    def call(layer: Any, x: Tensor) -> Any:
        return layer(x, edge_index, return_attention_weights=True)

    assert_same(theirs, ours, call, [random(NUM_NODES, FEATURES)])


@pytest.mark.parametrize("name", LAYERS)
def test_int32_has_the_gradient_of_int64(name: str) -> None:
    # Not compared with PyG: with torch 2.13 on a CPU, its gradient through an int32 index is silently wrong.
    options = {} if name == TRANSFORMER else {"add_self_loops": False}
    _, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, **options)
    leaves = [random(NUM_NODES, FEATURES)]
    wide, narrow = (run(ours, lambda layer, x, e=edges: layer(x, e), leaves, 3) for edges in (EDGES, EDGES.int()))
    torch.testing.assert_close(narrow, wide, rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["COO", "CSR"])
@pytest.mark.parametrize("name", LAYERS)
def test_edge_features_as_values_of_a_sparse_matrix(name: str, layout: str) -> None:
    options = {} if name == TRANSFORMER else {"add_self_loops": False}
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=EDGE_FEATURES, **options)
    adj_t = edge_index_forms()[layout]
    num_values = adj_t.values().size(0)

    def call(layer: Any, x: Tensor, values: Tensor) -> Any:
        size = (NUM_NODES, NUM_NODES, EDGE_FEATURES)
        if layout == "COO":
            adj = torch.sparse_coo_tensor(adj_t.indices(), values, size, is_coalesced=True)
        else:
            adj = torch.sparse_csr_tensor(adj_t.crow_indices(), adj_t.col_indices(), values, size)
        return layer(x, adj)

    assert_same(theirs, ours, call, [random(NUM_NODES, FEATURES), random(num_values, EDGE_FEATURES)])


@pytest.mark.parametrize("name", LAYERS)
def test_csc_which_pyg_refuses_is_the_same_graph(name: str) -> None:
    _, ours = pair(name, FEATURES, CHANNELS, heads=HEADS)
    x, adj_t = random(NUM_NODES, FEATURES), edge_index_forms()["CSR"]
    torch.testing.assert_close(ours(x, adj_t.to_sparse_csc()), ours(x, adj_t), rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_rectangular_sparse_matrix(name: str) -> None:
    options = {} if name == TRANSFORMER else {"add_self_loops": False}
    theirs, ours = pair(name, (FEATURES, 6), CHANNELS, heads=HEADS, **options)
    adj_t = to_torch_coo_tensor(BIPARTITE_EDGES.flip(0), size=(4, 5))
    leaves = [random(5, FEATURES), random(4, 6)]
    assert_same(theirs, ours, lambda layer, s, t: layer((s, t), adj_t), leaves)


# --- Parameters ---


@pytest.mark.parametrize("name", LAYERS)
def test_state_dicts_interchange(name: str) -> None:
    options = {"heads": HEADS, "edge_dim": EDGE_FEATURES}
    theirs, ours = pair(name, FEATURES, CHANNELS, **options)
    torch.manual_seed(99)
    fresh_theirs, fresh_ours = (getattr(lib, name)(FEATURES, CHANNELS, **options).double() for lib in (pyg, gatlib.nn))
    fresh_ours.load_state_dict(theirs.state_dict())
    fresh_theirs.load_state_dict(ours.state_dict())
    x, edge_attr = random(NUM_NODES, FEATURES), random(NUM_EDGES, EDGE_FEATURES)
    torch.testing.assert_close(fresh_ours(x, EDGES, edge_attr), fresh_theirs(x, EDGES, edge_attr))


@pytest.mark.parametrize("in_channels", [-1, (-1, -1)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_lazy_layers_draw_the_same_parameters(name: str, in_channels: Any) -> None:
    options = {} if name == TRANSFORMER else {"residual": True}
    x, edge_attr = random(NUM_NODES, FEATURES), random(NUM_EDGES, EDGE_FEATURES)
    parameters, outputs = [], []
    for library in (pyg, gatlib.nn):
        torch.manual_seed(5)
        layer = getattr(library, name)(in_channels, CHANNELS, heads=HEADS, edge_dim=-1, **options).double()
        layer(x, EDGES, edge_attr)  # this call makes the parameters
        parameters.append(layer.state_dict())
        outputs.append(layer(x, EDGES, edge_attr))
    torch.testing.assert_close(dict(parameters[1]), dict(parameters[0]), rtol=0, atol=0)
    torch.testing.assert_close(outputs[1], outputs[0])


@pytest.mark.parametrize("name", LAYERS)
def test_signatures_and_family(name: str) -> None:
    theirs, ours = getattr(pyg, name), getattr(gatlib.nn, name)
    for method in ("__init__", "forward"):
        expected = inspect.signature(getattr(theirs, method)).parameters.values()
        found = inspect.signature(getattr(ours, method)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in found] == [(p.name, p.kind, p.default) for p in expected]
    assert issubclass(ours, theirs)
    assert ours.__name__ == theirs.__name__


@pytest.mark.parametrize("value", [None, False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_when_attention_weights_come_along(name: str, value: bool | None) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS)
    x = random(NUM_NODES, FEATURES)
    expected, found = (layer(x, EDGES, return_attention_weights=value) for layer in (theirs, ours))
    assert type(found) is type(expected)


# --- What only message passing can do is left to it ---


@pytest.mark.parametrize("name", LAYERS)
def test_hooks_see_and_change_the_messages(name: str) -> None:
    layers = pair(name, FEATURES, CHANNELS, heads=HEADS)
    x = random(NUM_NODES, FEATURES)
    plain = layers[1](x, EDGES)
    handles = [layer.register_message_forward_hook(lambda _, __, out: out * 2) for layer in layers]
    assert_same(*layers, lambda layer, x: layer(x, EDGES), [x])
    assert not torch.allclose(layers[1](x, EDGES), plain)
    handles[1].remove()
    torch.testing.assert_close(layers[1](x, EDGES), plain, rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_steps_overridden_by_class_or_instance(name: str) -> None:
    for way in ("class", "instance"):
        layers = pair(name, FEATURES, CHANNELS, heads=HEADS)
        plain = layers[0](random(NUM_NODES, FEATURES), EDGES)
        for layer in layers:
            original = type(layer).update
            doubled = lambda self, inputs, original=original: original(self, inputs) * 2  # noqa: E731
            if way == "class":
                layer.__class__ = type("Doubling", (type(layer),), {"update": doubled})
            else:
                layer.update = doubled.__get__(layer)
        assert_same(*layers, lambda layer, x: layer(x, EDGES), [random(NUM_NODES, FEATURES)])
        assert not torch.allclose(layers[1](random(NUM_NODES, FEATURES), EDGES), plain)


@pytest.mark.parametrize("name", LAYERS)
def test_hooked_edge_projection(name: str) -> None:
    layers = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=EDGE_FEATURES)
    for layer in layers:
        layer.lin_edge.register_forward_hook(lambda _, __, out: out * 3)
    leaves = [random(NUM_NODES, FEATURES), random(NUM_EDGES, EDGE_FEATURES)]
    assert_same(*layers, lambda layer, x, e: layer(x, EDGES, e), leaves)


def test_transformer_adds_raw_edge_features_without_edge_dim() -> None:
    layers = pair(TRANSFORMER, FEATURES, CHANNELS, heads=HEADS)
    leaves = [random(NUM_NODES, FEATURES), random(NUM_EDGES, 1, CHANNELS)]
    assert_same(*layers, lambda layer, x, e: layer(x, EDGES, e), leaves)
