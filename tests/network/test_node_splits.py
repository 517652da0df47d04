"""Splits of nodes: by class at random, by a column, by a file."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.network.splits import node_split

LABELS = [None, "a"] * 50 + ["b"] * 20
IDS = [f"n{row}" for row in range(len(LABELS))]


def test_each_class_is_divided_alike_and_unlabelled_nodes_stay_out() -> None:
    split, notes = node_split(LABELS, "random", 3, ids=IDS)
    counts = {name: Counter(LABELS[row] for row in rows) for name, rows in split.parts().items()}
    assert counts == {"train": {"a": 30, "b": 12}, "valid": {"a": 10, "b": 4}, "test": {"a": 10, "b": 4}}
    assert notes == []
    assert all((np.diff(rows) > 0).all() for rows in split.parts().values())


def test_the_seed_makes_the_random_split() -> None:
    first, again, other = (node_split(LABELS, seed=seed, ids=IDS)[0].train.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_fractions() -> None:
    split, _ = node_split(LABELS, "random:50/25/25", ids=IDS)
    assert [len(rows) for rows in split.parts().values()] == [35, 18, 17]


def test_a_seed_gives_the_same_nodes_on_every_machine() -> None:
    split, _ = node_split(LABELS, "random", 0, ids=IDS)
    text = "\n".join(f"{part} {IDS[row]}" for part, rows in split.parts().items() for row in rows)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "3b3f9155c38d3823"


@pytest.mark.parametrize("shares", ["60/20", "50/50/0", "60/20/30", "a/b/c", "", "60/20/10/10", "-60/140/20"])
def test_shares_that_are_none(shares: str) -> None:
    with pytest.raises(InputError, match="give the shares of train, valid and test as three whole numbers above 0"):
        node_split(LABELS, f"random:{shares}", ids=IDS)


def test_splits_that_come_with_the_network() -> None:
    given = [Split(np.array([row]), np.array([row + 1]), np.array([row + 2])) for row in range(3)]
    chosen = [node_split(LABELS, "given", seed, ids=IDS, given=given)[0] for seed in range(4)]
    assert [split.train.item() for split in chosen] == [0, 1, 2, 0]
    assert node_split(LABELS, "public", 5, ids=IDS, given=given[:1])[0] is given[0]
    for split, some in (("public", given), ("given", given[:1]), ("given", []), ("public", [])):
        with pytest.raises(InputError, match=f"there is no split '{split}'; splits that come with the network: "):
            node_split(LABELS, split, ids=IDS, given=some)


def test_a_class_with_one_node_stays_in_train() -> None:
    split, notes = node_split([*LABELS, "rare"], ids=[*IDS, "x"])
    assert len(LABELS) in split.train
    assert notes == ["class 'rare' has one node, which is in train: it cannot be judged"]


def test_a_column() -> None:
    labels = ["a", "b", "a", None, "b", "c", "a"]
    parts = ["train", "Training", "val", "test", "test", "dev", None]
    split, notes = node_split(labels, "part", ids=list("0123456"), parts=parts)
    assert {name: rows.tolist() for name, rows in split.parts().items()} == {
        "train": [0, 1],
        "valid": [2, 5],
        "test": [4],
    }
    assert notes == [
        "class 'c' has no node in train: the model cannot predict it",
        "1 labelled node in no part of the split",
    ]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("node,split\nz,test\nx,train\ny,valid\nw,train\nx,train\n", encoding="utf-8")
    split, _ = node_split(["a", "b", "a", "b"], str(path), ids=["w", "x", "y", "z"])
    assert [rows.tolist() for rows in split.parts().values()] == [[0, 1], [2], [3]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("node,split\nx,train\nq,test\n", "data row 2: there is no node 'q' in the graph: leave the row out"),
        ("node,split\nx,train\ny,tset\n", "data row 2: 'tset' is not train, valid or test"),
        ("node,split\nx,train\nx,test\n", "data row 2: node 'x' is in test here and in train before"),
        ("node,split\nx,train\ny,test\n", "has no labelled valid nodes: each part needs some"),
        ("node,part\nx,train\n", "has no column 'split'; its columns are 'node', 'part'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        node_split(["a", "b", "a"], str(path), ids=["x", "y", "z"])


def test_splits_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fewer than two classes \('a'\): two are needed to learn"):
        node_split(["a", None, "a"], ids=list("xyz"))
    with pytest.raises(InputError, match=r"fewer than two classes \(none\)"):
        node_split([None], ids=["x"])
    with pytest.raises(InputError, match="the random split has no labelled valid and no test nodes"):
        node_split(["a", "b"], ids=list("xy"))
    with pytest.raises(InputError, match="split column 'p', node 'y': 'later' is not train, valid or test"):
        node_split(["a", "b"], "p", ids=list("xy"), parts=["train", "later"])
    with pytest.raises(InputError, match="there is no file"):
        node_split(["a", "b"], str(tmp_path / "none.csv"), ids=list("xy"))
