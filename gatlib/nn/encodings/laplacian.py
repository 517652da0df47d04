"""Encodings by the spectrum of the graph: Laplacian eigenvectors, what to do about their signs, the heat kernel."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINConv

from gatlib.kernels.one_node import one_node
from gatlib.nn.batches import pointers
from gatlib.nn.encodings.chebyshev import heat_kernel_diagonal
from gatlib.nn.encodings.graph_blocks import (
    LargeGraph,
    dense_blocks,
    graph_pointers,
    large_graphs,
    sparse_matrix,
)

MAX_DENSE_NODES = 1000


def laplacian_encoding(
    edge_index: Tensor, num_vectors: int, batch: Tensor | None = None, *, num_nodes: int
) -> tuple[Tensor, Tensor]:
    r"""Eigenvectors of the Laplacian, as in `"Benchmarking Graph Neural Networks"
    <https://arxiv.org/abs/2003.00982>`_.

    .. math::
        \mathbf{L} = \mathbf{I} - \mathbf{D}^{-1/2} \mathbf{A} \mathbf{D}^{-1/2}, \qquad
        \mathbf{L} \mathbf{u}_k = \lambda_k \mathbf{u}_k, \qquad \lambda_0 \le \lambda_1 \le \ldots

    for each graph of the batch on its own, :math:`\mathbf{u}_1` to :math:`\mathbf{u}_K`; the trivial
    :math:`\mathbf{u}_0` is left out. As in `torch_geometric.transforms.AddLaplacianEigenvectorPE`, self-loops do not
    count, parallel edges each do, and an isolated node has a row of the identity.

    An edge counts in both directions, :math:`\mathbf{A} = \mathbf{E} + \mathbf{E}^\top`, which makes no difference
    where both are there. PyG leaves a directed graph as it is, and takes the real parts of what may be complex.

    The sign of every eigenvector is arbitrary, see :func:`flip_signs` and :class:`SignInvariantEncoding`. Where an
    eigenvalue is repeated, as in a ring, a star or a graph that falls into several parts, more is arbitrary: any
    orthonormal basis of its space would do, and which one comes out depends on how the nodes are numbered. No choice
    of signs repairs that; :func:`heat_kernel_encoding` does not suffer from it.

    Beyond 1,000 nodes the few eigenvectors come from Lanczos' method, for which SciPy must be installed.

    Args:
        edge_index: The graphs; no edge leads from one to another.
        num_vectors: :math:`K`, 1 or more.
        batch: The graph of every node, not falling; None for one graph.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`, **batch:** :math:`(N)`, both int64
        - **output:** the eigenvectors :math:`(N, K)`, those of each graph of length 1, and the eigenvalues
          :math:`(G, K)`, of PyTorch's default dtype; zeros in the columns beyond the :math:`n - 1` that a graph of
          :math:`n` nodes has.

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """
    if num_vectors < 1:
        raise ValueError(f"num_vectors must be 1 or more; found {num_vectors}.")
    return _laplacian_encoding(edge_index, num_vectors, batch, num_nodes)


def _fake_laplacian(
    edge_index: Tensor, num_vectors: int, batch: Tensor | None, num_nodes: int
) -> tuple[Tensor, Tensor]:
    num_graphs = 1 if batch is None else torch.library.get_ctx().new_dynamic_size()
    device = edge_index.device
    return torch.empty(num_nodes, num_vectors, device=device), torch.empty(num_graphs, num_vectors, device=device)


@one_node(
    "(Tensor edge_index, SymInt num_vectors, Tensor? batch, SymInt num_nodes) -> (Tensor, Tensor)", _fake_laplacian
)
def _laplacian_encoding(
    edge_index: Tensor, num_vectors: int, batch: Tensor | None, num_nodes: int
) -> tuple[Tensor, Tensor]:
    ptr = graph_pointers(edge_index, batch, num_nodes)
    edge_index = _both_directions(edge_index)
    eigenvectors = torch.zeros(num_nodes, num_vectors, device=edge_index.device)
    eigenvalues = torch.zeros(ptr.numel() - 1, num_vectors, device=edge_index.device)
    for graphs, nodes, adjacency in dense_blocks(edge_index, ptr, MAX_DENSE_NODES, torch.float64):
        values, vectors = _decomposition(_normalised(adjacency))
        there_are = min(num_vectors, nodes.size(1) - 1)
        eigenvectors[nodes, :there_are] = vectors[..., 1 : there_are + 1].to(eigenvectors.dtype)
        eigenvalues[graphs, :there_are] = values[..., 1 : there_are + 1].to(eigenvalues.dtype)
    for large in large_graphs(edge_index, ptr, MAX_DENSE_NODES):
        values, vectors = _smallest(_normalised_sparse(large), num_vectors + 1)
        there_are = values.numel() - 1
        eigenvectors[large.nodes, :there_are] = vectors[:, 1:].to(eigenvectors)
        eigenvalues[large.graph, :there_are] = values[1:].to(eigenvalues)
    return eigenvectors, eigenvalues


def heat_kernel_encoding(
    edge_index: Tensor, times: Sequence[float], batch: Tensor | None = None, *, num_nodes: int
) -> Tensor:
    r"""How much heat is left at a node, a time after it was lit there alone.

    .. math::
        h_i(t) = \left( e^{-t \mathbf{L}} \right)_{ii} = \sum_k e^{-t \lambda_k} \mathbf{u}_{ki}^2

    with the eigenvectors and eigenvalues of :func:`laplacian_encoding`, all of them, but for a node without neighbours,
    which keeps all of it: the Laplacian of Chung, "Spectral Graph Theory" (1997), chapter 1, has a zero there, PyG's a
    one. Neither the signs of eigenvectors nor the choice of a basis for a repeated eigenvalue make a difference. This
    is the heat kernel signature of `"A Concise and Provably Informative Multi-Scale Signature Based on Heat Diffusion"
    <https://doi.org/10.1111/j.1467-8659.2009.01515.x>`_, on a graph. Small times see the neighbours of a node, large
    ones its part of the graph: in the end its degree over the sum of all degrees there.

    Graphs beyond 1,000 nodes are not decomposed, but give the same by Chebyshev polynomials, in bounded memory; the
    time grows with nodes times edges.

    Args:
        edge_index: The graphs; no edge leads from one to another.
        times: :math:`t`, each 0 or more.
        batch: The graph of every node, not falling; None for one graph.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`, **batch:** :math:`(N)`, both int64
        - **output:** :math:`(N, T)`, of PyTorch's default dtype

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """
    if len(times) == 0 or not all(math.isfinite(time) and time >= 0 for time in times):
        raise ValueError(f"times must be one or more finite numbers, none negative; found {list(times)}.")
    return _heat_kernel_encoding(edge_index, list(times), batch, num_nodes)


def _fake_heat_kernel(edge_index: Tensor, times: list[float], batch: Tensor | None, num_nodes: int) -> Tensor:
    return torch.empty(num_nodes, len(times), device=edge_index.device)


@one_node("(Tensor edge_index, float[] times, Tensor? batch, SymInt num_nodes) -> Tensor", _fake_heat_kernel)
def _heat_kernel_encoding(edge_index: Tensor, times: list[float], batch: Tensor | None, num_nodes: int) -> Tensor:
    ptr = graph_pointers(edge_index, batch, num_nodes)
    edge_index = _both_directions(edge_index)
    out = torch.zeros(num_nodes, len(times), device=edge_index.device)
    decay = -torch.tensor(times, dtype=torch.float64, device=edge_index.device)
    for _, nodes, adjacency in dense_blocks(edge_index, ptr, MAX_DENSE_NODES, torch.float64):
        values, vectors = _decomposition(_normalised(adjacency))
        out[nodes] = (vectors.square() @ (values.unsqueeze(-1) * decay).exp()).to(out.dtype)
    for large in large_graphs(edge_index, ptr, MAX_DENSE_NODES):
        out[large.nodes] = heat_kernel_diagonal(_normalised_sparse(large), times).to(out.dtype)
    out[edge_index[0].bincount(minlength=num_nodes) == 0] = 1
    return out


def flip_signs(eigenvectors: Tensor, batch: Tensor | None = None) -> Tensor:
    r"""Each eigenvector of each graph, or its negative, at random: in training, so that no sign is learned by heart.

    Args:
        eigenvectors: Of :func:`laplacian_encoding`.
        batch: The graph of every node, not falling; None for one graph.

    Shapes:
        - **eigenvectors:** :math:`(N, K)`, **batch:** :math:`(N)`
        - **output:** :math:`(N, K)`

    Raises:
        ValueError: `batch` is not sorted, or not of one entry for each node.
    """
    num_nodes, num_vectors = eigenvectors.shape
    num_graphs = pointers(batch, num_nodes).numel() - 1
    signs = 1 - 2 * torch.randint(2, (num_graphs, num_vectors), device=eigenvectors.device)
    return eigenvectors * (signs if batch is None else signs[batch])


class SignInvariantEncoding(nn.Module):
    r"""SignNet, of `"Sign and Basis Invariant Networks for Spectral Graph Representation Learning"
    <https://arxiv.org/abs/2202.13013>`_.

    .. math::
        \mathbf{p} = \rho \left( \left[ \phi(\mathbf{u}_k) + \phi(-\mathbf{u}_k) \right]_{k = 1}^K \right)

    Turning the sign of any eigenvector does not change a bit of it. :math:`\phi` is two layers of
    `torch_geometric.nn.GINConv` over the graph: a :math:`\phi` of each entry alone would lose which nodes are on the
    same side of an eigenvector. :math:`\rho` is a network of two layers over the vectors of each node. Where an
    eigenvalue is repeated the result still depends on the basis, see :func:`laplacian_encoding`.

    Args:
        num_vectors: :math:`K`.
        channels: Width of the result, and of both networks.

    Shapes:
        - **eigenvectors:** :math:`(N, K)`, **edge_index:** :math:`(2, E)`
        - **output:** :math:`(N, C)`

    Raises:
        ValueError: `eigenvectors` has another number of columns.
    """

    def __init__(self, num_vectors: int, channels: int) -> None:
        super().__init__()
        self.num_vectors = num_vectors
        self.phi = nn.ModuleList([GINConv(_two_layers(1, channels)), GINConv(_two_layers(channels, channels))])
        self.rho = _two_layers(num_vectors * channels, channels)

    def forward(self, eigenvectors: Tensor, edge_index: Tensor) -> Tensor:
        if eigenvectors.dim() != 2 or eigenvectors.size(1) != self.num_vectors:
            raise ValueError(f"eigenvectors must have shape [N, {self.num_vectors}]; found {list(eigenvectors.shape)}.")
        # Two calls on tensors of the same shape: a turned sign swaps the summands and nothing else, not even rounding.
        vectors = eigenvectors.t().unsqueeze(-1)  # [K, N, 1]
        invariant = self._phi(vectors, edge_index) + self._phi(-vectors, edge_index)  # [K, N, C]
        return self.rho(invariant.transpose(0, 1).flatten(1))

    def _phi(self, vectors: Tensor, edge_index: Tensor) -> Tensor:
        for conv in self.phi:
            vectors = conv(vectors, edge_index)
        return vectors


def _two_layers(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_channels, channels), nn.GELU(), nn.Linear(channels, channels))


def _both_directions(edge_index: Tensor) -> Tensor:
    """Without self-loops. What was there in both directions is now twice: normalised, that is the same matrix."""
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    return torch.cat([edge_index, edge_index.flip(0)], dim=1)


def _normalised(adjacency: Tensor) -> Tensor:
    """D^-1/2 A D^-1/2, dense [G, n, n]."""
    scale = _scale(adjacency.sum(dim=-1))
    return scale.unsqueeze(-1) * adjacency * scale.unsqueeze(-2)


def _normalised_sparse(large: LargeGraph) -> Tensor:
    """D^-1/2 A D^-1/2, sparse [n, n]."""
    source, target = large.edge_index
    scale = _scale(source.bincount(minlength=large.num_nodes).double())
    return sparse_matrix(large.edge_index, scale[source] * scale[target], large.num_nodes)


def _scale(degree: Tensor) -> Tensor:
    return degree.rsqrt().masked_fill(degree == 0, 0)


def _decomposition(normalised: Tensor) -> tuple[Tensor, Tensor]:
    """All eigenvalues [..., n] and eigenvectors [..., n, n] of I - S, the smallest first."""
    identity = torch.eye(normalised.size(-1), dtype=normalised.dtype, device=normalised.device)
    values, vectors = torch.linalg.eigh(identity - normalised)
    return values.clamp(min=0), vectors  # what is zero may come out a rounding error below


def _smallest(normalised: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` of :func:`_decomposition`, or all there are, for one large sparse matrix."""
    num_nodes = normalised.size(0)
    if 4 * count > num_nodes:  # too many for Lanczos to be worth it
        values, vectors = _decomposition(normalised.to_dense())
        return values[:count], vectors[:, :count]
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.linalg import eigsh  # type: ignore[import-untyped]

    on_cpu = normalised.cpu()
    matrix = coo_array((on_cpu.values().numpy(), tuple(on_cpu.indices().numpy())), shape=on_cpu.shape).tocsr()
    start = torch.rand(num_nodes, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).numpy()
    # The largest of S are the smallest of I - S. More vectors than the 20 by default save many restarts.
    values, vectors = eigsh(matrix, k=count, which="LA", v0=start, ncv=min(num_nodes, max(4 * count, 64)))
    order = values.argsort()[::-1].copy()
    return torch.from_numpy(1 - values[order]).clamp(min=0), torch.from_numpy(vectors[:, order])
