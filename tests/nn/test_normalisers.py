"""How scores become weights: answers by hand, by loops, derivatives, and scores that are not numbers."""

import math
from typing import Any

import pytest
import torch
from attention_problems import (
    HEADS,
    SCORES,
    by_loops,
    every_implementation,
    every_normaliser,
    every_option,
    every_score,
    leaves_of,
    problem,
)
from torch import Tensor, tensor

from gatlib.nn.functional import edge_attention

# The nodes 1, 2 and 3 point to node 0, and nobody to them.
STAR = tensor([[1, 2, 3], [0, 0, 0]])
LN3 = math.log(3)


def weights_of_star(scores: list[float], implementation: Any, **options: Any) -> list[float]:
    """One head; the value of each node is its number, so that the output is Σ number · weight."""
    bias, zeros = tensor(scores, dtype=torch.float64).view(-1, 1), torch.zeros(4, 1, 1, dtype=torch.float64)
    value = torch.arange(4, dtype=torch.float64).view(-1, 1, 1)
    out, weights = edge_attention(
        zeros, zeros, value, STAR, score="additive", bias=bias, return_attention_weights=True,
        implementation=implementation, **options,
    )  # fmt: skip
    torch.testing.assert_close(out[0].item(), (weights.flatten() @ tensor([1.0, 2.0, 3.0]).double()).item())
    assert not out[1:].any()
    return weights.flatten().tolist()


@every_implementation
def test_sigmoid_by_hand(implementation: Any) -> None:
    weights = weights_of_star([LN3, 0, -LN3], implementation, normaliser="sigmoid")
    assert weights == pytest.approx([0.75, 0.5, 0.25])


@every_implementation
def test_relu_by_hand(implementation: Any) -> None:
    weights = weights_of_star([6, 1.5, -2], implementation, normaliser="relu")
    assert weights == pytest.approx([2, 0.5, 0])


def test_sparsemax_by_hand() -> None:
    # All three above the threshold: (0.7 + 0.5 + 0.3 - 1) / 3 = 1/6. Two: (2 + 1.5 - 1) / 2 = 1.25. One.
    weights = weights_of_star([0.7, 0.5, 0.3], "reference", normaliser="sparsemax")
    assert weights == pytest.approx([0.7 - 1 / 6, 0.5 - 1 / 6, 0.3 - 1 / 6])
    assert weights_of_star([2, 1.5, 1.25], "reference", normaliser="sparsemax") == [0.75, 0.25, 0]
    assert weights_of_star([9, 8, -9], "auto", normaliser="sparsemax") == [1, 0, 0]


@every_option
@every_normaliser
@every_score
def test_loops_over_nodes_say_the_same(
    score: str, normaliser: Any, implementation: Any, options: dict[str, Any]
) -> None:
    given = problem(score, **options)
    found = edge_attention(**given, normaliser=normaliser, return_attention_weights=True, implementation=implementation)
    torch.testing.assert_close(found, by_loops(given, normaliser), rtol=1e-10, atol=1e-12)


@every_option
@every_normaliser
@every_score
def test_gradcheck(score: str, normaliser: Any, implementation: Any, options: dict[str, Any]) -> None:
    given = problem(score, num_nodes=3, **options)
    leaves = leaves_of(given)

    def attend(*tensors: Tensor) -> Any:
        changed = given | dict(zip(leaves, tensors, strict=True))
        return edge_attention(
            **changed, normaliser=normaliser, return_attention_weights=True, implementation=implementation
        )

    assert torch.autograd.gradcheck(attend, list(leaves.values()))
    if implementation == "reference":
        assert torch.autograd.gradgradcheck(attend, list(leaves.values()), fast_mode=True)


def test_fused_kernels_say_that_they_are_differentiable_once() -> None:
    given = problem("dot")
    query = given["query"].requires_grad_()
    out = edge_attention(**given, implementation="cpu")
    (gradient,) = torch.autograd.grad(out.square().sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match='implementation="reference"'):
        gradient.sum().backward()


# --- Scores that are not numbers ---


@every_normaliser
@every_score
def test_minus_infinity_takes_an_edge_out(score: str, normaliser: Any, implementation: Any) -> None:
    options = {"normaliser": normaliser, "return_attention_weights": True, "implementation": implementation}
    given = problem(score, edge_features=True, bias=True)
    target = given["edge_index"][1]
    masked = given["bias"].clone()
    masked[target == 1] = -math.inf  # all edges of a node,
    masked[(target == 0).nonzero()[0], 1] = -math.inf  # and one of another, for one head
    assert (target == 0).sum() > 1
    assert (target == 1).any()
    leaves = leaves_of(given | {"bias": masked})
    out, weights = edge_attention(**given | leaves, **options)
    assert not weights[masked == -math.inf].any()
    assert not out[1].any()
    torch.testing.assert_close((out, weights), by_loops(given | {"bias": masked}, normaliser))
    (out.sin().sum() + weights.sin().sum()).backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all(), name
    assert not leaves["bias"].grad[masked == -math.inf].any()


@every_normaliser
@every_score
def test_nan_stays_with_its_node_and_head(score: str, normaliser: Any, implementation: Any) -> None:
    options = {"normaliser": normaliser, "return_attention_weights": True, "implementation": implementation}
    given = problem(score, bias=True)
    edge = 0
    target = given["edge_index"][1]
    given["bias"][edge, 1] = math.nan
    out, weights = edge_attention(**given, **options)
    is_nan = torch.zeros(4, HEADS, dtype=torch.bool)
    is_nan[target[edge], 1] = True
    assert torch.equal(out.isnan().all(dim=-1), is_nan)
    assert torch.equal(out.isnan().any(dim=-1), is_nan)
    assert weights[edge, 1].isnan()
    assert not weights[~is_nan[target]].isnan().any()


@every_implementation
def test_sigmoid_judges_each_neighbour_on_its_own(implementation: Any) -> None:
    given = problem("dot")
    keep = tensor([0, 2, 3, 7])
    options = {"normaliser": "sigmoid", "return_attention_weights": True, "implementation": implementation}
    _, weights = edge_attention(**given, **options)
    _, fewer = edge_attention(**given | {"edge_index": given["edge_index"][:, keep]}, **options)
    torch.testing.assert_close(fewer, weights[keep])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_normaliser
def test_half_precision_is_the_double_rounded(normaliser: Any, implementation: Any, dtype: torch.dtype) -> None:
    for score in SCORES:
        given = problem(score, bias=True)
        half = {k: v.to(dtype) for k, v in leaves_of(given).items()}
        options = {"normaliser": normaliser, "return_attention_weights": True}
        out, weights = edge_attention(**given | half, **options, implementation=implementation)
        assert out.dtype == weights.dtype == dtype
        rounded = {k: v.double() for k, v in half.items()}
        expected = edge_attention(**given | rounded, **options, implementation="reference")
        torch.testing.assert_close((out.double(), weights.double()), expected, rtol=0.02, atol=0.02)
