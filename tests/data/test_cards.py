"""Data set cards: all valid, and true of their files."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatlib.data import cards
from gatlib.data.cards import DatasetCard, card_names, load_any_card, load_card, load_network_card
from gatlib.data.files import data_dir as chosen_data_dir
from gatlib.data.files import dataset_file, find_file, open_bytes
from gatlib.data.tables import open_table
from gatlib.errors import InputError
from gatlib.network.datasets import read_network_dataset
from gatlib.network.splits import node_split

TOX21 = "tox21"
MOLECULES = [name for name in card_names() if isinstance(load_any_card(name), DatasetCard)]
NETWORKS = [name for name in card_names() if name not in MOLECULES]


@pytest.mark.parametrize("name", card_names())
def test_a_card_is_valid_and_named_like_its_file(name: str) -> None:
    card = load_any_card(name)
    assert card.name == name
    files = [card] if isinstance(card, DatasetCard) else card.files.values()
    assert all(url.startswith("https://") for file in files for url in file.urls)
    assert card.known_flaws


@pytest.mark.parametrize("name", MOLECULES)
def test_tasks_and_metric_of_a_card_of_molecules(name: str) -> None:
    card = load_card(name)
    assert len(set(card.targets)) == len(card.tasks)
    assert (card.metric in ("roc_auc", "pr_auc")) == (card.task_type == "classification")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_card_of_a_network_is_true_of_its_files(name: str, data_dir: Path) -> None:
    card = load_network_card(name)
    if any(find_file(file, data_dir) is None for file in card.files.values()):
        pytest.skip(f"the files of {name} are not there")
    labelled = read_network_dataset(name, data_dir)  # the files have the checksums of the card
    network = labelled.network
    assert (network.num_nodes, network.edge_index.shape[1]) == (card.num_nodes, 2 * card.num_edges)
    width = len(network.attributes.columns) if network.active is None else network.active.shape[1]
    assert width == card.num_features
    assert set(labelled.labels) - {None} == set(card.classes)
    assert len(card.classes) == 2 or card.metric == "accuracy"
    split, notes = node_split(labelled.labels, card.split, ids=network.ids, given=labelled.given)
    assert notes == []
    parts = split.parts().values()
    assert len(set(np.concatenate(list(parts)))) == sum(map(len, parts))
    assert all(labelled.labels[node] is not None for rows in parts for node in rows)


def test_kinds_of_cards_are_not_confused() -> None:
    with pytest.raises(InputError, match=r"^twitch_de is a network, not a set of molecules: use 'gatlib network train"):
        load_card("twitch_de")
    with pytest.raises(InputError, match=r"^tox21 is a set of molecules, not a network: use 'gatlib train tox21'"):
        load_network_card("tox21")


@pytest.mark.parametrize("name", MOLECULES)
def test_a_card_is_true_of_its_file(name: str, data_dir: Path) -> None:
    card = load_card(name)
    if find_file(card, data_dir) is None:
        pytest.skip(f"{card.file} is not there")
    path = str(dataset_file(card, data_dir))  # has the checksum of the card
    with open_table(path, card.smiles_column) as table:
        problems = [row.problem for row in table.rows]
    assert problems == [None] * card.num_rows
    assert card.smiles_column == table.columns[table.smiles_index]
    assert len(set(table.columns)) == len(table.columns)

    numbers = dict.fromkeys(card.targets, np.float64)  # any other text in a label cell is an error
    cells = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=numbers)
    assert cells[card.smiles_column].notna().all()
    assert card.id_column is None or cells[card.id_column].is_unique
    labels = cells[card.targets].to_numpy()
    assert np.isnan(labels).any() == ("blank" in card.labels)
    if card.task_type == "classification":
        assert ((labels == 0) | (labels == 1) | np.isnan(labels)).all()
        assert all((labels == kind).any(axis=0).all() for kind in (0, 1))
    else:
        assert not np.isinf(labels).any()
        assert not np.isnan(labels).all(axis=0).any()


def test_a_cards_checksum_is_of_the_unpacked_file(data_dir: Path) -> None:
    card = load_card(TOX21)
    path = find_file(card, data_dir)
    assert path is not None
    with open_bytes(path) as file:
        assert hashlib.sha256(file.read()).hexdigest() == card.sha256


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(InputError, match=r"there is no data set 'tox12'; there are: .*tox21"):
        load_card("tox12")
    with pytest.raises(InputError, match="there is no data set"):
        load_card("../tox21")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("unit:", "units:"), "unknown key 'units'|key 'unit' is missing"),
        (("task_type: classification", "task_type: ranking"), "key 'task_type': .*found 'ranking'"),
        (("sha256: 7d", "sha256: 7"), "key 'sha256': String should match pattern"),
    ],
    ids=["an unknown key", "an unknown task type", "a short checksum"],
)
def test_a_faulty_card_is_refused(
    change: tuple[str, str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (cards.cards_dir() / f"{TOX21}.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / f"{TOX21}.yaml").write_text(text.replace(*change), encoding="utf-8")
    monkeypatch.setattr(cards, "cards_dir", lambda: tmp_path)
    with pytest.raises(InputError, match=reason):
        load_card(TOX21)


def test_the_tests_data_folder_is_the_one_the_library_uses(data_dir: Path) -> None:
    assert chosen_data_dir() == data_dir
