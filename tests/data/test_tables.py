"""Tables: every row of the file is a row, the SMILES column is found, and labels are numbers."""

import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gatlib.data.cards import TaskType
from gatlib.data.tables import Row, SmilesTable, find_column, open_table, target_values
from gatlib.errors import InputError


def read(path: Path | str, smiles_column: str | None = None) -> tuple[SmilesTable, list[Row]]:
    with open_table(str(path), smiles_column) as table:
        return table, list(table.rows)


def write(folder: Path, name: str, content: bytes | str) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.CSV", "a.CSV.GZ"])
def test_a_csv_is_read_packed_or_not(name: str, tmp_path: Path) -> None:
    table, rows = read(write(tmp_path, name, "id,smiles\n1,CCO\n2,C\n"))
    assert (table.columns, table.smiles_index) == (["id", "smiles"], 1)
    assert rows == [Row(["1", "CCO"], None), Row(["2", "C"], None)]


@pytest.mark.parametrize("header", ["smiles", "SMILES", "Canonical_SMILES", "MOL", "Structure", " Smiles "])
def test_the_smiles_column_is_found_in_any_case(header: str, tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", f"id,{header},x\n1,C,2\n"))[0].smiles_index == 1


def test_the_usual_names_come_in_order(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", "structure,mol,canonical_smiles,Smiles\na,b,c,d\n"))[0].smiles_index == 3


def test_the_exact_name_comes_before_another_case(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", "SMILES,smiles\na,b\n"))[0].smiles_index == 1


def test_the_smiles_column_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "smiles,Compound\nx,C\n")
    assert read(path, "compound")[0].smiles_index == 1


@pytest.mark.parametrize("name", ["a.smi", "a.txt", "a.smi.gz"])
def test_a_list_has_a_smiles_and_perhaps_a_name_per_line(name: str, tmp_path: Path) -> None:
    table, rows = read(write(tmp_path, name, "CCO ethanol the first\r\n\r\nC\tmethane\nCC\n"))
    assert table.columns == ["smiles", "name"]
    assert [row.cells for row in rows] == [["CCO", "ethanol the first"], ["", ""], ["C", "methane"], ["CC", ""]]


def test_a_list_may_have_a_header(tmp_path: Path) -> None:
    assert [row.cells[0] for row in read(write(tmp_path, "a.smi", "SMILES Name\nC a\n"))[1]] == ["C"]


def test_a_row_that_does_not_fit_keeps_its_place(tmp_path: Path) -> None:
    _, rows = read(write(tmp_path, "a.csv", "smiles,x\nC,1\nCC\n\nCCC,1,2\nCCCC,4\n"))
    assert rows == [
        Row(["C", "1"], None),
        Row(["CC", ""], "row has 1 field, the header has 2"),
        Row(["", ""], "blank line"),
        Row(["CCC", "1"], "row has 3 fields, the header has 2"),
        Row(["CCCC", "4"], None),
    ]


def test_quotes_line_ends_and_odd_bytes_survive(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfsmiles,note\r\nC,"two\nlines, ""quoted"""\r\nCC,caf\xe9\r\n'
    table, rows = read(write(tmp_path, "a.csv", content))
    assert table.columns == ["smiles", "note"]
    assert [row.cells for row in rows] == [["C", 'two\nlines, "quoted"'], ["CC", "caf\udce9"]]


@pytest.mark.parametrize(
    ("content", "cells"),
    [("id,smiles\n1,CCO\n", ["1", "CCO"]), ("CCO ethanol\n", ["CCO", "ethanol"]), ("smiles\nC\n", ["C"])],
    ids=["csv", "list", "one column"],
)
def test_standard_input_is_csv_or_a_list(content: str, cells: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
    assert [row.cells for row in read("-")[1]] == [cells]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", r"a\.csv is empty$"),
        ("a.csv.gz", "", r"a\.csv\.gz is empty$"),
        ("a.smi", "", r"a\.smi is empty$"),
        ("a.csv", "\nsmiles\nC\n", r"a\.csv has no column names in its first line$"),
        ("a.csv", " , \nC,1\n", r"a\.csv has no column names in its first line$"),
        ("a.csv", "id,smiles\n", r"a\.csv has a header but no rows$"),
        ("a.smi", "smiles\n", r"a\.smi has a header but no rows$"),
        (
            "a.csv",
            "id,name\n1,C\n",
            r"a\.csv has no column 'smiles' or .*'structure'; its columns are 'id', 'name': name",
        ),
        ("a.csv", "smiles\nC\n".encode("utf-16"), r"a\.csv is UTF-16 text: save it as UTF-8$"),
        (
            "a.csv",
            gzip.compress(b"smiles\nC\n"),
            r"a\.csv is compressed by gzip: unpack it, or end the name of the file with \.gz$",
        ),
        ("a.smi", gzip.compress(b"C\n"), r"a\.smi is compressed by gzip: unpack it"),
        (
            "a.csv",
            b"PK\x03\x04\x14\x00",
            r"a\.csv is a workbook \(xlsx\) or another zip archive: save its table as csv$",
        ),
        (
            "a.csv",
            ",".join(f"task{i}" for i in range(617)) + "\n",
            r"its columns are 'task0', .* 'task19' and 597 more: name one",
        ),
        ("a.xlsx", "x", r"a\.xlsx: cannot tell its format; name it \.csv, \.smi, \.txt, or one of these with \.gz$"),
    ],
    ids=[
        "empty",
        "empty gz",
        "empty list",
        "blank first line",
        "nameless",
        "header",
        "list header",
        "no smiles",
        "utf-16",
        "gzip in disguise",
        "gzip in a list's disguise",
        "a workbook in disguise",
        "many columns",
        "xlsx",
    ],
)
def test_a_table_that_cannot_be_read_is_refused(name: str, content: str | bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        read(write(tmp_path, name, content))


def test_a_named_smiles_column_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,smiles\n1,C\n")
    with pytest.raises(InputError, match=r"has no column 'structure'; its columns are 'id', 'smiles'"):
        read(path, "structure")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*none\.csv: check the path"):
        read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder, not a file"):
        read(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: b"smiles\nC\n"], ids=["cut off", "not gzip"])
def test_a_broken_gzip_file_is_refused(damage: object, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(damage(gzip.compress(b"smiles\n" + b"CCO\n" * 50)))  # type: ignore[operator]
    with pytest.raises(InputError, match=r"a\.csv\.gz is not a whole gzip file .*: fetch it again"):
        read(path)


def table_of(*columns: str) -> SmilesTable:
    return SmilesTable("a.csv", list(columns), 0, iter(()))


def labels(cells: list[str], task_type: TaskType, **options: bool) -> list[float]:
    return target_values([["C", cell] for cell in cells], table_of("smiles", "y"), ["y"], task_type, **options)[
        :, 0
    ].tolist()


def test_labels_are_read_and_blanks_are_missing() -> None:
    found = labels(["1", " 0 ", "0.0", "", "NaN", "n/a", "None", "1e0"], "classification")
    np.testing.assert_array_equal(found, [1, 0, 0, np.nan, np.nan, np.nan, np.nan, 1])
    assert labels(["-1.5", "2e3"], "regression") == [-1.5, 2000.0]


@pytest.mark.parametrize(
    ("cells", "task_type", "reason"),
    [
        (["1", "active"], "classification", "a.csv, data row 2, column 'y': 'active' is not a number; leave unknown"),
        (["1", "0.5"], "classification", "a.csv, data row 2, column 'y': '0.5' is not 0 or 1; use --task regression"),
        (["1", "inf"], "regression", "a.csv, data row 2, column 'y': 'inf' is not a finite number"),
        (["1", "1", ""], "classification", r"a.csv: target column 'y' has one class only \(1\): both 0 and 1"),
        (["", "nan"], "regression", "a.csv: target column 'y' has no labels"),
    ],
    ids=["text", "a number for a class", "infinite", "one class", "no labels"],
)
def test_labels_that_teach_nothing_are_refused(cells: list[str], task_type: TaskType, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        labels(cells, task_type)


def test_one_class_is_enough_to_evaluate() -> None:
    assert labels(["1", "1"], "classification", one_class_allowed=True) == [1.0, 1.0]


def test_a_column_that_does_not_exist_is_refused() -> None:
    assert find_column(table_of("smiles", "y"), "y") == 1
    with pytest.raises(InputError, match=r"a.csv has no column 'Y'; its columns are 'smiles', 'y'"):
        find_column(table_of("smiles", "y"), "Y")
