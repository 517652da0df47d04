"""Where model folders are, and what must be known of a model before it is loaded."""

import json
from pathlib import Path
from typing import get_args

from gatlib.chem import SideFeatures
from gatlib.errors import InputError

_BUNDLED = Path(__file__).parent / "bundled"
_PRETRAINED = _BUNDLED / "pretrained"


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _BUNDLED.glob("*/model.json"))


def model_folder(model: str | Path) -> Path:
    """The folder of a bundled name or of a path.

    Raises:
        InputError: when it is neither.
    """
    if str(model) in bundled_models():
        return _BUNDLED / str(model)
    if Path(model).is_dir():
        return Path(model)
    raise InputError(
        f"there is no model {str(model)!r}: name a folder written by 'gatlib train' or a bundled model "
        f"({', '.join(bundled_models())})"
    )


def pretrained_networks() -> list[str]:
    """Names of the pretrained networks that come with the package."""
    return sorted(path.parent.name for path in _PRETRAINED.glob("*/model.json"))


def pretrained_folder(network: str | Path) -> Path:
    """The folder of a pretrained network, of a bundled name or of a path.

    Raises:
        InputError: when it is neither.
    """
    bundled = pretrained_networks()
    if str(network) in bundled:
        return _PRETRAINED / str(network)
    if Path(network).is_dir():
        return Path(network)
    raise InputError(
        f"there is no pretrained network {str(network)!r}: name a folder written by 'gatlib pretrain'"
        + (f" or one that comes with gatlib ({', '.join(bundled)})" if bundled else "")
    )


def featurization_of(model: str | Path) -> tuple[SideFeatures, bool]:
    """``side_features`` and ``canonical`` of :func:`gatlib.chem.featurize` for a model, without the seconds to load it.

    Of a description that is not whole: the defaults; whoever loads the model is told.

    Raises:
        InputError: see :func:`model_folder`.
    """
    path = model_folder(model) / "model.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))["architecture"]
        side_features, laplacian = settings["side_features"], settings["laplacian"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "none", False
    return side_features if side_features in get_args(SideFeatures) else "none", bool(laplacian)
