r"""What is in a tensor, told by a few bytes: whoever writes to its memory, and however, changes them.

PyTorch counts what it writes itself, but not what comes through `.data`, NumPy, DLPack or shared memory. So the content
is read. A tensor is blocks of 64-bit words, and each block has two sums

.. math::
    \sum_w \mathrm{low}(m_w + k_w) \cdot \mathrm{high}(m_w + k_w) \bmod 2^{64}

of the 32-bit halves of its words with random keys, drawn once per process: the universal hash NH of UMAC (Black et al.,
`"UMAC: Fast and Secure Message Authentication" <https://doi.org/10.1007/3-540-48405-1_14>`_, 1999). Two different
blocks, whatever they are, agree in one sum with a probability of about :math:`2^{-31}`, in both of about
:math:`2^{-62}`.
"""

import secrets
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric import EdgeIndex, Index

Content = tuple[tuple[torch.dtype, torch.Size, bool, bytes], ...]

BLOCK = 512  # words: of data and keys together 12 KiB, which the first-level cache holds
_BLOCKS_AT_ONCE = 2_048  # so that the steps on a device hold some tens of MB, however large the tensor


def content_of(tensors: Sequence[Tensor]) -> Content:
    """What differs if the tensors differ in anything: numbers, dtype or shape."""
    return tuple(map(_content_of, tensors))


def digest_of(content: Content) -> Tensor:
    """The same in 16 bytes, [2] int64, for an operator to hand on."""
    digest = blake2b(digest_size=16)
    for dtype, shape, lies_transposed, sums in content:
        digest.update(f"{dtype} {(*shape,)} {lies_transposed} ".encode() + sums)
    return _int64(digest.digest())


def unwrapped(tensor: Tensor) -> Tensor:
    """The tensor in an `EdgeIndex` or `Index` of PyG, which has no memory of its own; any other as it is."""
    return tensor.as_tensor() if isinstance(tensor, (EdgeIndex, Index)) else tensor


def is_readable(tensor: Tensor) -> bool:
    """Whether the tensor has memory of its own to be read: no compiler traces it and no transform wraps it."""
    return (
        type(tensor) in (Tensor, torch.nn.Parameter)
        and tensor.layout == torch.strided
        and not tensor.is_meta
        and not torch.jit.is_tracing()
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._are_functorch_transforms_active()
    )


def block_sums(tensor: Tensor, keys: Tensor) -> Tensor:
    """The two sums of each block, [blocks, 2], in steps of PyTorch.

    Args:
        tensor: Contiguous.
        keys: Random, [2, words in a block] int64.
    """
    octets, size = tensor.detach().flatten().view(torch.uint8), 8 * keys.size(1)
    whole, rest = octets.tensor_split([octets.numel() // size * size])
    parts = [_sums(part, keys) for part in (*whole.split(_BLOCKS_AT_ONCE * size), rest) if part.numel() > 0]
    return torch.cat(parts) if parts else keys.new_empty(0, 2)


def _sums(octets: Tensor, keys: Tensor) -> Tensor:
    """Of whole blocks, or of less than one."""
    numbers = F.pad(octets, (0, -octets.numel() % 8)).view(torch.int64)
    keys = keys[:, : numbers.numel()]
    words = numbers.view(-1, 1, keys.size(1)) + keys
    low = words & 0xFFFFFFFF
    words >>= 32
    words &= 0xFFFFFFFF
    return low.mul_(words).sum(dim=-1)


def _content_of(tensor: Tensor) -> tuple[torch.dtype, torch.Size, bool, bytes]:
    # A list of edges [E, 2], transposed, is read as it lies in memory.
    lies_transposed = not tensor.is_contiguous() and tensor.dim() == 2 and tensor.t().is_contiguous()
    laid_out = tensor.t() if lies_transposed else tensor.contiguous()
    if tensor.device.type == "cpu":
        sums = _cpu().block_sums(laid_out, _keys("cpu"))
    else:
        sums = block_sums(laid_out, _keys(str(tensor.device))).cpu().numpy()
    return tensor.dtype, tensor.shape, lies_transposed, sums.tobytes()


@cache
def _keys(device: str) -> Tensor:
    if device != "cpu":
        return _keys("cpu").to(device)
    return _int64(secrets.token_bytes(16 * BLOCK)).view(2, BLOCK)


def _int64(octets: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(bytearray(octets), dtype=np.int64))  # on the CPU, whatever the default device


@cache
def _cpu() -> Any:
    """Imported when first needed: Numba takes its time."""
    return import_module("gatlib.kernels.cpu.content")
