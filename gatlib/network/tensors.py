"""From a network to the tensors that a model of its nodes takes."""

import warnings

import numpy as np
import torch
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from torch import Tensor

from gatlib.errors import InputError
from gatlib.network.encoding import AttributeRule, encode
from gatlib.network.network import Network


def network_tensors(
    network: Network, rule: AttributeRule, mean_weight: float | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Node features, edges and edge features.

    The feature of an edge of weight :math:`w` is :math:`\\log(1 + w / \\bar w)`.

    Args:
        network: the graph.
        rule: how its attributes become numbers.
        mean_weight: :math:`\\bar w`, the mean of the weights of the training graph; None to leave weights aside.

    Shapes:
        - **output:** ``[N, F]``, dense or `torch.sparse_csr`; ``[2, E]``; ``[E, 1]`` or None

    Raises:
        InputError: the attributes or features do not fit the rule; there are no weights and the model needs them.
    """
    encoded = encode(network, rule)
    x = torch.from_numpy(encoded) if isinstance(encoded, np.ndarray) else _sparse_tensor(encoded)
    return x, *edge_tensors(network, mean_weight)


def edge_tensors(network: Network, mean_weight: float | None) -> tuple[Tensor, Tensor | None]:
    """The second and the third tensor of :func:`network_tensors`."""
    return torch.from_numpy(network.edge_index), _edge_features(network, mean_weight)


def check_direction(network: Network, directed: bool) -> None:
    """Refuse a graph of the other kind than the one that a model was trained on.

    Raises:
        InputError: one of the two is directed and the other is not.
    """
    if network.directed != directed:
        kinds = ("undirected", "directed")
        raise InputError(
            f"the graph is {kinds[network.directed]} and the model was trained on one that is {kinds[directed]}: "
            "give a graph of the same kind"
        )


def _sparse_tensor(matrix: csr_matrix) -> Tensor:
    matrix.sort_indices()
    pointers, columns = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            pointers, columns, torch.from_numpy(matrix.data), matrix.shape, check_invariants=False
        )


def _edge_features(network: Network, mean_weight: float | None) -> Tensor | None:
    if mean_weight is None:
        return None
    weight = network.edge_weight
    if weight is None and network.edge_index.shape[1]:
        raise InputError("the edges have no weights, which the model was trained with: give each edge a 'weight'")
    relative = np.zeros(0) if weight is None else weight.astype(np.float64) / mean_weight
    return torch.from_numpy(np.log1p(relative).astype(np.float32)).unsqueeze(1)
