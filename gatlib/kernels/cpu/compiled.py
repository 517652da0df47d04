"""How the kernels are compiled: once for all, as far as the disk allows."""

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit

from gatlib.kernels.cpu.lanes import FAST

_njit: Any = partial(njit, error_model="numpy", fastmath=set(FAST))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles at the first call, without the GIL, and keeps the machine code on disk for later processes.

    Numba keeps it beside the source or, where that cannot be written, in the user's cache directory
    (`NUMBA_CACHE_DIR` names another). With no such place every process compiles anew, which only costs time.
    """
    try:
        return _njit(function, nogil=True, cache=True)
    except RuntimeError:  # "cannot cache function: no locator available"
        return _njit(function, nogil=True)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles as part of the kernel that calls it."""
    return _njit(function, forceinline=True)
