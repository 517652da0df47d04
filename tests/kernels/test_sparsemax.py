"""Sparsemax over the edges of each node: by hand, by a loop over nodes, its derivative, and odd scores."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor

from gatlib.kernels.sparsemax import sparsemax

few = settings(max_examples=100, deadline=None, derandomize=True)


def of_one_node(*scores: float, dtype: torch.dtype = torch.float64) -> list[float]:
    target = torch.zeros(len(scores), dtype=torch.long)
    return sparsemax(tensor(scores, dtype=dtype).view(-1, 1), target, 1).flatten().tolist()


def projection(scores: Tensor) -> Tensor:
    """Onto the simplex, for one node: drop what falls below the threshold until nothing does."""
    support = scores > -math.inf
    while support.any():
        threshold = (scores[support].sum() - 1) / support.sum()
        if (scores[support] > threshold).all() or support.sum() == 1:
            return torch.where(support, scores - threshold, 0)
        support = support & (scores > threshold)
    return torch.zeros_like(scores)


def by_loops(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    out = torch.zeros_like(scores)
    for node in range(num_targets):
        for head in range(scores.size(1)):
            out[target == node, head] = projection(scores[target == node, head])
    return out


def test_by_hand() -> None:
    assert of_one_node(3) == [1]
    assert of_one_node(0.5, 0) == [0.75, 0.25]
    assert of_one_node(1, 0) == [1, 0]  # just where the second weight becomes zero
    assert of_one_node(0.25, 1, 0.5, -2) == [0, 0.75, 0.25, 0]
    assert of_one_node(5, 5, 5, 5) == [0.25] * 4
    assert of_one_node(7, 6.5, 7) == [0.5, 0, 0.5]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_enormous_scores(dtype: torch.dtype) -> None:
    assert of_one_node(1e4, -1e4, 0, dtype=dtype) == [1, 0, 0]
    assert of_one_node(1e4, 1e4 - 0.5, -1e4, dtype=dtype) == [0.75, 0.25, 0]
    assert of_one_node(-1e4, -1e4, dtype=dtype) == [0.5, 0.5]
    assert of_one_node(3e38, -3e38, dtype=dtype) == [1, 0]


def test_infinities_and_nan_stay_with_their_node() -> None:
    scores = tensor([-math.inf, 0.5, -math.inf, math.nan, 1, 0, -math.inf], dtype=torch.float64).view(-1, 1)
    scores.requires_grad_()
    weights = sparsemax(scores, tensor([0, 0, 1, 2, 2, 0, 1]), 3)
    assert weights.flatten().tolist() == pytest.approx([0, 0.75, 0, math.nan, math.nan, 0.25, 0], nan_ok=True)
    (gradient,) = torch.autograd.grad(weights[[0, 1, 2, 5, 6]].square().sum(), scores)
    assert gradient[[0, 1, 2, 5, 6]].isfinite().all()
    assert not gradient[[0, 2, 6]].any()


def test_long_lists_of_scores_keep_their_precision() -> None:
    # A hundred thousand scores before the last node: sums that run on must not blur its own.
    generator = torch.Generator().manual_seed(0)
    scores = torch.cat([1e4 * torch.randn(100_000, 1, generator=generator), tensor([[0.5], [0.0], [-0.3]])])
    target = torch.cat([torch.randint(1000, (100_000,), generator=generator), torch.full((3,), 1000)])
    weights = sparsemax(scores, target, 1001)
    torch.testing.assert_close(weights[-3:].flatten(), tensor([0.75, 0.25, 0.0]))
    sums = torch.zeros(1001, 1).index_add(0, target, weights)
    torch.testing.assert_close(sums, torch.ones_like(sums))


@few
@given(st.data())
def test_loop_over_nodes_says_the_same(data: st.DataObject) -> None:
    num_targets, num_edges = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 12))
    size = {"min_size": num_edges, "max_size": num_edges}
    target = tensor(data.draw(st.lists(st.integers(0, num_targets - 1), **size)), dtype=torch.long)
    # Multiples of 1/4 and infinities: ties, and scores exactly at the threshold, are common.
    score = st.one_of(st.integers(-12, 12).map(lambda n: n / 4), st.just(-math.inf), st.floats(-1e4, 1e4))
    heads = [data.draw(st.lists(score, **size)) for _ in range(2)]
    scores = tensor(heads, dtype=torch.float64).t()
    weights = sparsemax(scores, target, num_targets)
    torch.testing.assert_close(weights, by_loops(scores, target, num_targets), rtol=0, atol=1e-9)
    assert (weights >= 0).all()


def test_derivatives() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(14, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(4, (14,), generator=generator)
    weights = sparsemax(scores, target, 5)
    assert (weights == 0).any()
    assert ((weights > 0) & (weights < 1)).any()
    assert torch.autograd.gradcheck(lambda s: sparsemax(s, target, 5), scores)
    assert torch.autograd.gradgradcheck(lambda s: sparsemax(s, target, 5).square(), scores)


def test_derivative_by_hand() -> None:
    # Within the support each weight has the gradient less its mean, outside there is none.
    scores = tensor([[0.5], [0.25], [-3.0]], dtype=torch.float64, requires_grad=True)
    weights = sparsemax(scores, torch.zeros(3, dtype=torch.long), 1)
    (gradient,) = torch.autograd.grad(weights, scores, tensor([[4.0], [1.0], [100.0]], dtype=torch.float64))
    assert gradient.flatten().tolist() == [1.5, -1.5, 0]


@pytest.mark.parametrize("heads", [0, 1, 3])
@pytest.mark.parametrize("num_targets", [0, 2])
def test_nothing_to_weigh(heads: int, num_targets: int) -> None:
    assert sparsemax(torch.zeros(0, heads), torch.zeros(0, dtype=torch.long), num_targets).shape == (0, heads)
