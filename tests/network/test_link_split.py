"""Edges that are held out: each in one part, compared with pairs that are no edges, and unknown to what is learned."""

import networkx as nx
import numpy as np
import pytest

from gatlib.errors import InputError
from gatlib.network.encoding import learn_rule
from gatlib.network.formats import from_networkx
from gatlib.network.link_split import LinkSplit, network_pairs, split_links, with_edges
from gatlib.network.network import Network
from gatlib.network.node_pairs import Pairs


def network_of(graph: nx.Graph) -> Network:
    return from_networkx(graph)[0]


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(*pairs.tolist(), strict=True))


def edges_of(network: Network) -> set[tuple[int, int]]:
    return as_set(network.edge_index)


GRAPHS = {
    "sparse": nx.gnm_random_graph(200, 400, seed=0),
    "dense": nx.gnm_random_graph(20, 180, seed=0),
    "directed": nx.gnm_random_graph(40, 300, seed=0, directed=True),
    "all but two": nx.Graph(list(nx.complete_graph(7).edges)[2:]),
    "with isolated nodes": nx.disjoint_union(nx.complete_graph(6), nx.empty_graph(5)),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("seed", [0, 1])
def test_parts_are_apart_and_what_is_no_edge_is_none(graph: nx.Graph, seed: int) -> None:
    network = network_of(graph)
    split = split_links(network, seed)
    parts = [as_set(part) for part in (split.train, split.valid, split.test)]
    missing = [as_set(split.valid_missing), as_set(split.test_missing)]
    everything = [*parts, *missing]
    arrays = [split.train, split.valid, split.test, split.valid_missing, split.test_missing]
    assert [len(part) for part in everything] == [part.shape[1] for part in arrays]  # nothing stands twice
    assert len(set.union(*everything)) == sum(map(len, everything))
    assert set.union(*parts) == as_set(network_pairs(network))
    directed = network.directed
    for source, target in set.union(*missing):
        assert source != target
        assert directed or source < target
        assert (source, target) not in edges_of(network)
    assert sum(map(len, missing)) == min(sum(map(len, parts[1:])), nx.complement(graph).number_of_edges())
    assert all(everything)


def test_sizes_and_seeds() -> None:
    network = network_of(GRAPHS["sparse"])
    split, same, other = (split_links(network, seed) for seed in (3, 3, 4))
    assert [part.shape[1] for part in (split.train, split.valid, split.test)] == [340, 20, 40]
    assert [part.shape[1] for part in (split.valid_missing, split.test_missing)] == [20, 40]
    for name in LinkSplit.__dataclass_fields__:
        assert np.array_equal(getattr(split, name), getattr(same, name))
        assert not np.array_equal(getattr(split, name), getattr(other, name))


def test_both_directions_of_an_edge_are_in_one_part() -> None:
    network = network_of(GRAPHS["sparse"])
    split = split_links(network, 0)
    known = edges_of(with_edges(network, split.train))
    assert known == {(b, a) for a, b in known}
    assert len(known) == 2 * split.train.shape[1]
    assert not known & (as_set(split.test) | as_set(split.valid))


def test_edges_keep_their_direction_and_their_weight() -> None:
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("a", "b", 1.0), ("b", "a", 2.0), ("b", "c", 3.0), ("c", "a", 4.0)])
    network = network_of(graph)
    some = with_edges(network, np.array([[1], [0]]), np.array([[1], [2]]))
    assert as_set(some.edge_index) == {(1, 0), (1, 2)}
    assert some.edge_weight is not None
    assert dict(zip(some.edge_index[1].tolist(), some.edge_weight.tolist(), strict=True)) == {0: 2.0, 2: 3.0}


@pytest.mark.parametrize("directed", [False, True])
def test_structure_is_that_of_a_graph_that_never_had_the_held_out_edges(directed: bool) -> None:
    graph = nx.gnm_random_graph(40, 200, seed=1, directed=directed)
    network = network_of(graph)
    split = split_links(network, 0)
    graph.remove_edges_from(as_set(split.valid) | as_set(split.test))
    rule = learn_rule(with_edges(network, split.train))
    assert rule.structure is not None
    assert rule == learn_rule(network_of(graph))
    assert rule != learn_rule(network)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (nx.empty_graph(5), "the graph has no edges: there is nothing to learn from"),
        (nx.path_graph(10), "the graph has 9 edges: 10 are needed to hold some out"),
        (nx.complete_graph(6), "every pair of nodes has an edge: there is nothing to tell edges from"),
        (nx.Graph(list(nx.complete_graph(6).edges)[1:]), "only one pair of nodes has no edge"),
    ],
    ids=["no edges", "few edges", "complete", "nearly complete"],
)
def test_what_cannot_be_split_is_refused(graph: nx.Graph, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        split_links(network_of(graph), 0)
    assert "\n" not in str(caught.value)
