"""Dropout of attention weights: which fall, how the others grow, and that a seed repeats it."""

from typing import Any

import pytest
import torch
from attention_problems import HEADS, by_loops, every_implementation, every_normaliser, every_score, leaves_of, problem

from gatlib.kernels.dropout import keep_mask
from gatlib.nn import GATConv, GATv2Conv, TransformerConv
from gatlib.nn.functional import edge_attention

SEED = 5


def keep_of(num_edges: int, dropout: float) -> torch.Tensor:
    """What `edge_attention` multiplies the weights with after `torch.manual_seed(SEED)`."""
    torch.manual_seed(SEED)
    return keep_mask(torch.randint(2**63 - 1, ()), num_edges, HEADS, dropout).double() / (1 - dropout)


@every_normaliser
@every_score
@pytest.mark.parametrize("add_self_loops", [False, True])
def test_weights_are_dropped_or_grow(score: str, normaliser: Any, add_self_loops: bool, implementation: Any) -> None:
    given = problem(score, edge_features=True, add_self_loops=add_self_loops)
    options = {"normaliser": normaliser, "return_attention_weights": True, "implementation": implementation}
    _, weights = edge_attention(**given, **options)
    keep = keep_of(len(weights), 0.5)
    assert 0 < (keep == 0).sum() < keep.numel()
    torch.manual_seed(SEED)
    out, dropped = edge_attention(**given, dropout=0.5, **options)
    torch.testing.assert_close(dropped, weights * keep, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(out, by_loops(given, normaliser, keep)[0], rtol=1e-10, atol=1e-12)


@every_normaliser
@every_score
def test_gradients_with_dropout(score: str, normaliser: Any, implementation: Any) -> None:
    given = problem(score, edge_features=True, bias=True, add_self_loops=True)
    leaves = leaves_of(given)
    num_edges = len(given["bias"])
    torch.manual_seed(SEED)
    out, weights = edge_attention(
        **given, dropout=0.5, normaliser=normaliser, return_attention_weights=True, implementation=implementation
    )
    expected_out, expected_weights = by_loops(given, normaliser, keep_of(num_edges, 0.5))
    found = torch.autograd.grad(out.sin().sum() + weights.sin().sum(), list(leaves.values()))
    expected = torch.autograd.grad(
        expected_out.sin().sum() + expected_weights.sin().sum(), list(leaves.values()), materialize_grads=True
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@every_implementation
def test_share_that_falls_and_mean_that_stays(implementation: Any) -> None:
    num_edges = 20_000
    edge_index = torch.stack([torch.arange(num_edges) % 50, torch.arange(num_edges) % 40])
    given = problem("additive", edge_index, num_nodes=50)
    options = {"return_attention_weights": True, "implementation": implementation}
    _, weights = edge_attention(**given, **options)
    torch.manual_seed(0)
    _, dropped = edge_attention(**given, dropout=0.3, **options)
    # The standard deviation of the share of 40,000 is 0.0023.
    assert (dropped == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(dropped[dropped != 0], (weights / 0.7)[dropped != 0])
    assert (dropped.sum() / weights.sum()).item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(dropped[:, 0] == 0, dropped[:, 1] == 0)


@every_implementation
@every_score
def test_everything_may_fall(score: str, implementation: Any) -> None:
    given = problem(score, edge_features=True, bias=True)
    leaves = leaves_of(given)
    options = {"return_attention_weights": True, "implementation": implementation}
    out, weights = edge_attention(**given, dropout=1.0, **options)
    assert not out.any()
    assert not weights.any()
    for gradient in torch.autograd.grad(out.sum() + weights.sum(), list(leaves.values())):
        assert not gradient.any()


def test_generator_is_drawn_from_only_for_dropout() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    edge_attention(**problem("dot"))
    assert torch.equal(torch.get_rng_state(), before)
    masks = []
    for _ in range(2):
        _, weights = edge_attention(**problem("dot"), dropout=0.5, return_attention_weights=True)
        masks.append(weights == 0)
    assert not torch.equal(*masks)


@pytest.mark.parametrize("layer", [GATConv, GATv2Conv, TransformerConv])
def test_layers_drop_in_training_only(layer: Any) -> None:
    torch.manual_seed(0)
    conv = layer(3, 4, heads=HEADS, dropout=0.5).double()
    x, edges = torch.randn(4, 3, dtype=torch.float64), problem("dot")["edge_index"]
    outputs = []
    for implementation in ("reference", "cpu"):
        conv.implementation = implementation
        torch.manual_seed(SEED)
        outputs.append(conv(x, edges))
    torch.testing.assert_close(*outputs)
    without = conv.eval()(x, edges)
    assert not torch.allclose(outputs[0], without)
    assert torch.equal(conv(x, edges), without)
