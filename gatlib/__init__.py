"""gatlib: graph attention for molecules and networks, on PyTorch Geometric."""

from typing import TYPE_CHECKING, Any

from gatlib.errors import InputError

if TYPE_CHECKING:
    from gatlib.predictor import Predictor

__version__ = "0.1.0"

__all__ = ["InputError", "Predictor"]


def __getattr__(name: str) -> Any:
    # Predictor needs torch and RDKit; importing gatlib (or one of its layers) must not.
    if name == "Predictor":
        from gatlib.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
