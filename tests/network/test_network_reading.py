"""Files to one graph with labels, on real data sets: what their folders hold, and the traps in them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gatlib.errors import InputError
from gatlib.network.encoding import encode, learn_rule
from gatlib.network.network import Network
from gatlib.network.reading import read_network
from gatlib.network.splits import node_split
from gatlib.network.structure import STRUCTURE_NAMES


def read_social(
    data_dir: Path, name: str, target: str, features: str | None = "features.json.gz", attributes: bool = False
) -> tuple[Network, list[str | None]]:
    folder = data_dir / "social" / name
    if not folder.is_dir():
        pytest.skip(f"needs the real data set {name}")
    network, labels = read_network(
        folder / "edges.csv.gz",
        None if features is None else folder / features,
        folder / "target.csv.gz",
        target,
        attributes=attributes,
    )
    assert labels is not None
    assert network.ids == labels.ids
    return network, labels.labels


def test_files_of_different_order_and_extent(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target\n10,2\n2,30\n", encoding="utf-8")
    (tmp_path / "features.csv").write_text("node,age\n30,1.5\n99,2.5\n10,3.5\n", encoding="utf-8")
    (tmp_path / "labels.csv").write_text("node,y,city\n7,a,Rome\n30,b,\n2,,Oslo\n", encoding="utf-8")
    network, labels = read_network(
        tmp_path / "edges.csv", tmp_path / "features.csv", tmp_path / "labels.csv", "y", attributes=True
    )
    assert labels is not None
    assert network.ids == labels.ids == ["10", "2", "30", "99", "7"]
    assert labels.labels == [None, None, "b", None, "a"]
    assert network.attributes["age"].tolist() == ["3.5", None, "1.5", "2.5", None]
    assert network.attributes["city"].tolist() == [None, "Oslo", None, None, "Rome"]
    assert "1 node of features.csv without an edge kept as isolated" in network.notes
    assert "1 node of labels.csv without an edge kept as isolated" in network.notes
    alone, none = read_network(tmp_path / "edges.csv")
    assert (alone.num_nodes, none) == (3, None)


def test_labels_need_a_target(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="labels need a target"):
        read_network(tmp_path / "edges.csv", labels=tmp_path / "edges.csv")


def test_twitch_is_joined_on_its_new_ids(data_dir: Path) -> None:
    network, labels = read_social(data_dir, "twitch_DE", "mature", attributes=True)
    assert (network.num_nodes, network.edge_index.shape[1]) == (9498, 2 * 153138)
    assert Counter(labels) == {"True": 5742, "False": 3756}
    row = network.ids.index("5079")
    assert labels[row] == "True"
    assert network.attributes.loc[row].to_dict() == {"days": "2149", "views": "162078", "partner": "False"}
    assert "target.csv.gz is joined on 'new_id', which has 9,498 of the 9,498 nodes ('id' 0)" in network.notes
    assert "features that a node has more than once are set once (593 nodes)" in network.notes
    assert network.active is not None
    assert network.active.max() == 1
    rule = learn_rule(network)
    assert rule.names[:4] == ["days", "views", "partner = False", "partner = True"]
    # The rule of one country fits another: they share the numbers of the features.
    other, _ = read_social(data_dir, "twitch_PTBR", "mature", attributes=True)
    assert encode(other, rule).shape == (1912, rule.width)


def test_twitch_fr_has_nodes_that_stand_twice(data_dir: Path) -> None:
    network, labels = read_social(data_dir, "twitch_FR", "mature", attributes=True)
    assert (network.num_nodes, network.edge_index.shape[1]) == (6549, 2 * 112666)
    assert labels.count("True") == 2414
    assert any(note.startswith("the first row of a node counts") for note in network.notes)
    assert network.attributes["views"][network.ids.index("3754")] == "362432"


def test_facebook_pages(data_dir: Path) -> None:
    network, labels = read_social(data_dir, "facebook_page_page", "page_type", attributes=True)
    assert (network.num_nodes, network.edge_index.shape[1]) == (22470, 2 * (171002 - 179))
    assert "179 self-loops left out: attention adds one per node" in network.notes
    assert Counter(labels) == {"government": 6880, "company": 6495, "politician": 5768, "tvshow": 3327}
    assert network.active is not None
    assert network.active.shape == (22470, 4714)
    assert network.active_names == [str(number) for number in range(4714)]
    rule = learn_rule(network)
    assert (rule.width, len(rule.notes)) == (4714, 2)  # facebook_id and page_name are left out
    split, notes = node_split(labels, ids=network.ids)
    assert [len(rows) for rows in split.parts().values()] == [13482, 4494, 4494]
    assert notes == []


def test_blogcatalog_has_word_counts(data_dir: Path) -> None:
    network, labels = read_social(data_dir, "blogcatalog_attributed", "target", "features.csv.gz")
    assert (network.num_nodes, network.edge_index.shape[1]) == (5196, 343486)
    assert set(labels) == set("123456")
    assert network.active is not None
    assert network.active.shape == (5196, 8189)
    assert network.active[network.ids.index("0"), network.active_names.index("0")] == 3  # type: ignore[union-attr]


def test_github_has_structure_only(data_dir: Path) -> None:
    network, labels = read_social(data_dir, "github_developers", "ml_target", None)
    assert (network.num_nodes, network.edge_index.shape[1]) == (37700, 2 * 289003)
    assert labels.count("1") == 9739
    found = encode(network, learn_rule(network))
    assert found.shape == (37700, len(STRUCTURE_NAMES))
    assert isinstance(found, np.ndarray)
    assert np.isfinite(found).all()


def test_labels_of_another_data_set_are_refused(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target\nann,bob\n", encoding="utf-8")
    with pytest.raises(InputError, match="is a node of the edges; name the column of the nodes with --id"):
        read_network(tmp_path / "edges.csv", None, data_dir / "social" / "twitch_DE" / "target.csv.gz", "mature")
