"""Where data files lie, how they are verified and downloaded, and how results are written."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gatlib.data.cards import DataFile, DatasetCard
from gatlib.errors import InputError


def data_dir(given: Path | None = None) -> Path:
    """``given``, else ``$GATLIB_DATA_DIR``, else the user's cache directory."""
    if given is not None:
        return given
    if os.environ.get("GATLIB_DATA_DIR"):
        return Path(os.environ["GATLIB_DATA_DIR"])
    import platformdirs

    return Path(platformdirs.user_cache_dir("gatlib")) / "data"


def find_file(wanted: DataFile, folder: Path) -> Path | None:
    """The file below ``folder``, packed or not; None when it is not there."""
    for path in (folder / wanted.file, folder / f"{wanted.file}.gz"):
        if path.is_file():
            return path
    return None


def dataset_file(card: DatasetCard, given_dir: Path | None = None) -> Path:
    """The verified file of a data set, downloaded when it is not in the data directory yet.

    Raises:
        InputError: when the file on disk is not the card's file, or it cannot be downloaded.
    """
    return verified_file(card, card.name, given_dir)


def verified_file(wanted: DataFile, name: str, given_dir: Path | None = None) -> Path:
    """:func:`dataset_file` for one file of several; ``name`` is that of the data set."""
    folder = data_dir(given_dir)
    path = find_file(wanted, folder) or _download(wanted, name, folder)
    found = _sha256(path)
    if found != wanted.sha256:
        raise InputError(
            f"{path} is not the {name} file of its card (SHA-256 {found[:12]}…, expected {wanted.sha256[:12]}…): "
            "delete it to download it again"
        )
    return path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_bytes(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked when its name ends in ``.gz``.

    Raises:
        InputError: when a packed file is broken.
    """
    try:
        file: IO[bytes] = gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[assignment] # noqa: SIM115
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    with file:
        try:
            yield file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{path} is not a whole gzip file ({error}): fetch it again") from None


def _download(wanted: DataFile, name: str, folder: Path) -> Path:
    import pooch

    if not wanted.urls:
        raise InputError(
            f"the {name} file {wanted.file} is not in {folder} and cannot be downloaded, as its card says: "
            "put it there, or name another folder with --data-dir"
        )
    target = folder / wanted.file
    for url in wanted.urls:
        packed = url.endswith(".gz")  # the card's hash is of the unpacked file: whoever called looks at it
        known_hash = None if packed else f"sha256:{wanted.sha256}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            stored = f"{target.name}.gz" if packed else target.name
            return Path(pooch.retrieve(url, known_hash=known_hash, fname=stored, path=target.parent))
        except (OSError, ValueError) as error:
            reason = type(error).__name__
    raise InputError(
        f"the {name} file is not in {folder} and could not be downloaded ({reason}): "
        f"put {wanted.file} (or {wanted.file}.gz) from {wanted.urls[0]} there, or name another folder with --data-dir"
    )


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an error.

    What is no file, ``/dev/null`` or a pipe, is written to directly.

    Raises:
        InputError: when ``path`` cannot be written, mostly at once.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder")
    try:
        if path.exists() and not path.is_file():
            yield path
            return
        partial = path.with_name(path.name + ".partial")
        try:
            partial.touch()
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
