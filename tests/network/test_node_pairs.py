"""Numbers of pairs: every pair has one, and what is drawn from the missing ones is drawn exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatlib.network.node_pairs import PairNumbers, draw_missing


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("num_nodes", [1, 2, 3, 17])
def test_every_pair_of_different_nodes_has_one_number(num_nodes: int, directed: bool) -> None:
    numbers = PairNumbers(num_nodes, directed)
    source, target = numbers.pairs(np.arange(numbers.total))
    expected = {(i, j) for i in range(num_nodes) for j in range(num_nodes) if i < j or (directed and i != j)}
    assert set(zip(source.tolist(), target.tolist(), strict=True)) == expected
    assert len(expected) == numbers.total
    assert np.array_equal(numbers.of(np.stack([source, target])), np.arange(numbers.total))
    if not directed:
        assert np.array_equal(numbers.of(np.stack([target, source])), np.arange(numbers.total))


@given(st.integers(2, 2**31), st.booleans(), st.data())
def test_numbers_of_large_graphs_are_exact(num_nodes: int, directed: bool, data: st.DataObject) -> None:
    numbers = PairNumbers(num_nodes, directed)
    node = data.draw(st.integers(0, num_nodes - 1))
    corner = node * (node - 1) // 2  # where the rounding of a root would show
    some = np.clip([corner - 1, corner, corner + 1, numbers.total - 1], 0, numbers.total - 1)
    source, target = numbers.pairs(some)
    assert (source >= 0).all()
    assert (np.maximum(source, target) < num_nodes).all()
    assert (source != target).all()
    assert np.array_equal(numbers.of(np.stack([source, target])), some)


@given(st.integers(1, 60), st.data())
def test_all_that_is_missing_is_drawn_and_nothing_else(total: int, data: st.DataObject) -> None:
    edges = np.array(sorted(data.draw(st.sets(st.integers(0, total - 1)))), dtype=np.int64)
    missing = np.setdiff1d(np.arange(total), edges)
    drawn = draw_missing(edges, total, len(missing), np.random.default_rng(0), distinct=True)
    assert np.array_equal(np.sort(drawn), missing)


def test_each_missing_pair_is_as_likely_as_any_other() -> None:
    edges = np.array([0, 1, 2, 5, 8, 9])
    drawn = draw_missing(edges, 11, 50_000, np.random.default_rng(1), distinct=False)
    numbers, counts = np.unique(drawn, return_counts=True)
    assert numbers.tolist() == [3, 4, 6, 7, 10]
    np.testing.assert_allclose(counts, 10_000, rtol=0.04)  # four standard deviations


def test_a_graph_of_a_billion_nodes_needs_no_memory_for_its_pairs() -> None:
    numbers = PairNumbers(10**9, directed=False)
    edges = np.sort(np.random.default_rng(0).choice(numbers.total, 1000, replace=False))
    drawn = draw_missing(edges, numbers.total, 1000, np.random.default_rng(1), distinct=True)
    assert len(np.unique(drawn)) == 1000
    assert not np.isin(drawn, edges).any()
