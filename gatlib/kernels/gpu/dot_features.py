"""Edge features of the dot score, kept away from the edges.

q (W a) = (q W) a, and the sum of weights times W a is W times the sum of weights times a. So the kernels multiply the
features of edges with `edge_query`, which is q W, and sum them up as they are, in `edge_out`; the products with the
matrix W are over nodes, and cuBLAS does them.
"""

import torch
from torch import Tensor

from gatlib.kernels.gpu import backward_pass, forward_pass
from gatlib.kernels.gpu.sort import SortedGraph
from gatlib.kernels.interface import Attention, Forward, Gradients


def forward(attention: Attention, graph: SortedGraph, return_weights: bool) -> Forward:
    matrices = _matrices(attention)
    if matrices is None:
        return forward_pass.forward(attention, graph, return_weights)
    result = forward_pass.forward(_without_matrix(attention, matrices), graph, return_weights)
    assert result.edge_out is not None
    result.out.add_(_by_head(result.edge_out, matrices.transpose(1, 2)))
    return result


def backward(
    attention: Attention,
    graph: SortedGraph,
    edge_out: Tensor | None,
    grad_out: Tensor,
    grad_weights: Tensor | None,
    needs_edge_attr: bool,
) -> Gradients:
    matrices = _matrices(attention)
    if matrices is None:
        return backward_pass.backward(attention, graph, grad_out, None, grad_weights, needs_edge_attr)
    gradients = backward_pass.backward(
        _without_matrix(attention, matrices),
        graph,
        grad_out,
        _by_head(grad_out, matrices).contiguous(),
        grad_weights,
        needs_edge_attr,
    )
    assert edge_out is not None
    assert gradients.edge_query is not None
    gradients.query.add_(_by_head(gradients.edge_query, matrices.transpose(1, 2)))
    of_keys = _bmm(attention.query.permute(1, 2, 0), gradients.edge_query.transpose(0, 1))
    of_values = _bmm(grad_out.permute(1, 2, 0), edge_out.transpose(0, 1))
    return gradients._replace(edge_weight=(of_keys + of_values).flatten(end_dim=1), edge_query=None)


def _matrices(attention: Attention) -> Tensor | None:
    """W as [H, K, D]."""
    if attention.score != "dot" or attention.edge_weight is None:
        return None
    _, heads, channels = attention.query.shape
    return attention.edge_weight.view(heads, channels, -1)


def _without_matrix(attention: Attention, matrices: Tensor) -> Attention:
    return attention._replace(edge_weight=None, edge_query=_by_head(attention.query, matrices).contiguous())


def _by_head(rows: Tensor, matrices: Tensor) -> Tensor:
    """Multiplies rows [N, H, A] with a matrix for each head [H, A, B]."""
    return _bmm(rows.transpose(0, 1), matrices).transpose(0, 1)


def _bmm(a: Tensor, b: Tensor) -> Tensor:
    """`torch.bmm` in the precision of its arguments, also under autocast."""
    if not torch.is_autocast_enabled(a.device.type):
        return torch.bmm(a, b)
    with torch.autocast(a.device.type, enabled=False):
        return torch.bmm(a, b)
