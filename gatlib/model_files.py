"""The two files that a prediction needs of every model folder, whatever kind of model it is.

``model.safetensors`` holds the weights, ``model.json`` everything else. Nothing is unpickled. Both files carry the
other's identity: a folder that was truncated or edited is refused before anything is built from it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gatlib.errors import InputError

FORMAT_VERSION: Final = 1
NODES: Final = "nodes"  # the kind of a model of nodes; one of molecules names no kind
LINKS: Final = "links"  # the kind of a model of edges
_USED_BY = {
    None: ("molecules", "gatlib predict"),
    NODES: ("the nodes of a network", "gatlib network predict"),
    LINKS: ("the edges of a network", "gatlib network predict"),
}


def write_model_files(folder: Path, weights: bytes, description: BaseModel) -> None:
    """Write ``model.safetensors`` and ``model.json``; the description holds the :func:`sha256` of the weights."""
    content = json.loads(description.model_dump_json())
    (folder / "model.safetensors").write_bytes(weights)
    # Written last: a folder with a model.json is a whole model.
    text = json.dumps({**content, "content_sha256": content_hash(content)}, indent=1, ensure_ascii=False)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def read_model_json(folder: Path, kind: str | None) -> dict[str, Any]:
    """The content of ``model.json``, as it was written.

    Args:
        folder: of the model.
        kind: :data:`NODES` or :data:`LINKS`, or None for a model of molecules.

    Raises:
        InputError: no such file, not JSON, of another kind, edited, or from a newer gatlib.
    """
    path = folder / "model.json"
    if not path.is_file():
        raise InputError(f"{folder} is not a model folder: it has no model.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
        stored_hash = content.pop("content_sha256")
        found = content.get("kind")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path} is not a whole model description (truncated or edited): copy the folder again"
        ) from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise InputError(
            f"{path} is of a newer format ({version!r}, this gatlib reads {FORMAT_VERSION}): upgrade gatlib"
        )
    if stored_hash != content_hash(content):
        raise InputError(f"{path} was changed after training (its checksum does not match): copy the folder again")
    if found != kind and found in _USED_BY:
        what, command = _USED_BY[found]
        raise InputError(f"{folder} is a model of {what}: use '{command} -m {folder}'")
    return content


def model_kind(folder: Path) -> str | None:
    """The kind that ``model.json`` claims to be of; None also where it cannot be read, which whoever loads it says."""
    try:
        return json.loads((folder / "model.json").read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def read_weights(folder: Path, expected_sha256: str) -> bytes:
    """The bytes of ``model.safetensors``.

    Raises:
        InputError: they are missing, truncated or edited.
    """
    path = folder / "model.safetensors"
    weights = path.read_bytes() if path.is_file() else b""
    if sha256(weights) != expected_sha256:
        state = "are missing" if not weights else "are not those that model.json describes (truncated or edited)"
        raise InputError(f"the weights {path} {state}: copy the folder again")
    return weights


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content_hash(content: dict[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
