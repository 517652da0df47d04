"""Data files are verified, downloaded when missing, and results appear whole or not at all."""

import gzip
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gatlib.data.cards import DatasetCard, load_card
from gatlib.data.files import atomic_path, data_dir, dataset_file, find_file
from gatlib.errors import InputError

CONTENT = b"smiles,y\nC,1\n"


def card_of(url: str) -> DatasetCard:
    digest = hashlib.sha256(CONTENT).hexdigest()
    changes = {"name": "tiny", "file": "molecules/tiny.csv", "sha256": digest, "urls": [url]}
    return load_card("tox21").model_copy(update=changes)


@pytest.fixture
def card() -> DatasetCard:
    return card_of("http://127.0.0.1:9/tiny.csv")  # nobody listens there


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address it is served at on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/tiny.csv"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_data_folder_is_the_given_one_or_the_environments_or_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATLIB_DATA_DIR", "/somewhere")
    assert data_dir(Path("/here")) == Path("/here")
    assert data_dir() == Path("/somewhere")
    monkeypatch.setenv("GATLIB_DATA_DIR", "")
    assert data_dir().parts[-2:] == ("gatlib", "data")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_file_in_place_is_verified_and_used(packed: bool, card: DatasetCard, tmp_path: Path) -> None:
    path = tmp_path / f"{card.file}{'.gz' * packed}"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(CONTENT) if packed else CONTENT)
    assert dataset_file(card, tmp_path) == path == find_file(card, tmp_path)


def test_a_file_with_other_bytes_is_refused(card: DatasetCard, tmp_path: Path) -> None:
    path = tmp_path / card.file
    path.parent.mkdir()
    path.write_bytes(CONTENT + b"\n")
    with pytest.raises(InputError, match=r"tiny\.csv is not the tiny file of its card \(SHA-256 .*\): delete it"):
        dataset_file(card, tmp_path)


def test_a_source_that_is_packed_is_kept_packed(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "tiny.csv.gz").write_bytes(gzip.compress(CONTENT))
    card = card_of(f"{address}.gz")
    path = dataset_file(card, tmp_path)
    assert path == tmp_path / f"{card.file}.gz" == find_file(card, tmp_path)
    assert gzip.decompress(path.read_bytes()) == CONTENT


def test_a_packed_source_of_other_bytes_is_refused(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "tiny.csv.gz").write_bytes(gzip.compress(CONTENT + b"more"))
    with pytest.raises(InputError, match=r"tiny\.csv\.gz is not the tiny file of its card"):
        dataset_file(card_of(f"{address}.gz"), tmp_path)


def test_a_packed_file_that_was_cut_off_is_refused(card: DatasetCard, tmp_path: Path) -> None:
    path = tmp_path / f"{card.file}.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(CONTENT)[:-9])
    with pytest.raises(InputError, match="is not a whole gzip file"):
        dataset_file(card, tmp_path)


def test_a_missing_file_is_downloaded_once(served: tuple[Path, str], tmp_path: Path) -> None:
    source, url = served
    (source / "tiny.csv").write_bytes(CONTENT)
    card = card_of(url)
    path = dataset_file(card, tmp_path / "data")
    assert path.read_bytes() == CONTENT
    (source / "tiny.csv").unlink()
    assert dataset_file(card, tmp_path / "data") == path


def test_a_download_with_other_bytes_is_refused_and_not_kept(served: tuple[Path, str], tmp_path: Path) -> None:
    source, url = served
    (source / "tiny.csv").write_bytes(b"<html>sign in</html>")
    with pytest.raises(InputError, match="could not be downloaded"):
        dataset_file(card_of(url), tmp_path / "data")
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_without_a_network_the_reason_says_where_to_put_the_file(card: DatasetCard, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"the tiny file is not in .* could not be downloaded .*: put molecules/tiny.csv"
    ):
        dataset_file(card, tmp_path)


def test_a_result_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with atomic_path(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_result_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with atomic_path(tmp_path / "out.csv") as path:
            path.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*out\.csv: No space left"), atomic_path(tmp_path / "out.csv"):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, reason in [
        (tmp_path, "it is a folder"),
        (Path("."), "it is a folder"),
        (tmp_path / "none" / "out.csv", "No such file or directory"),
        (tmp_path / "file" / "out.csv", "Not a directory"),
    ]:
        with pytest.raises(InputError, match=f"cannot write .*: {reason}"), atomic_path(path):
            pytest.fail("the block must not be entered")


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with atomic_path(pipe) as path:
        assert path == pipe
    assert stat.S_ISFIFO(pipe.stat().st_mode)
