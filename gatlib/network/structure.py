"""What the edges alone say of a node: its degree, its neighbours', its core, its returns, its rank."""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

#: What :func:`structural_features` gives, in this order.
STRUCTURE_NAMES = (
    "log degree",
    "log mean degree of neighbours",
    "log highest degree of neighbours",
    *(f"return after {steps} steps" for steps in range(2, 9)),
    "log PageRank",
    "log core number",
)
_EXACT_NODES = 5_000
_PROBES = 64
_BLOCK = 16
_MAX_STEPS = 8
_DAMPING = 0.85
_PAGERANK_STEPS = 50


def structural_features(edge_index: NDArray[np.int64], num_nodes: int, *, seed: int = 0) -> NDArray[np.float32]:
    r"""Features of nodes from the edges alone, not standardised.

    Degrees, cores and returns are those of the undirected graph without weights; PageRank follows the edges. The
    probability of return after :math:`k` steps is :math:`(D^{-1}A)^k_{ii} = S^k_{ii}` with
    :math:`S = D^{-1/2} A D^{-1/2}`, and :math:`S^{a+b}_{ii}` is the product of rows :math:`i` of :math:`S^a` and
    :math:`S^b`. Up to 5,000 nodes these rows are taken as they are; beyond, they are projected on 64 random signs,
    which keeps the product to about 18 %, as exact rows would fill the memory. Steps 2 are always exact.

    Args:
        edge_index: both directions of an undirected edge; no edge twice, no self-loops.
        num_nodes: :math:`N`, isolated nodes included: all their features are 0 but PageRank.
        seed: of the projection.

    Shapes:
        - **edge_index:** ``[2, E]``
        - **output:** ``[N, 12]``, in the order of :data:`STRUCTURE_NAMES`

    Sources: Dwivedi et al., "Graph Neural Networks with Learnable Structural and Positional Representations", ICLR
    2022; Achlioptas, "Database-friendly random projections", 2003; Page et al., "The PageRank citation ranking", 1999;
    Batagelj and Zaveršnik, "An O(m) algorithm for cores decomposition of networks", 2003.
    """
    source, target = edge_index
    ones = np.ones(edge_index.shape[1], dtype=np.float32)
    directed = csr_matrix((ones, (source, target)), shape=(num_nodes, num_nodes))
    adjacency = csr_matrix(directed.maximum(directed.T))
    degree = np.diff(adjacency.indptr).astype(np.float64)
    mean = adjacency @ degree / np.maximum(degree, 1)
    highest = np.zeros(num_nodes)
    has_edges = degree > 0
    if has_edges.any():
        highest[has_edges] = np.maximum.reduceat(degree[adjacency.indices], adjacency.indptr[:-1][has_edges])
    cores = _core_numbers(adjacency.indptr.astype(np.int64), adjacency.indices.astype(np.int64))
    columns = [
        np.log1p(degree),
        np.log1p(mean),
        np.log1p(highest),
        *_returns(adjacency, degree, seed),
        np.log1p(num_nodes * _pagerank(directed)),
        np.log1p(cores),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _returns(adjacency: csr_matrix, degree: NDArray[np.float64], seed: int) -> list[NDArray[np.float64]]:
    """The probabilities of return after 2 to 8 steps, each ``[N]``."""
    num_nodes = len(degree)
    root = 1 / np.sqrt(np.maximum(degree, 1))
    rows = np.repeat(np.arange(num_nodes), np.diff(adjacency.indptr))
    values = (root[rows] * root[adjacency.indices]).astype(np.float32)
    walk = csr_matrix((values, adjacency.indices, adjacency.indptr), shape=adjacency.shape)
    found = np.zeros((_MAX_STEPS + 1, num_nodes))
    exact = num_nodes <= _EXACT_NODES
    num_columns = num_nodes if exact else _PROBES
    width = 512 if exact else _BLOCK
    generator = np.random.default_rng(seed)
    for start in range(0, num_columns, width):
        size = min(width, num_columns - start)
        if exact:
            block = np.zeros((num_nodes, size), dtype=np.float32)
            block[start + np.arange(size), np.arange(size)] = 1
        else:
            block = generator.choice(np.array([-1, 1], dtype=np.float32), size=(num_nodes, size))
            block /= np.sqrt(_PROBES)
        powers = [block]
        for _ in range(_MAX_STEPS // 2):
            powers.append(walk @ powers[-1])
        for steps in range(2, _MAX_STEPS + 1):
            # Both factors at least one step: the identity's row alone projects badly.
            found[steps] += np.einsum("nk,nk->n", powers[steps // 2], powers[steps - steps // 2])
    found[2] = np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=num_nodes)
    return list(np.clip(found[2:], 0, 1))


def _pagerank(directed: csr_matrix) -> NDArray[np.float64]:
    """PageRank, ``[N]``, sum 1; a node without outgoing edges leads everywhere."""
    num_nodes = directed.shape[0]
    leaving = np.diff(directed.indptr)
    backward = csr_matrix(directed.T, dtype=np.float64)
    rank = np.full(num_nodes, 1 / num_nodes)
    for _ in range(_PAGERANK_STEPS):
        passed = backward @ (rank / np.maximum(leaving, 1))
        rank = (1 - _DAMPING) / num_nodes + _DAMPING * (passed + rank[leaving == 0].sum() / num_nodes)
    return rank


@njit
def _core_numbers(pointer: NDArray[np.int64], neighbour: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest k for which a node is in a subgraph where every node has k neighbours, ``[N]``."""
    num_nodes = len(pointer) - 1
    core = np.empty(num_nodes, dtype=np.int64)
    highest = 0
    for node in range(num_nodes):
        core[node] = pointer[node + 1] - pointer[node]
        highest = max(highest, core[node])
    # Nodes in order of degree, kept so while neighbours of the lowest lose an edge.
    begin = np.zeros(highest + 2, dtype=np.int64)
    for node in range(num_nodes):
        begin[core[node] + 1] += 1
    for degree in range(highest + 1):
        begin[degree + 1] += begin[degree]
    order = np.empty(num_nodes, dtype=np.int64)
    place = np.empty(num_nodes, dtype=np.int64)
    filled = begin.copy()
    for node in range(num_nodes):
        place[node] = filled[core[node]]
        order[place[node]] = node
        filled[core[node]] += 1
    for position in range(num_nodes):
        node = order[position]
        for edge in range(pointer[node], pointer[node + 1]):
            other = neighbour[edge]
            if core[other] > core[node]:
                first = begin[core[other]]
                swapped = order[first]
                order[first], order[place[other]] = other, swapped
                place[swapped], place[other] = place[other], first
                begin[core[other]] += 1
                core[other] -= 1
    return core
