"""Change one import line, and nothing changes: our layers against those of `torch_geometric.nn`."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from side_by_side import (
    CHANNELS,
    EDGE_FEATURES,
    EDGES,
    FEATURES,
    GAT,
    GATS,
    GATV2,
    HEADS,
    IMPLEMENTATIONS,
    LAYERS,
    NUM_EDGES,
    NUM_NODES,
    TRANSFORMER,
    assert_same,
    pair,
    random,
)
from torch import Tensor

import gatlib.nn
from gatlib.kernels.dropout import keep_mask


@dataclass
class Case:
    """One way to build and call a layer."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    edge_attr: bool = False
    layers: tuple[str, ...] = LAYERS


CASES = [
    Case("plain"),
    Case("edge features", {"edge_dim": EDGE_FEATURES}, edge_attr=True),
    Case("edge features not given", {"edge_dim": EDGE_FEATURES}, layers=GATS),
    Case("edge features not asked for", edge_attr=True, layers=(GAT,)),
    Case("own self-loops", {"add_self_loops": False}, layers=GATS),
    Case("own self-loops, edges", {"add_self_loops": False, "edge_dim": EDGE_FEATURES}, True, GATS),
    Case("fill number", {"edge_dim": EDGE_FEATURES, "fill_value": 0.5}, True, GATS),
    *(
        Case(f"fill {how}", {"edge_dim": EDGE_FEATURES, "fill_value": how}, True, GATS)
        for how in ("mean", "add", "min", "max", "mul")
    ),
    Case("fill tensor", {"edge_dim": EDGE_FEATURES, "fill_value": torch.tensor([0.1, -2.0, 3.0])}, True, GATS),
    Case("residual", {"residual": True}, layers=GATS),
    Case("residual, mean of heads", {"residual": True, "concat": False}, layers=GATS),
    Case("mean of heads", {"concat": False, "edge_dim": EDGE_FEATURES}, True),
    Case("no bias", {"bias": False}),
    Case("slope", {"negative_slope": 0.7}, layers=GATS),
    Case("dropout in eval", {"dropout": 0.4}),
    Case("shared weights", {"share_weights": True}, layers=(GATV2,)),
    Case("target to source", {"flow": "target_to_source", "edge_dim": EDGE_FEATURES}, True),
    Case("beta", {"beta": True}, layers=(TRANSFORMER,)),
    Case("beta, mean of heads", {"beta": True, "concat": False, "edge_dim": EDGE_FEATURES}, True, (TRANSFORMER,)),
    Case("no root", {"root_weight": False, "beta": True}, layers=(TRANSFORMER,)),
    Case("aggregate by mean", {"aggr": "mean"}),
    Case("aggregate by max", {"aggr": "max", "edge_dim": EDGE_FEATURES}, True),
]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}, {case.name}") for case in CASES for name in case.layers],
)
def test_same_results(name: str, case: Case, dtype: torch.dtype, implementation: Any) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, dtype=dtype, **case.options)
    theirs.eval()
    ours.eval()
    ours.implementation = implementation
    assert repr(ours) == repr(theirs)
    leaves = [random(NUM_NODES, FEATURES, dtype=dtype)]
    if case.edge_attr:
        leaves.append(random(NUM_EDGES, EDGE_FEATURES, dtype=dtype))

    def call(layer: Any, x: Tensor, edge_attr: Tensor | None = None) -> Any:
        return layer(x, EDGES, edge_attr, return_attention_weights=True)

    assert_same(theirs, ours, call, leaves)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_dropout_in_training(monkeypatch: pytest.MonkeyPatch, name: str, implementation: Any) -> None:
    # PyG draws another mask than we do. Given ours, it has the same results.
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=EDGE_FEATURES, dropout=0.4)
    ours.implementation = implementation
    is_edge = torch.ones(NUM_EDGES, dtype=torch.bool)
    if name in GATS:
        is_edge = torch.cat([EDGES[0] != EDGES[1], torch.ones(NUM_NODES, dtype=torch.bool)])

    def dropout(alpha: Tensor, p: float, training: bool) -> Tensor:
        assert training
        seed = torch.randint(2**63 - 1, ())
        return alpha * keep_mask(seed, is_edge.numel(), HEADS, p)[is_edge] / (1 - p)

    monkeypatch.setattr("torch.nn.functional.dropout", dropout)

    def call(layer: Any, x: Tensor, edge_attr: Tensor) -> Any:
        return layer(x, EDGES, edge_attr, return_attention_weights=True)

    assert_same(theirs, ours, call, [random(NUM_NODES, FEATURES), random(NUM_EDGES, EDGE_FEATURES)])


@pytest.mark.parametrize("fill_value", [0.5, "mean", "max", torch.tensor(0.3)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_edge_features_of_one_dimension(name: str, fill_value: Any) -> None:
    options = {} if name == TRANSFORMER else {"fill_value": fill_value}
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=1, **options)
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
