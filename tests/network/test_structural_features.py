"""Structural features: answers by hand, networkx's, and those of dense powers."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlib.network import structure
from gatlib.network.structure import STRUCTURE_NAMES, structural_features

few = settings(max_examples=25, deadline=None, derandomize=True)


def edges_of(graph: nx.Graph) -> np.ndarray:
    directed = graph.to_directed() if not graph.is_directed() else graph
    return np.array(sorted(directed.edges), dtype=np.int64).reshape(-1, 2).T


def features(graph: nx.Graph) -> dict[str, np.ndarray]:
    return dict(zip(STRUCTURE_NAMES, structural_features(edges_of(graph), len(graph)).T, strict=True))


def test_a_star_by_hand() -> None:
    graph = nx.star_graph(3)
    graph.add_node(4)
    found = features(graph)
    np.testing.assert_allclose(found["log degree"], np.log1p([3, 1, 1, 1, 0]), rtol=1e-6)
    np.testing.assert_allclose(found["log mean degree of neighbours"], np.log1p([1, 3, 3, 3, 0]), rtol=1e-6)
    np.testing.assert_allclose(found["log highest degree of neighbours"], np.log1p([1, 3, 3, 3, 0]), rtol=1e-6)
    # A walk is back at the centre after every second step, and at a leaf in one of three of these.
    for steps in (2, 4, 6, 8):
        np.testing.assert_allclose(found[f"return after {steps} steps"], [1, 1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-5)
    for steps in (3, 5, 7):
        np.testing.assert_allclose(found[f"return after {steps} steps"], 0, atol=1e-6)
    np.testing.assert_allclose(found["log core number"], np.log1p([1, 1, 1, 1, 0]), rtol=1e-6)


@few
@given(st.integers(2, 40), st.floats(0, 0.5), st.integers(0, 10**6))
def test_networkx_and_dense_powers_agree(num_nodes: int, density: float, seed: int) -> None:
    graph = nx.gnp_random_graph(num_nodes, density, seed=seed)
    found = features(graph)
    cores = nx.core_number(graph)
    np.testing.assert_allclose(found["log core number"], np.log1p([cores[node] for node in graph]), rtol=1e-6)
    ranks = nx.pagerank(graph, tol=1e-12, max_iter=1000)
    expected = np.log1p([num_nodes * ranks[node] for node in graph])
    np.testing.assert_allclose(found["log PageRank"], expected, rtol=1e-3)
    walk = nx.to_numpy_array(graph)
    walk /= np.maximum(walk.sum(axis=1, keepdims=True), 1)
    for steps in range(2, 9):
        returned = np.diag(np.linalg.matrix_power(walk, steps))
        np.testing.assert_allclose(found[f"return after {steps} steps"], returned, atol=1e-5)


def test_pagerank_follows_directions() -> None:
    found = features(nx.DiGraph([(0, 1), (1, 2)]))
    ranks = nx.pagerank(nx.DiGraph([(0, 1), (1, 2)]), tol=1e-12)
    np.testing.assert_allclose(found["log PageRank"], np.log1p([3 * ranks[node] for node in range(3)]), rtol=1e-4)
    np.testing.assert_allclose(found["log degree"], np.log1p([1, 2, 1]), rtol=1e-6)


def test_returns_of_large_graphs_are_near_and_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nx.barabasi_albert_graph(300, 4, seed=1)
    exact = structural_features(edges_of(graph), 300)
    monkeypatch.setattr(structure, "_EXACT_NODES", 10)
    near = structural_features(edges_of(graph), 300)
    np.testing.assert_array_equal(near, structural_features(edges_of(graph), 300))
    assert not np.array_equal(near, structural_features(edges_of(graph), 300, seed=1))
    np.testing.assert_allclose(near[:, 3], exact[:, 3], rtol=1e-5)  # two steps are exact
    for column in (5, 7, 9):  # 4, 6 and 8 steps
        ratio = near[:, column] / exact[:, column]
        assert ratio.mean() == pytest.approx(1, abs=0.05)
        assert ratio.std() < 0.3


def test_a_graph_without_edges() -> None:
    found = structural_features(np.empty((2, 0), dtype=np.int64), 3)
    np.testing.assert_allclose(found[:, :-2], 0)
    np.testing.assert_allclose(found[:, -2], np.log(2), rtol=1e-6)
