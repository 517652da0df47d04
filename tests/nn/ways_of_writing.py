"""All the ways in which the numbers of a tensor can be replaced, most of them without PyTorch's knowledge."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _assign_data(tensor: Tensor, new: Tensor) -> None:
    # A view of the same strides, as the tensor had them.
    tensor.data = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype).copy_(new)


def _write_to_data(tensor: Tensor, new: Tensor) -> None:
    tensor.data[...] = new


def _write_by_numpy(tensor: Tensor, new: Tensor) -> None:
    tensor.detach().numpy()[...] = new.numpy()


def _write_by_dlpack(tensor: Tensor, new: Tensor) -> None:
    torch.from_dlpack(tensor.detach()).copy_(new)


def _write_by_address(tensor: Tensor, new: Tensor) -> None:
    """As another process does to shared memory, or another library to a buffer that both hold."""
    storage = tensor.untyped_storage()
    octets = torch.frombuffer(bytearray(storage.nbytes()), dtype=tensor.dtype) if storage.nbytes() else tensor
    laid_out = octets.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    laid_out.copy_(new)
    storage.copy_(octets.untyped_storage())


WAYS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "copy_": lambda tensor, new: tensor.copy_(new),
    "a view": lambda tensor, new: tensor.view_as(tensor).copy_(new),
    "detached": lambda tensor, new: tensor.detach().copy_(new),
    ".data =": _assign_data,
    ".data[...] =": _write_to_data,
    ".data.copy_": lambda tensor, new: tensor.data.copy_(new),
    "numpy": _write_by_numpy,
    "dlpack": _write_by_dlpack,
    "the storage": _write_by_address,
}
