"""How the kernels are compiled: once for all, as far as the disk allows."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from gatlib.kernels.cpu.lanes import FAST

_njit: Any = partial(njit, error_model="numpy", fastmath=set(FAST))

_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_SOURCES_HASH = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles at the first call, without the GIL, and keeps the machine code on disk for later processes.

    Numba keeps it beside the source or, where that cannot be written, in the user's cache directory
    (`NUMBA_CACHE_DIR` names another). With no such place every process compiles anew, which only costs time.
    """
    dispatcher = _njit(function, nogil=True)
    with suppress(RuntimeError):  # "cannot cache function: no locator available"
        dispatcher._cache = _KernelCache(function)
    return dispatcher


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles as part of the kernel that calls it."""
    return _njit(function, forceinline=True)


class _KernelCache(FunctionCache):
    """Knows machine code by all the sources it was made of; Numba's own looks at the kernel's file alone."""

    def _index_key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(signature, codegen), _SOURCES_HASH)
