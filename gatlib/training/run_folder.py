"""What every training run does with the folder that it writes."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import gatlib
from gatlib.errors import InputError

STATE = ".training"  # folder of an unfinished run


def check_output_folder(folder: Path) -> None:
    """Refuse a folder that cannot take a new model.

    Raises:
        InputError: it holds a model already, is a file, or cannot be written.
    """
    if (folder / "model.json").exists():
        raise InputError(f"{folder} holds a trained model already: name another folder, or delete this one first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror}") from None


def same_run(path: Path, settings: dict[str, object]) -> None:
    """Write down what run this is, or refuse to mix it with another one that stopped here."""
    text = json.dumps(settings, indent=1, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{path.parent.parent} holds an unfinished run with other settings: repeat the same command to finish it, "
            "delete the folder, or name another one"
        )
    path.write_text(text, encoding="utf-8")


PACKAGES = ("torch", "torch-geometric", "rdkit", "lightning", "numpy")
NETWORK_PACKAGES = ("torch", "torch-geometric", "lightning", "numpy", "scipy", "networkx")


def library_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The versions that decide a result."""
    versions = {package: version(package) for package in packages}
    return {"gatlib": gatlib.__version__, "python": platform.python_version(), **versions}


def one_line(versions: Mapping[str, str]) -> str:
    """For a column of a table of results."""
    return " ".join(f"{package}={version}" for package, version in versions.items())
