"""Random walk encoding: how likely a walk is back where it began after so many steps."""

import math
from itertools import accumulate, repeat

import torch
from torch import Tensor

from gatlib.kernels.one_node import one_node
from gatlib.nn.encodings.graph_blocks import (
    dense_blocks,
    graph_pointers,
    large_graphs,
    sparse_matrix,
    unit_vectors,
)

MAX_DENSE_NODES = 512


def random_walk_encoding(edge_index: Tensor, num_steps: int, batch: Tensor | None = None, *, num_nodes: int) -> Tensor:
    r"""The probabilities of return of `"Graph Neural Networks with Learnable Structural and Positional
    Representations" <https://arxiv.org/abs/2110.07875>`_.

    .. math::
        \mathbf{p}_i = \left( \mathbf{R}_{ii}, \mathbf{R}^2_{ii}, \ldots, \mathbf{R}^K_{ii} \right), \qquad
        \mathbf{R} = \mathbf{D}^{-1} \mathbf{A}

    for each graph of the batch on its own. :math:`\mathbf{A}_{ij}` is the number of edges from :math:`i` to :math:`j`,
    :math:`\mathbf{D}` the out-degrees. A node without outgoing edges ends the walk. Self-loops are steps like any
    other, and so is each of several parallel edges.

    The result is that of `torch_geometric.transforms.AddRandomWalkPE` on every single graph, but for parallel edges,
    which PyG counts below 2,000 nodes in the degree only. The time grows with the cube of the nodes; beyond 512 nodes
    with their number times that of the edges, in bounded memory.

    Args:
        edge_index: The graphs; no edge leads from one to another.
        num_steps: :math:`K`, 1 or more.
        batch: The graph of every node, not falling; None for one graph.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`, **batch:** :math:`(N)`, both int64
        - **output:** :math:`(N, K)`, of PyTorch's default dtype

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be 1 or more; found {num_steps}.")
    return _random_walk_encoding(edge_index, num_steps, batch, num_nodes)


def _fake_encoding(edge_index: Tensor, num_steps: int, batch: Tensor | None, num_nodes: int) -> Tensor:
    return torch.empty(num_nodes, num_steps, device=edge_index.device)


@one_node("(Tensor edge_index, SymInt num_steps, Tensor? batch, SymInt num_nodes) -> Tensor", _fake_encoding)
def _random_walk_encoding(edge_index: Tensor, num_steps: int, batch: Tensor | None, num_nodes: int) -> Tensor:
    ptr = graph_pointers(edge_index, batch, num_nodes)
    out = torch.zeros(num_nodes, num_steps, device=edge_index.device)
    for _, nodes, adjacency in dense_blocks(edge_index, ptr, MAX_DENSE_NODES, out.dtype):
        walk = adjacency / adjacency.sum(dim=-1, keepdim=True).clamp(min=1)
        out[nodes] = _returns(walk, num_steps)
    for large in large_graphs(edge_index, ptr, MAX_DENSE_NODES):
        out[large.nodes] = _returns_of_large(large.edge_index, num_steps, large.num_nodes, out.dtype)
    return out


def _returns(walk: Tensor, num_steps: int) -> Tensor:
    """[G, n, K] of [G, n, n].

    The diagonal of R^a R^b takes no matrix product: about 2 √K of the powers, some small and some large, give all K.
    """
    stride = math.isqrt(num_steps - 1) + 1  # √K, rounded up
    powers = list(accumulate(repeat(walk, stride), torch.matmul))
    small, large = torch.stack(powers, dim=1), powers[-1]
    returns = [small.diagonal(dim1=-2, dim2=-1)]  # [G, stride, n]
    for reached in range(stride, num_steps, stride):
        if reached > stride:
            large = large @ powers[-1]
        returns.append((small * large.mT.contiguous().unsqueeze(1)).sum(dim=-1))
    return torch.cat(returns, dim=1)[:, :num_steps].mT


def _returns_of_large(edge_index: Tensor, num_steps: int, num_nodes: int, dtype: torch.dtype) -> Tensor:
    source = edge_index[0]
    walk = sparse_matrix(edge_index, source.bincount(minlength=num_nodes).to(dtype).reciprocal()[source], num_nodes)
    returns = torch.empty(num_nodes, num_steps, dtype=dtype, device=edge_index.device)
    for nodes, vectors in unit_vectors(walk):
        for step in range(num_steps):
            vectors = walk @ vectors
            returns[nodes, step] = vectors[nodes].diagonal()
    return returns
