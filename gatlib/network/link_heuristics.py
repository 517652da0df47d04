"""Scores of pairs of nodes from their neighbours alone: what a network that predicts edges has to beat."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags  # type: ignore[import-untyped]

from gatlib.network.network import Network
from gatlib.network.node_pairs import Pairs

_BLOCK = 100_000


def link_heuristics(network: Network, pairs: Pairs) -> dict[str, NDArray[np.float64]]:
    r"""Four scores for each pair of nodes.

    With the neighbours :math:`\Gamma(i)` of :math:`i`, whichever way the edge leads, and their number :math:`d_i`:

    .. math::
        \text{common neighbours} = |\Gamma(i) \cap \Gamma(j)| \qquad
        \text{Adamic-Adar} = \sum_{k \in \Gamma(i) \cap \Gamma(j)} \frac{1}{\log d_k}

        \text{resource allocation} = \sum_{k \in \Gamma(i) \cap \Gamma(j)} \frac{1}{d_k} \qquad
        \text{preferential attachment} = d_i^{\mathrm{out}} d_j^{\mathrm{in}}

    where in an undirected graph :math:`d^{\mathrm{out}} = d^{\mathrm{in}} = d`. Weights are not looked at.

    Args:
        network: the graph, without the edges that are to be found.
        pairs: sources and targets.

    Shapes:
        - **pairs:** ``[2, P]``, **output:** ``[P]`` each

    Sources: Liben-Nowell and Kleinberg, "The Link-Prediction Problem for Social Networks", 2007; Adamic and Adar,
    "Friends and neighbors on the Web", 2003; Zhou, Lü and Zhang, "Predicting missing links via local
    information", 2009.
    """
    ones = np.ones(network.edge_index.shape[1])
    directed = csr_matrix((ones, tuple(network.edge_index)), shape=(network.num_nodes, network.num_nodes))
    neighbours = csr_matrix(directed.maximum(directed.T))
    degree = np.diff(neighbours.indptr).astype(np.float64)
    # A common neighbour has two neighbours at least.
    weights: dict[str, Callable[[], NDArray[np.float64]]] = {
        "common neighbours": lambda: np.ones_like(degree),
        "Adamic-Adar": lambda: 1 / np.log(np.maximum(degree, 2)),
        "resource allocation": lambda: 1 / np.maximum(degree, 1),
    }
    scores = {name: _over_common(neighbours, weight(), pairs) for name, weight in weights.items()}
    leaving, arriving = np.diff(directed.indptr), np.bincount(directed.indices, minlength=network.num_nodes)
    scores["preferential attachment"] = leaving[pairs[0]].astype(np.float64) * arriving[pairs[1]]
    return scores


def _over_common(neighbours: csr_matrix, weight: NDArray[np.float64], pairs: Pairs) -> NDArray[np.float64]:
    """The sum of the weights of the common neighbours of each pair, ``[P]``."""
    weighted = csr_matrix(neighbours @ diags(weight))
    blocks = [
        np.asarray(neighbours[source].multiply(weighted[target]).sum(axis=1)).ravel()
        for source, target in (pairs[:, start : start + _BLOCK] for start in range(0, pairs.shape[1], _BLOCK))
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0)
