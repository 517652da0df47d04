"""Networks in: one graph whose nodes are people, pages or papers, with their attributes and labels."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatlib.network.link_predict import LinkPredictor
    from gatlib.network.predict import NodePredictor

__all__ = ["LinkPredictor", "NodePredictor"]


def __getattr__(name: str) -> Any:
    # PyTorch is not needed to read a network.
    if name == "NodePredictor":
        from gatlib.network.predict import NodePredictor

        return NodePredictor
    if name == "LinkPredictor":
        from gatlib.network.link_predict import LinkPredictor

        return LinkPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
