"""A linear layer for features most of which are zero."""

from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gatlib.kernels.remembered import remembered
from gatlib.nn.dropout import dropout


class SparseLinear(pyg.Linear):
    r"""`torch_geometric.nn.Linear` for dense and sparse inputs: :math:`\mathbf{X} \mathbf{W}^\top + \mathbf{b}`.

    A sparse input is never made dense, neither forward nor backward, and has no gradient itself. It is transposed once
    for as long as it lives, where PyTorch would do so in every backward pass.

    Shapes:
        - **x:** :math:`(N, F)`, dense or `torch.sparse_csr`
        - **output:** :math:`(N, C)`
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.layout != torch.sparse_csr:
            return super().forward(x)
        out = _SparseProduct.apply(x, self.weight)
        return out if self.bias is None else out + self.bias


def taking_sparse_input(conv: nn.Module) -> nn.Module:
    """A layer, PyG's or ours, with a :class:`SparseLinear` for each linear map of its nodes, of the same weights."""
    for name, linear in list(conv.named_children()):
        if type(linear) is pyg.Linear and name != "lin_edge":
            like = SparseLinear(
                linear.in_channels,
                linear.out_channels,
                linear.bias is not None,
                linear.weight_initializer,
                linear.bias_initializer,
            )
            like.load_state_dict(linear.state_dict())
            setattr(conv, name, like)
    return conv


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        # Made here, so that a backward pass has the features of its own forward pass.
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(_transposed(x))
        return x @ weight.t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (transposed,) = ctx.saved_tensors
        return None, (transposed @ grad).t()


def _transposed(x: Tensor) -> Tensor:
    return remembered(_transpose, x, x.size(1), read=(x.crow_indices(), x.col_indices(), x.values()))


def _transpose(pointers: Tensor, columns: Tensor, values: Tensor, num_columns: int) -> Tensor:
    size = (pointers.numel() - 1, num_columns)
    return torch.sparse_csr_tensor(pointers, columns, values, size, check_invariants=False).t().to_sparse_csr()


def drop_features(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero each feature with probability `p` in training, and scale up the others; of a sparse `x` those stored.

    Shapes:
        - **x** and **output:** :math:`(N, F)`, dense or `torch.sparse_csr`
    """
    if not training or p == 0 or x.layout != torch.sparse_csr:
        return dropout(x, p, training)
    values = dropout(x.values(), p, training)
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """``x[rows]``, which PyTorch does not do for a `torch.sparse_csr` matrix; ``[N, F]`` to ``[n, F]``."""
    if x.layout != torch.sparse_csr:
        return x[rows]
    starts, ends = x.crow_indices()[rows], x.crow_indices()[rows + 1]
    pointers = torch.cat([starts.new_zeros(1), (ends - starts).cumsum(0)])
    lengths = pointers.diff()
    stored = torch.arange(int(pointers[-1]), device=x.device)
    stored = stored + (starts - pointers[:-1]).repeat_interleave(lengths)
    return torch.sparse_csr_tensor(
        pointers, x.col_indices()[stored], x.values()[stored], (len(rows), x.size(1)), check_invariants=False
    )


def last_columns(x: Tensor, number: int) -> Tensor:
    """The last `number` columns, dense; ``[N, F]`` to ``[N, number]``."""
    first = x.size(1) - number
    if x.layout != torch.sparse_csr:
        return x[:, first:]
    is_last = x.col_indices() >= first
    columns = x.values().new_zeros(x.size(0), number)
    columns[_rows_of(x)[is_last], x.col_indices()[is_last] - first] = x.values()[is_last]
    return columns


def replace_last_columns(x: Tensor, columns: Tensor) -> Tensor:
    """A copy of `x` with `columns`, dense, in place of as many of its own; ``[N, F]``, dense or `torch.sparse_csr`."""
    number = columns.size(1)
    first = x.size(1) - number
    if x.layout != torch.sparse_csr:
        return torch.cat([x[:, :first], columns], dim=1)
    rows, is_kept = _rows_of(x), x.col_indices() < first
    kept = rows[is_kept].bincount(minlength=x.size(0))
    pointers = torch.cat([kept.new_zeros(1), (kept + number).cumsum(0)])
    # 1. What is kept moves down by the columns that were put in before it.
    places = torch.arange(int(kept.sum()), device=x.device) + number * rows[is_kept]
    new = pointers[1:, None] - number + torch.arange(number, device=x.device)
    # 2. Old and new values side by side.
    col_indices, values = (part.new_empty(int(pointers[-1])) for part in (x.col_indices(), x.values()))
    col_indices[places], values[places] = x.col_indices()[is_kept], x.values()[is_kept]
    col_indices[new], values[new] = torch.arange(first, x.size(1), device=x.device).expand_as(new), columns
    return torch.sparse_csr_tensor(pointers, col_indices, values, x.shape, check_invariants=False)


def _rows_of(x: Tensor) -> Tensor:
    """The row of each stored value of a `torch.sparse_csr` matrix."""
    return torch.arange(x.size(0), device=x.device).repeat_interleave(x.crow_indices().diff())


def first_rows(x: Tensor, number: int | None) -> Tensor:
    """``x[:number]``, all rows for None, also of a `torch.sparse_csr` matrix."""
    if number is None:
        return x
    if x.layout != torch.sparse_csr:
        return x[:number]
    pointers = x.crow_indices()[: number + 1]
    stored = int(pointers[-1])
    return torch.sparse_csr_tensor(
        pointers, x.col_indices()[:stored], x.values()[:stored], (number, x.size(1)), check_invariants=False
    )
