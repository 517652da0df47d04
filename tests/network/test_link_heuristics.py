"""Scores from common neighbours: by hand, and as networkx has them."""

import math

import networkx as nx
import numpy as np
import pytest

from gatlib.network import link_heuristics as module
from gatlib.network.formats import from_networkx
from gatlib.network.link_heuristics import link_heuristics


def test_a_kite_by_hand() -> None:
    # 0 and 3 have the common neighbours 1 (0, 2, 3) and 2 (0, 1, 3); 4 hangs on 3.
    network, _ = from_networkx(nx.Graph([(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4)]))
    scores = link_heuristics(network, np.array([[0, 0, 1], [3, 4, 4]]))
    assert scores["common neighbours"].tolist() == [2, 0, 1]
    assert scores["Adamic-Adar"].tolist() == pytest.approx([2 / math.log(3), 0, 1 / math.log(3)])
    assert scores["resource allocation"].tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert scores["preferential attachment"].tolist() == [6, 2, 3]


def test_they_are_those_of_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 50)
    graph = nx.gnm_random_graph(40, 120, seed=0)
    pairs = list(nx.non_edges(graph))
    scores = link_heuristics(from_networkx(graph)[0], np.array(pairs).T)
    theirs = {
        "common neighbours": [len(list(nx.common_neighbors(graph, a, b))) for a, b in pairs],
        "Adamic-Adar": [score for *_, score in nx.adamic_adar_index(graph, pairs)],
        "resource allocation": [score for *_, score in nx.resource_allocation_index(graph, pairs)],
        "preferential attachment": [score for *_, score in nx.preferential_attachment(graph, pairs)],
    }
    assert list(scores) == list(theirs)
    for name, expected in theirs.items():
        np.testing.assert_allclose(scores[name], expected)


def test_edges_lead_from_those_that_send_many_to_those_that_get_many() -> None:
    network, _ = from_networkx(nx.DiGraph([(0, 1), (0, 2), (3, 2)]))
    scores = link_heuristics(network, np.array([[0, 3, 2], [3, 1, 0]]))
    assert scores["preferential attachment"].tolist() == [0, 1, 0]
    assert scores["common neighbours"].tolist() == [1, 0, 0]  # 0 and 3 both lead to 2


def test_no_pairs_and_nodes_without_neighbours() -> None:
    network, _ = from_networkx(nx.empty_graph(3))
    assert all(found.tolist() == [0] for found in link_heuristics(network, np.array([[0], [1]])).values())
    assert all(len(found) == 0 for found in link_heuristics(network, np.empty((2, 0), dtype=np.int64)).values())
