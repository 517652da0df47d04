"""How the kernels are compiled: once for all, as far as the disk allows."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

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
    """Knows machine code by all the sources it was made of; Numba's own looks at the kernel's file alone.

    Files that cannot be read or written are as good as none.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = (self._impl.locator.get_source_stamp(), _SOURCES_HASH)
        self._cache_file = _KernelFiles(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception:
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        with suppress(Exception):
            super().save_overload(signature, data)


class _KernelFiles(IndexDataCacheFile):
    """An index for each kernel: in a common one, processes that compile at once take one's code for the other's."""

    def __init__(self, folder: str, name: str, stamp: Any) -> None:
        super().__init__(folder, name, stamp)
        self.folder, self.name, self.stamp = folder, name, stamp

    def load(self, key: Any) -> Any:
        return self._of(key).load(key)

    def save(self, key: Any, data: Any) -> None:
        file = self._of(key)
        file.flush()  # the index may be one that cannot be read
        file.save(key, data)

    def _of(self, key: Any) -> IndexDataCacheFile:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return IndexDataCacheFile(self.folder, f"{self.name}.{digest}", self.stamp)
