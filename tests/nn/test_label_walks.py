"""Labels walked along the edges: a path worked by hand, and what must hold for any graph."""

import math

import hypothesis.strategies as st
import torch
from hypothesis import given
from torch import Tensor

from gatlib.nn.label_walks import label_walks

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])  # 0 - 1 - 2


def test_a_path_by_hand() -> None:
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    labels = torch.cat([labels, labels.new_tensor([[0.0, 1.0]])])  # and an isolated node of the second class
    # Shares 1/3 and 2/3. One step: node 1 gets (2/3 - 1/3) / sqrt(2) of the first class; two steps: 0 and 2 half of
    # what both say together.
    at_one, at_ends = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    at_one[1], at_ends[0], at_ends[2] = (2 / 3 - 1 / 3) / math.sqrt(2), 1 / 6, 1 / 6
    steps = [torch.stack([first, -first], dim=1) for first in (at_one, at_ends)]
    expected = torch.cat([step / step.square().mean().sqrt() for step in steps], dim=1)
    torch.testing.assert_close(label_walks(labels, PATH, 2), expected)


def test_without_anything_to_tell_all_is_zero() -> None:
    for labels in (torch.zeros(3, 2), torch.tensor([[1.0, 0.0]] * 3)):  # nothing known, or one class only
        assert not label_walks(labels, PATH, 3).any()
    assert not label_walks(torch.eye(3), torch.zeros(2, 0, dtype=torch.int64), 2).any()
    assert label_walks(torch.zeros(0, 2), torch.zeros(2, 0, dtype=torch.int64), 2).shape == (0, 4)


def test_many_neighbours_say_more_than_one() -> None:
    leaves = torch.arange(2, 7)
    star = torch.stack(
        [torch.cat([leaves, torch.tensor([7])]), torch.cat([torch.zeros_like(leaves), torch.tensor([1])])]
    )
    labels = torch.zeros(9, 2)
    labels[2:8, 0] = 1.0
    labels[8, 1] = 1.0
    walked = label_walks(labels, torch.cat([star, star.flip(0)], dim=1), 1)
    torch.testing.assert_close(walked[0, 0], math.sqrt(5) * walked[1, 0])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, edges in both directions, and an order of the nodes."""
    nodes = draw(st.integers(1, 8))
    pairs = draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=20))
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    classes = draw(st.lists(st.integers(-1, 2), min_size=nodes, max_size=nodes))
    labels = torch.zeros(nodes, 3, dtype=torch.float64)
    for node, label in enumerate(classes):
        if label >= 0:
            labels[node, label] = 1.0
    return labels, torch.cat([edges, edges.flip(0)], dim=1), torch.tensor(draw(st.permutations(range(nodes))))


@given(graphs())
def test_the_order_of_the_nodes_does_not_count(graph: tuple[Tensor, Tensor, Tensor]) -> None:
    labels, edges, order = graph
    found = label_walks(labels, edges, 3)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    torch.testing.assert_close(label_walks(labels[order], place[edges], 3), found[order])
    assert found.isfinite().all()
    # The classes of a step add up to nothing, and unless it is zero its size is one.
    for step in found.split(3, dim=1):
        torch.testing.assert_close(step.sum(dim=1), torch.zeros(len(labels), dtype=torch.float64))
        size = float(step.square().mean())
        assert size == 0 or math.isclose(size, 1)
