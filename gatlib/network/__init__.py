"""Networks in: one graph whose nodes are people, pages or papers, with their attributes and labels."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatlib.network.predict import NodePredictor

__all__ = ["NodePredictor"]


def __getattr__(name: str) -> Any:
    # PyTorch is not needed to read a network.
    if name == "NodePredictor":
        from gatlib.network.predict import NodePredictor

        return NodePredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
