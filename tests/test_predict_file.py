"""A file comes back row by row: every row, in order, its own cells untouched, then predictions and reasons."""

import csv
import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gatlib.data import featurized
from gatlib.data.featurized import open_featurized
from gatlib.errors import InputError
from gatlib.model_folder import featurization_of
from gatlib.predict_file import default_output, free_names, predict_file, write_predictions
from gatlib.predictor import Predictor

ADDED = ["ring_pred", "nitrogen_pred", "error"]


@pytest.fixture(scope="module")
def predictor(classification_folder: Path) -> Predictor:
    return Predictor.load(classification_folder)


def run(predictor: Predictor, content: bytes, tmp_path: Path, name: str = "in.csv") -> list[list[str]]:
    """Predict a file with this content; the rows of the output, as Python's csv reads them."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    summary = predict_file(predictor, str(path), str(tmp_path / "out.csv"))
    text = (tmp_path / "out.csv").read_bytes().decode("utf-8", "surrogateescape")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert summary.rows == len(rows) - 1
    assert summary.errors == sum(row[-1] != "" for row in rows[1:])
    return rows


def assert_predicted(row: list[str]) -> None:
    assert row[-1] == ""
    assert all(0 < float(value) < 1 for value in row[-3:-1])


def assert_refused(row: list[str], reason: str) -> None:
    assert row[-3:] == ["", "", reason]


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
def test_a_csv_keeps_its_rows_and_columns(name: str, predictor: Predictor, tmp_path: Path) -> None:
    rows = run(predictor, b"id,Smiles,note\n1,CCO,a\n2,C1CC,b\n3,,c\n4, C ,d\n", tmp_path, name)
    assert rows[0] == ["id", "Smiles", "note", *ADDED]
    assert [row[:3] for row in rows[1:]] == [["1", "CCO", "a"], ["2", "C1CC", "b"], ["3", "", "c"], ["4", " C ", "d"]]
    assert_predicted(rows[1])
    assert_refused(rows[2], "not a valid SMILES")
    assert_refused(rows[3], "empty SMILES")
    assert_predicted(rows[4])


@pytest.mark.parametrize("name", ["in.smi", "in.txt", "in.smi.gz"])
def test_a_list_keeps_its_lines(name: str, predictor: Predictor, tmp_path: Path) -> None:
    rows = run(predictor, b"CCO ethyl alcohol\n\nC1\tbad\r\nC", tmp_path, name)
    assert rows[0] == ["smiles", "name", *ADDED]
    assert [row[:2] for row in rows[1:]] == [["CCO", "ethyl alcohol"], ["", ""], ["C1", "bad"], ["C", ""]]
    assert [row[-1] for row in rows[1:]] == ["", "empty SMILES", "not a valid SMILES", ""]


def test_ragged_rows_and_blank_lines_keep_their_places(predictor: Predictor, tmp_path: Path) -> None:
    rows = run(predictor, b"smiles,x\nC,1\nCC\n\nCCC,1,2\nCO,2\n", tmp_path)
    assert [row[:2] for row in rows[1:]] == [["C", "1"], ["CC", ""], ["", ""], ["CCC", "1"], ["CO", "2"]]
    assert_refused(rows[2], "row has 1 field, the header has 2")
    assert_refused(rows[3], "blank line")
    assert_refused(rows[4], "row has 3 fields, the header has 2")
    assert_predicted(rows[5])


def test_other_columns_survive_whatever_they_hold(predictor: Predictor, tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbfsmiles,"a ""b""","c\rd"\r\nC,"1,5\n""x""\r\ny","carriage\rreturn"\r\nCC,caf\xe9,\xff\x00\r\n'
    )
    rows = run(predictor, content, tmp_path)
    assert rows[0][:3] == ["smiles", 'a "b"', "c\rd"]
    assert rows[1][:3] == ["C", '1,5\n"x"\r\ny', "carriage\rreturn"]
    assert rows[2][:3] == ["CC", "caf\udce9", "\udcff\0"]
    assert_predicted(rows[1])
    assert_predicted(rows[2])
    assert b"caf\xe9,\xff" in (tmp_path / "out.csv").read_bytes()


def test_bytes_that_are_no_text_in_the_smiles_column_are_one_bad_row(predictor: Predictor, tmp_path: Path) -> None:
    rows = run(predictor, b"smiles\nC\xff\nC\n", tmp_path)
    assert_refused(rows[1], "not a SMILES: it contains a character that is not printable ASCII")
    assert_predicted(rows[2])


