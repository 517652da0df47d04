"""The heat kernel of a graph that is too large to be decomposed."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gatlib.nn.encodings.graph_blocks import unit_vectors


def heat_kernel_diagonal(adjacency: Tensor, times: Sequence[float]) -> Tensor:
    r"""The diagonal of :math:`\exp(-t (\mathbf{I} - \mathbf{S}))`, to the precision of the numbers.

    .. math::
        e^{-t (1 - x)} = \sum_k c_k(t) \, T_k(x), \qquad T_{k+1}(x) = 2 x \, T_k(x) - T_{k-1}(x)

    is cut off where the Chebyshev coefficients :math:`c_k` vanish, after about :math:`9 \sqrt{t}` of them. As
    :math:`T_{2k} = 2 T_k^2 - 1` and :math:`T_{2k+1} = 2 T_k T_{k+1} - T_1`, half of the polynomials are enough.

    Args:
        adjacency: :math:`\mathbf{S}`: symmetric, with eigenvalues from -1 to 1 and a diagonal of zeros.
        times: :math:`t`, 0 or more.

    Shapes:
        - **adjacency:** :math:`(N, N)`, sparse
        - **output:** :math:`(N, T)`
    """
    coefficients = _coefficients(times, adjacency.dtype).to(adjacency.device)
    diagonal = torch.empty(adjacency.size(0), len(times), dtype=adjacency.dtype, device=adjacency.device)
    for nodes, vectors in unit_vectors(adjacency):
        previous, current = vectors, adjacency @ vectors  # the columns of T_0 and T_1
        ones = torch.ones_like(nodes, dtype=adjacency.dtype)
        moments = [ones, torch.zeros_like(ones)]
        for order in range(2, coefficients.size(0)):
            if order % 2:
                following = 2 * (adjacency @ current) - previous
                moments.append(2 * (current * following).sum(dim=0))
                previous, current = current, following
            else:
                moments.append(2 * current.square().sum(dim=0) - 1)
        diagonal[nodes] = torch.stack(moments, dim=1) @ coefficients
    return diagonal


def _coefficients(times: Sequence[float], dtype: torch.dtype) -> Tensor:
    """c_k(t), [K, T], by quadrature at the zeros of the first polynomial that is left out."""
    num_terms = 20 + math.ceil(9 * math.sqrt(max(times)))
    k = torch.arange(num_terms, dtype=torch.float64)
    angle = math.pi * (k + 0.5) / num_terms
    values = torch.exp((angle.cos() - 1).unsqueeze(1) * torch.tensor(times, dtype=torch.float64))
    coefficients = 2 / num_terms * (k.unsqueeze(1) * angle).cos() @ values
    coefficients[0] /= 2
    return coefficients.to(dtype)
