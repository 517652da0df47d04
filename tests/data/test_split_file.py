"""A split in a file: by row or by molecule, and each way in which it can be wrong."""

import csv
import gzip
from pathlib import Path

import pytest

from gatlib.data.split_file import read_split
from gatlib.errors import InputError

SMILES = ["CCO", "c1ccccc1", None, "CCN", "OCC"]


def read(folder: Path, text: str) -> list[list[int]]:
    path = folder / "split.csv"
    path.write_text(text, encoding="utf-8")
    return [rows.tolist() for rows in read_split(path, SMILES).parts().values()]


@pytest.mark.parametrize(
    "text",
    {
        "by row": "row,split\n1,train\n5,train\n2,valid\n4,test\n",
        "as gatlib writes it": "row,smiles,split\n1,CCO,train\n2,c1ccccc1,valid\n4,CCN,test\n5,OCC,train\n",
        "other words, columns and lines": "Split, Row ,id\r\nTraining, 1,a\r\nTRAIN,5,b\r\n\r\nval,2,c\r\ntest,4,d\r\n",
        "by molecule in any spelling": "smiles,split\nOCC,train\nC1=CC=CC=C1,dev\nNCC,test\n",
        "with the row that has no molecule": "row,split\n1,train\n5,train\n2,valid\n4,test\n3,test\n",
        "with what is no molecule": "smiles,split\nCCO,train\nc1ccccc1,valid\nCCN,test\nC1CC,test\n",
        "a row twice in one part": "row,split\n1,train\n5,train\n1,train\n2,valid\n4,test\n",
        "with a byte order mark": "\ufeffrow,split\n1,train\n5,train\n2,valid\n4,test\n",
    }.values(),
    ids=lambda value: "",
)
def test_a_split_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [[0, 4], [1], [3]]


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "overlap": ("row,split\n1,train\n1,test\n", "line 3: data row 1 is in test here and in train before"),
        "a molecule on both sides": ("smiles,split\nCCO,train\nOCC,valid\n", "line 3: data row 1 is in valid here"),
        "row 0": ("row,split\n0,train\n", "line 2: there is no data row 0; the table has rows 1 to 5"),
        "a row too far": ("row,split\n6,train\n", "line 2: there is no data row 6"),
        "no row number": ("row,split\n1.5,train\n", "line 2: '1.5' is not the number of a data row"),
        "a long row number": (f"row,split\n{'9' * 5000},train\n", "line 2: '9{59} is not the number of a data row"),
        "another molecule": ("smiles,split\nCCC,train\n", "line 2: the table has no molecule CCC"),
        "another table": (
            "row,smiles,split\n1,CCC,train\n",
            "data row 1 is CCC here and CCO in the table: this is the",
        ),
        "an unknown word": ("row,split\n1,holdout\n", "line 2: 'holdout' is not train, valid or test"),
        "no word": ("row,split\n1,\n", "line 2: '' is not train, valid or test"),
        "rows missed": ("row,split\n1,train\n2,test\n", r"misses 2 rows of the table, first data row 4 \(CCN\)"),
        "a row missed": ("smiles,split\nCCO,train\nCCN,test\n", r"misses 1 row of the table, first data row 2 \("),
        "an empty part": ("row,split\n1,train\n5,train\n2,test\n4,test\n", "has no valid rows; each part needs some"),
        "no split column": ("row,part\n1,train\n", "is no split: its first line must name the columns row or smiles"),
        "neither row nor smiles": ("id,split\n1,train\n", "is no split: its first line must name"),
        "empty": ("", "is no split: its first line must name"),
        "a short line": ("row,split\n1\n", "line 2 does not have the 2 fields of the first line"),
    }.values(),
    ids=lambda value: "",
)
def test_what_is_no_split_of_the_table_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "split.csv"))


def test_a_line_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    limit = csv.field_size_limit(100)
    try:
        with pytest.raises(InputError, match="line 2 cannot be read: field larger than field limit"):
            read(tmp_path, f"row,split\n{'1' * 101},train\n")
    finally:
        csv.field_size_limit(limit)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_split(tmp_path / "none.csv", SMILES)
    with pytest.raises(InputError, match="is a folder"):
        read_split(tmp_path, SMILES)
    packed = tmp_path / "split.csv.gz"
    packed.write_bytes(gzip.compress(b"row,split\n1,train\n")[:-9])
    with pytest.raises(InputError, match="not a whole gzip file"):
        read_split(packed, SMILES)
