"""Data in: cards, files, tables, splits, batches, and networks of networkx."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatlib.network.formats import from_networkx

__all__ = ["from_networkx"]


def __getattr__(name: str) -> Any:
    # networkx and SciPy are needed by few who import this package.
    if name == "from_networkx":
        from gatlib.network.formats import from_networkx

        return from_networkx
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
