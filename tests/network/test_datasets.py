"""Networks of cards: each format is read, checksums come first, and no pickle makes anything but arrays."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from gatlib.data import cards as cards_module
from gatlib.errors import InputError
from gatlib.network.datasets import read_network_dataset
from gatlib.network.planetoid import read_planetoid
from gatlib.network.sources import NetworkSource, read_labelled_source, read_source
from tests.network.card_files import planetoid_files, python_2_pickle, write_card, write_friends


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cards"
    monkeypatch.setattr(cards_module, "cards_dir", lambda: folder)
    return folder


def test_tables(cards: Path, tmp_path: Path) -> None:
    write_friends(cards, tmp_path, "town")
    found = read_network_dataset("town", tmp_path)
    assert (found.network.num_nodes, found.source, found.given) == (60, "town", ())
    assert list(found.network.attributes.columns) == ["age", "town"]
    assert {label: found.labels.count(label) for label in set(found.labels)} == {
        "dancers": 25,
        "chess players": 25,
        None: 10,
    }
    assert read_source(NetworkSource("town", data_dir=tmp_path), directed=False).ids == found.network.ids


def test_the_files_of_planetoid(cards: Path, tmp_path: Path) -> None:
    write_card(cards, tmp_path, "papers", planetoid_files(), format="planetoid", split="public")
    found = read_network_dataset("papers", tmp_path)
    assert found.network.ids == list("012345")
    assert found.network.edge_index.T.tolist() == [[0, 1], [1, 0], [2, 3], [3, 2], [4, 5], [5, 4]]
    assert found.labels == ["0", "1", "0", "1", None, "1"]
    assert found.network.active is not None
    assert found.network.active.toarray().tolist() == np.eye(4)[[0, 1, 0, 1, 3, 2], :3].tolist()
    (split,) = found.given
    assert (split.train.tolist(), split.test.tolist()) == ([0, 1], [5])


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch trapped",)


def test_a_pickle_makes_nothing_that_could_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = planetoid_files() | {"graph": pickle.dumps(Trap(), protocol=2)}
    for role, content in files.items():
        (tmp_path / role).write_bytes(content)
    with pytest.raises(pickle.UnpicklingError, match="system has no place in a file of Planetoid"):
        read_planetoid({role: tmp_path / role for role in files})
    assert not (tmp_path / "trapped").exists()


def test_a_pickle_of_other_bytes_is_not_even_read(cards: Path, tmp_path: Path) -> None:
    write_card(cards, tmp_path, "papers", planetoid_files(), format="planetoid", split="public")
    (tmp_path / "papers" / "graph").write_bytes(python_2_pickle({0: [1]}))
    with pytest.raises(InputError, match=r"graph is not the papers file of its card \(SHA-256"):
        read_network_dataset("papers", tmp_path)


def test_a_file_with_several_splits(cards: Path, tmp_path: Path) -> None:
    written = io.BytesIO()
    train = np.array([[True, True, False, False], [False, False, True, True]])
    np.savez(
        written,
        node_features=np.array([[0.5, 1], [0.25, 0], [0.125, 1], [0.75, 0]], dtype=np.float32),
        node_labels=np.array([0, 1, 0, 1]),
        edges=np.array([[0, 1], [2, 3]]),
        train_masks=train,
        val_masks=~train & np.array([True, False, True, False]),
        test_masks=~train & np.array([False, True, False, True]),
    )
    write_card(cards, tmp_path, "cells", {"npz": written.getvalue()}, format="heterophilous", split="given")
    found = read_network_dataset("cells", tmp_path)
    assert found.labels == ["0", "1", "0", "1"]
    assert found.network.attributes.to_numpy().tolist() == [[0.5, 1], [0.25, 0], [0.125, 1], [0.75, 0]]
    assert found.network.edge_index.shape == (2, 4)
    assert [split.train.tolist() for split in found.given] == [[0, 1], [2, 3]]
    assert [split.test.tolist() for split in found.given] == [[3], [1]]


def test_what_is_missing_is_named(cards: Path, tmp_path: Path) -> None:
    write_friends(cards, tmp_path, "town")
    (tmp_path / "town" / "labels.csv").unlink()
    with pytest.raises(
        InputError, match=r"the town file town/labels.csv is not in .*cannot be downloaded, as its card"
    ):
        read_network_dataset("town", tmp_path)


def test_a_card_lacks_a_file(cards: Path, tmp_path: Path) -> None:
    write_card(cards, tmp_path, "town", {"edges": b"a,b\n"})
    with pytest.raises(InputError, match="files must be edges, labels in the format 'tables'; found edges"):
        read_network_dataset("town", tmp_path)


def test_its_labels_are_its_own(cards: Path, tmp_path: Path) -> None:
    write_friends(cards, tmp_path, "town")
    with pytest.raises(InputError, match="the labels of town are 'circle': leave --target out"):
        read_labelled_source(NetworkSource("town", data_dir=tmp_path), None, "age", "random", False)
