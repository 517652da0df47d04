"""Labels are joined on ids, in any order of the rows."""

from pathlib import Path

import pytest

from gatlib.errors import InputError
from gatlib.network.labels import read_labels


def write(folder: Path, content: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(content, encoding="utf-8")
    return path


def test_labels_follow_the_given_nodes(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, "id,y\nc,red\na, blue \nb,\n"), "Y", ids=["a", "b", "c", "d"])
    assert found.labels == ["blue", None, "red", None]
    assert (found.parts, list(found.table.attributes.columns)) == (None, [])


def test_nodes_that_stand_here_only_are_added(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, "node,y\nz,1\na,0\n"), "y", ids=["a"])
    assert (found.ids, found.labels) == (["a", "z"], ["0", "1"])


def test_of_several_id_columns_the_one_of_the_edges_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "id,y,new_id\n37905227,True,2\n63102384,False,1\n")
    found = read_labels(path, "y", ids=["1", "2"], attributes=True)
    assert found.labels == ["False", "True"]
    assert found.table.notes == ["labels.csv is joined on 'new_id', which has 2 of the 2 nodes ('id' 0)"]
    assert list(found.table.attributes.columns) == []


def test_other_columns_and_a_split_are_taken_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, "id,y,age,part\na,1,30,train\nb,0,,\n")
    found = read_labels(path, "y", attributes=True, split="part")
    assert found.parts == ["train", None]
    assert found.table.attributes.to_dict("list") == {"age": ["30", None]}


def test_a_node_may_stand_twice_with_one_label(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, "id,y\na,1\nb,0\na,1\nb,\n"), "y")
    assert (found.ids, found.labels) == (["a", "b"], ["1", "0"])


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        ("id,y\na,1\nb,0\na,0\n", {}, "node 'a' has label '1' in data row 1 and '0' in data row 3: leave one out"),
        (
            "id,y,p\na,1,train\na,1,test\n",
            {"split": "p"},
            "node 'a' has split 'train' in data row 1 and 'test' in data row 2",
        ),
        ("id,y\na,1\n", {"split": "p"}, "has no column 'p'; its columns are 'id', 'y'"),
        ("id,z\na,1\n", {}, "has no column 'y'; its columns are 'id', 'z'"),
        ("id,y\na,\nb,\n", {}, "target column 'y' has no labels"),
        ("id,y\na,1\n", {"id_column": "y"}, "column 'y' is both the node id and the target"),
        ("id,y\na,1\n", {"id_column": "who"}, "has no column 'who'"),
        ("user,y\na,1\n", {}, "has no column of node ids .* its columns are 'user', 'y': name one with --id"),
        ("id,y\n,1\n", {}, "data row 1, column 'id': the node id is blank"),
        (
            "id,user,y\n1,a,1\n2,b,0\n",
            {"ids": ["a", "b", "c"]},
            r"no id in column 'id' \(first '1'\) is a node of the edges; 'user' has 2 of them: use --id user",
        ),
        ("id,y\n1,1\n", {"ids": ["a"]}, "is a node of the edges; name the column of the nodes with --id"),
    ],
)
def test_labels_that_cannot_be_joined_are_refused(
    content: str, options: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        read_labels(write(tmp_path, content), "y", **options)  # type: ignore[arg-type]
