"""Featurised tables: the same graphs in the same order, whoever makes them."""

from pathlib import Path

import numpy as np
import pytest

from gatlib.chem.side_features import side_features
from gatlib.data import featurized
from gatlib.data.featurized import featurize_chunks, open_featurized


@pytest.mark.parametrize("workers", [0, 1])
def test_chunks_come_back_in_order_with_their_graphs(workers: int) -> None:
    chunks = [["C" * size, "C1"] for size in range(1, 7)]
    with featurize_chunks(iter(chunks), lambda chunk: chunk, workers) as results:
        found = list(results)
    assert [chunk for chunk, _ in found] == chunks
    assert [len(graphs.x) for _, graphs in found] == [1, 2, 3, 4, 5, 6]


def test_more_chunks_than_are_held_ahead_all_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(featurized, "_CHUNKS_AHEAD", 2)
    with featurize_chunks(([str(n)] for n in range(9)), lambda chunk: chunk, workers=1) as results:
        assert [chunk for chunk, _ in results] == [[str(n)] for n in range(9)]


def test_a_table_that_is_left_early_stops_its_processes(tmp_path: Path) -> None:
    table = tmp_path / "in.smi"
    table.write_text("C\n" * 3000)
    with open_featurized(str(table), workers=1) as opened:
        rows, graphs = next(opened.chunks)
    assert len(rows) == len(graphs) == 1024


def test_a_short_table_is_featurised_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(featurized, "ProcessPoolExecutor", None)
    table = tmp_path / "in.smi"
    table.write_text("C ethane\nC1 bad\n")
    with open_featurized(str(table)) as opened:
        ((rows, graphs),) = opened.chunks
    assert opened.columns == ["smiles", "name"]
    assert [row.cells[1] for row in rows] == ["ethane", "bad"]
    assert graphs.errors == [None, "not a valid SMILES"]


@pytest.mark.parametrize("workers", [0, 1])
def test_side_features_come_with_their_chunks(workers: int) -> None:
    chunks = [["CCO", "C1"], ["c1ccccc1"]]
    with featurize_chunks(chunks, lambda chunk: chunk, workers, "both") as results:
        for chunk, graphs in results:
            np.testing.assert_array_equal(graphs.side, side_features(chunk, "both"))