def test_columns_of_the_same_name_stay_untouched(predictor: Predictor, tmp_path: Path) -> None:
    rows = run(predictor, b"smiles,error,ring_pred\nC,mine,0.5\n", tmp_path)
    assert rows[0] == ["smiles", "error", "ring_pred", "ring_pred_2", "nitrogen_pred", "error_2"]
    assert rows[1][:3] == ["C", "mine", "0.5"]
    assert free_names(["a", "a"], ["a", "a_2"]) == ["a_3", "a_4"]


def test_a_prediction_is_the_predictors(predictor: Predictor, tmp_path: Path) -> None:
    rows = run(predictor, b"smiles\nc1ccccc1O\n", tmp_path)
    expected = predictor.predict("c1ccccc1O").loc[0, predictor.columns]
    assert [float(value) for value in rows[1][1:3]] == pytest.approx(expected.tolist(), rel=1e-4)


def test_standard_input_and_output(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"note,smiles\ncaf\xe9,C\nx,C1\n")))
    summary = predict_file(predictor, "-", "-")
    sys.stdout.flush()
    lines = capsysbinary.readouterr().out.splitlines()
    assert (summary.rows, summary.errors, summary.first_error) == (2, 1, "row 2: not a valid SMILES")
    assert lines[0] == b"note,smiles,ring_pred,nitrogen_pred,error"
    assert lines[1].startswith(b"caf\xe9,C,0.")
    assert lines[2] == b"x,C1,,,not a valid SMILES"


def test_worker_processes_write_the_same_file_as_none(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featurized, "_ROWS_PER_CHUNK", 7)
    source = tmp_path / "in.csv"
    source.write_text("smiles,n\n" + "".join(f"{'C' * (n % 9)},{n}\n" for n in range(60)))
    progress: list[int] = []
    for workers in (0, 1):
        with open_featurized(str(source), workers=workers) as table:
            write_predictions(predictor, table, str(tmp_path / f"{workers}.csv"), progress.append)
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    assert progress == [7, 7, 7, 7, 7, 7, 7, 7, 4] * 2


def test_a_file_can_be_replaced_by_its_own_predictions(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("smiles\nC\n")
    predict_file(predictor, str(path), str(path))
    assert path.read_text().startswith("smiles,ring_pred,nitrogen_pred,error\nC,0.")


def test_a_failure_half_way_leaves_no_file_and_keeps_the_old_one(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featurized, "_ROWS_PER_CHUNK", 100)
    data = gzip.compress(b"smiles\n" + b"".join(b"C%d\n" % number for number in range(20_000)))
    source, old = tmp_path / "in.csv.gz", tmp_path / "old.csv"
    source.write_bytes(data[: len(data) // 2])
    old.write_text("old")
    for output in (tmp_path / "out.csv", old):
        with pytest.raises(InputError, match=r"in\.csv\.gz is not a whole gzip file"):
            predict_file(predictor, str(source), str(output))
    assert sorted(tmp_path.iterdir()) == [source, old]
    assert old.read_text() == "old"


def test_bad_input_and_output_paths_write_nothing(predictor: Predictor, tmp_path: Path) -> None:
    good, empty = tmp_path / "in.csv", tmp_path / "empty.csv"
    good.write_text("smiles\nC\n")
    empty.write_text("")
    for source, output, reason in [
        (tmp_path / "none.csv", tmp_path / "out.csv", "there is no file"),
        (empty, tmp_path / "out.csv", "is empty"),
        (good, tmp_path, "cannot write .*: it is a folder"),
        (good, tmp_path / "none" / "out.csv", "cannot write .*: No such file or directory"),
    ]:
        with pytest.raises(InputError, match=reason):
            predict_file(predictor, str(source), str(output))
    assert sorted(tmp_path.iterdir()) == [empty, good]


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("/data/a.csv", "a_preds.csv"),
        ("a.csv.gz", "a_preds.csv"),
        ("a.b.SMI", "a.b_preds.csv"),
        ("a.CSV.GZ", "a_preds.csv"),
        ("-", "-"),
    ],
)
def test_the_default_output_is_named_after_the_input(source: str, output: str) -> None:
    assert default_output(source) == output


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("model", ["side_folder", "laplacian_folder"])
def test_graphs_from_a_file_are_those_from_python(
    workers: int, model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(model)
    predictor = Predictor.load(folder)
    smiles = ["CCO", "C1", "c1ccccc1O", "*C", "[Na+].[Cl-]", "c1ccccc1C1CCCCC1"]
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("\n".join(["smiles", *smiles]))
    if workers:
        with open_featurized(str(source), None, workers, *featurization_of(folder)) as table:
            write_predictions(predictor, table, str(output))
    else:
        predict_file(predictor, str(source), str(output))
    expected = predictor.predict(smiles)[predictor.columns]
    np.testing.assert_allclose(pd.read_csv(output)[predictor.columns], expected, rtol=1e-4)
