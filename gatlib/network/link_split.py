"""Edges held out to judge the prediction of edges, and pairs without an edge to tell them from."""

from dataclasses import dataclass, replace

import numpy as np

from gatlib.errors import InputError
from gatlib.network.network import Network, counted
from gatlib.network.node_pairs import PairNumbers, Pairs, draw_missing

#: Shares of the edges in valid and in test, those of Kipf and Welling, "Variational Graph Auto-Encoders", 2016.
FRACTIONS = (0.05, 0.1)
MIN_EDGES = 10


@dataclass(frozen=True)
class LinkSplit:
    """Pairs ``[2, P]``; an undirected pair stands once, its lower node first."""

    train: Pairs
    valid: Pairs
    test: Pairs
    valid_missing: Pairs  # pairs that are not edges, as many as in valid if there are so many
    test_missing: Pairs


def network_pairs(network: Network) -> Pairs:
    """The edges ``[2, P]`` of a network, each once, in the order of their numbers."""
    pair_numbers = PairNumbers(network.num_nodes, network.directed)
    return pair_numbers.pairs(np.unique(pair_numbers.of(network.edge_index)))


def split_links(network: Network, seed: int) -> LinkSplit:
    """Edges in train, valid and test at random, and for valid and test pairs that have no edge in the whole graph.

    The protocol is that of Kipf and Welling and of PyG's ``RandomLinkSplit``. Both directions of an undirected edge are
    in one part; those of a directed graph are edges of their own. No pair stands twice.

    Args:
        network: the whole graph.
        seed: of the draws.

    Raises:
        InputError: fewer than 10 edges; fewer than two pairs without an edge.
    """
    edges = network_pairs(network)
    num_edges = edges.shape[1]
    if num_edges == 0:
        raise InputError("the graph has no edges: there is nothing to learn from")
    if num_edges < MIN_EDGES:
        raise InputError(
            f"the graph has {counted(num_edges, 'edge')}: {MIN_EDGES} are needed to hold some out for valid and test"
        )
    pair_numbers = PairNumbers(network.num_nodes, network.directed)
    num_missing = pair_numbers.total - num_edges
    if num_missing < 2:
        what = "every pair of nodes has an edge" if num_missing == 0 else "only one pair of nodes has no edge"
        raise InputError(f"{what}: there is nothing to tell edges from")
    random = np.random.default_rng(seed)
    order = random.permutation(num_edges)
    num_valid, num_test = (max(1, round(fraction * num_edges)) for fraction in FRACTIONS)
    valid, test, train = np.split(order, [num_valid, num_valid + num_test])
    count = min(num_valid + num_test, num_missing)
    missing = draw_missing(pair_numbers.of(edges), pair_numbers.total, count, random, distinct=True)
    of_valid = max(1, count * num_valid // (num_valid + num_test))
    return LinkSplit(
        *(edges[:, np.sort(part)] for part in (train, valid, test)),
        *(pair_numbers.pairs(np.sort(part)) for part in (missing[:of_valid], missing[of_valid:])),
    )


def with_edges(network: Network, *parts: Pairs) -> Network:
    """The network with some of its edges only, in both directions if it is undirected, with their weights.

    Whatever is made of this network, features of its structure too, knows nothing of the other edges.
    """
    pair_numbers = PairNumbers(network.num_nodes, network.directed)
    kept = np.isin(pair_numbers.of(network.edge_index), pair_numbers.of(np.concatenate(parts, axis=1)))
    weight = None if network.edge_weight is None else network.edge_weight[kept]
    return replace(network, edge_index=network.edge_index[:, kept], edge_weight=weight)
