"""Memory for large results, in huge pages where the system has them.

A fresh tensor of 50 MB in pages of 4 KiB is 12,500 page faults, which take longer than filling it.
"""

import ctypes
import sys
from functools import cache
from typing import Any

import torch
from torch import Tensor

_HUGE_PAGE = 2**21
_MADV_HUGEPAGE = 14


def empty(*shape: int, dtype: torch.dtype) -> Tensor:
    """`torch.empty`."""
    tensor = torch.empty(*shape, dtype=dtype)
    size = tensor.nbytes
    if size >= 2 * _HUGE_PAGE and sys.platform == "linux":
        # Advice on whole pages within the tensor; a system that cannot follow it says so, and nothing is lost.
        start = -(-tensor.data_ptr() // _HUGE_PAGE) * _HUGE_PAGE
        stop = (tensor.data_ptr() + size) // _HUGE_PAGE * _HUGE_PAGE
        _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _MADV_HUGEPAGE)
    return tensor


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)
