"""Tensors that lie beside each other: as the columns of one table [N, W], a node's row after the other's.

One matrix product then makes queries, keys and values, one takes their gradients back, and a node's key and value are
fetched from memory together.
"""

from collections.abc import Sequence

from torch import Tensor


def table_of(columns: Sequence[Tensor]) -> Tensor | None:
    """The table [N, W] that consists of these columns [N, ...], in this order; None if there is none."""
    first = columns[0]
    if first.is_contiguous():
        return None
    width, offset, storage = first.stride(0), first.storage_offset(), first.untyped_storage().data_ptr()
    for column in columns:
        if (
            column.untyped_storage().data_ptr() != storage
            or column.size(0) != first.size(0)
            or column.dtype != first.dtype
            or column.stride(0) != width
            or column.storage_offset() != offset
            or not column[0].is_contiguous()
        ):
            return None
        offset += column[0].numel()
    if offset - first.storage_offset() != width:
        return None
    return first.as_strided((first.size(0), width), (width, 1))


def node_columns(query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """The order in which kernels look for them in a table: that in which PyG's layers make them."""
    return [key, query] if value is key else [query, key, value]


def columns_of(table: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The columns of a table, of the shapes of these tensors."""
    widths = [tensor.shape[1:].numel() for tensor in like]
    return [column.view(tensor.shape) for column, tensor in zip(table.split(widths, dim=1), like, strict=True)]
