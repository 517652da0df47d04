"""Features of nodes: attributes, triplets, json, npz; and nothing is ever unpickled."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, save_npz

from gatlib.errors import InputError
from gatlib.network.features import read_features
from gatlib.network.network import NodeTable


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


def matrix(table: NodeTable) -> list[list[float]]:
    assert table.active is not None
    return table.active.toarray().tolist()


def test_attributes_are_raw_text_and_blanks_are_none(tmp_path: Path) -> None:
    table = read_features(write(tmp_path, "f.csv", "age,Node,job\n 31,a,cook\n,b,\n"))
    assert table.ids == ["a", "b"]
    assert table.attributes.to_dict("list") == {"age": ["31", None], "job": ["cook", None]}
    assert table.active is None


def test_of_two_id_columns_that_of_the_edges_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "f.csv", "id,new_id,x\n900,1,5\n901,0,6\n")
    table = read_features(path, None, ["0", "1", "2"])
    assert table.ids == ["1", "0"]
    assert table.notes == ["f.csv is joined on 'new_id', which has 2 of the 3 nodes ('id' 0)"]
    assert read_features(path, "id").ids == ["900", "901"]


def test_the_first_row_of_a_node_counts(tmp_path: Path) -> None:
    table = read_features(write(tmp_path, "f.csv", "id,x\na,1\nb,2\na,1\nb,3\n"))
    assert table.attributes["x"].tolist() == ["1", "2"]
    assert table.notes == [
        "the first row of a node counts where f.csv has several that differ "
        "(1 such row left out, the first of node 'b')"
    ]
    assert read_features(write(tmp_path, "g.csv", "id,x\na,1\na,1\n")).notes == ["1 repeated row of g.csv left out"]


def test_triplets_are_a_sparse_matrix(tmp_path: Path) -> None:
    table = read_features(write(tmp_path, "f.csv.gz", "id,feature,value\nb,10,1.5\na,9,2\nb,9,0\nb,10,1.5\n"))
    assert (table.ids, table.active_names) == (["b", "a"], ["9", "10"])
    assert matrix(table) == [[0, 1.5], [2, 0]]
    assert table.notes == ["1 repeated row of f.csv.gz left out"]


def test_json_lists_are_set_once(tmp_path: Path) -> None:
    table = read_features(write(tmp_path, "f.json", '{"7": [10, 2, 10], "x": [], "3": ["2"]}'), None, ["3"])
    assert (table.ids, table.active_names) == (["7", "x", "3"], ["2", "10"])
    assert matrix(table) == [[1, 1], [0, 0], [1, 0]]
    assert table.notes == ["features that a node has more than once are set once (1 node)"]


def test_names_are_sorted_as_text_when_one_is_no_number(tmp_path: Path) -> None:
    assert read_features(write(tmp_path, "f.json", '{"a": ["b", 10, 9]}')).active_names == ["10", "9", "b"]


def test_npz_arrays_and_matrices(tmp_path: Path) -> None:
    values = np.array([[0, 1.5], [2, 0]])
    np.savez(tmp_path / "x.npz", x=values, ids=np.array(["b", "a"]))
    np.savez(tmp_path / "features.npz", features=values.astype(np.int8))
    save_npz(tmp_path / "csr.npz", csr_matrix(values))
    save_npz(tmp_path / "coo.npz", csr_matrix(values).tocoo())
    table = read_features(tmp_path / "x.npz", None, ["a"])
    assert (table.ids, table.active_names, matrix(table)) == (["b", "a"], None, values.tolist())
    assert matrix(read_features(tmp_path / "features.npz")) == [[0, 1], [2, 0]]
    for name in ("csr.npz", "coo.npz"):
        table = read_features(tmp_path / name, None, ["1", "0"])
        assert (table.ids, matrix(table)) == (["0", "1"], values.tolist())
        assert table.notes == [f"{name} has no 'ids': its rows are the nodes 0 to 1"]


class Danger:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("unpickled"), "x"))


@pytest.mark.parametrize("name", ["x", "ids", "data"])
def test_objects_are_never_unpickled(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays: dict[str, Any] = {"x": np.zeros((1, 1)), "format": np.array(b"csr"), "indices": [0], "indptr": [0, 1]}
    if name == "data":
        del arrays["x"]
        arrays |= {"shape": [1, 1]}
    arrays[name] = np.array([Danger()], dtype=object)
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(InputError, match="holds Python objects, which are never loaded"):
        read_features(tmp_path / "f.npz")
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"y": np.zeros(2)}, "has the arrays 'y': give 'x' or 'features', or a matrix saved"),
        ({"x": np.zeros(2)}, r"array 'x' is float64 of shape \(2,\): give numbers, a row per node"),
        ({"x": np.array([["a"]])}, "array 'x' is <U1"),
        ({"x": np.zeros((2, 1)), "ids": ["a"]}, "'ids' must name each of the 2 rows, each otherwise"),
        ({"x": np.zeros((2, 1)), "ids": ["a", "a"]}, "'ids' must name each of the 2 rows"),
        ({"x": np.array([[0, 1], [0, np.nan]])}, "row 2: a feature is not a finite number"),
        (
            {"format": b"csr", "shape": [2, 2], "data": [1.0], "indices": [9], "indptr": [0, 1, 1]},
            "cannot be read as npz",
        ),
    ],
    ids=["other", "vector", "text", "few ids", "same ids", "nan", "outside"],
)
def test_npz_of_another_form_is_refused(arrays: dict[str, Any], reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(InputError, match=reason):
        read_features(tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("f.npz", "text", r"f\.npz cannot be read as npz"),
        ("f.pkl", "x", r"f\.pkl: cannot tell its format; name it \.csv"),
        ("f.csv", "a,b\n1,2\n", r"has no column of node ids \(id, node, node_id, new_id\); its columns are 'a', 'b'"),
        ("f.csv", "id,x\n", "has a header but no rows"),
        ("f.csv", "id,x,x\na,1,2\n", "has two columns 'x': rename one"),
        ("f.csv", "id,x\na,1\n,2\n", "data row 2, column 'id': the node id is blank"),
        ("f.csv", "id,feature,value\na,1,x\n", "data row 1: value 'x' is not a finite number"),
        ("f.csv", "id,feature,value\na,,1\n", "data row 1: the feature is blank"),
        (
            "f.csv",
            "id,feature,value\na,1,1\nb,1,1\na,1,2\n",
            "node 'a' has feature '1' as 1 in data row 1 and as 2 in data row 3: leave one out",
        ),
        ("f.json", "{", r"f\.json cannot be read as json \("),
        ("f.json", "[" * 100_000, r"f\.json cannot be read as json \("),
        ("f.json", "[1]", "is not of the form"),
        ("f.json", '{"a": 1}', "is not of the form"),
        ("f.json", '{"a": [1], "a": [2]}', "'a' stands twice: leave one out"),
        ("f.json", '{"a": [1.5]}', "feature 1.5 of node 'a' is neither a whole number nor text"),
        ("f.json", '{"a": [[1]]}', r"feature \[1\] of node 'a'"),
        ("f.json", '{"a": [], "a ": []}', "stands twice but for spaces"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name: str, content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        read_features(write(tmp_path, name, content))


def test_features_of_another_graph_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of its 1 nodes \(first 'a'\) is a node of the edges \(first '0'\)"):
        read_features(write(tmp_path, "f.json", json.dumps({"a": [1]})), None, ["0"])
    with pytest.raises(InputError, match=r"no id in column 'id' \(first 'a'\) is a node of the edges; name the column"):
        read_features(write(tmp_path, "f.csv", "id,x\na,1\n"), None, ["0"])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for name in ("f.csv", "f.json", "f.npz"):
        with pytest.raises(InputError, match="there is no file"):
            read_features(tmp_path / name)
