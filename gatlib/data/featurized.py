"""A table of molecules as graphs, chunk by chunk, featurised in processes of their own where that pays."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from typing import TypeVar

from gatlib.chem import MoleculeGraphs, SideFeatures, featurize
from gatlib.data.tables import Row, open_table

Chunk = TypeVar("Chunk")

_ROWS_PER_CHUNK = 1024
_CHUNKS_WORTH_A_PROCESS = 4  # starting another process takes as long as featurising about this many
_CHUNKS_AHEAD = 24  # per process: the graphs that wait take some 20 MB


@dataclass(frozen=True)
class FeaturizedTable:
    """An open table; ``chunks`` are its rows with their graphs, in order, and can be read once."""

    columns: list[str]
    chunks: Iterator[tuple[list[Row], MoleculeGraphs]]


@contextmanager
def open_featurized(
    source: str,
    smiles_column: str | None = None,
    workers: int | None = None,
    side_features: SideFeatures = "none",
    canonical: bool = False,
) -> Iterator[FeaturizedTable]:
    """Open a table and begin to featurise it.

    Args:
        source: see :func:`gatlib.data.tables.open_table`.
        smiles_column: likewise.
        workers: processes that featurise beside this one, from the moment the table is open; 0: none; None: as many as
            there are spare cores, for tables where they pay. They are started afresh, so a script that asks for
            them needs its ``if __name__ == "__main__"``.
        side_features: see :func:`gatlib.chem.featurize`.
        canonical: likewise.

    Raises:
        InputError: see :func:`~gatlib.data.tables.open_table`.
    """
    with open_table(source, smiles_column) as table:
        chunks = _chunks(table.rows)
        first = list(islice(chunks, _CHUNKS_WORTH_A_PROCESS))
        if workers is None:
            workers = max(1, (os.cpu_count() or 1) - 1) if len(first) == _CHUNKS_WORTH_A_PROCESS else 0

        def smiles_of(rows: list[Row]) -> list[str]:
            return [row.cells[table.smiles_index] for row in rows]

        with featurize_chunks(chain(first, chunks), smiles_of, workers, side_features, canonical) as featurized:
            yield FeaturizedTable(table.columns, featurized)


@contextmanager
def featurize_chunks(
    chunks: Iterable[Chunk],
    smiles_of: Callable[[Chunk], Sequence[object]],
    workers: int,
    side_features: SideFeatures = "none",
    canonical: bool = False,
) -> Iterator[Iterator[tuple[Chunk, MoleculeGraphs]]]:
    """Each chunk with its graphs, in order, from ``workers`` processes that begin at once (0: from this one)."""
    if workers == 0:
        yield ((chunk, featurize(smiles_of(chunk), side_features, canonical)) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        remaining = iter(chunks)
        waiting: deque[tuple[Chunk, Future[MoleculeGraphs]]] = deque()

        def submit(count: int) -> None:
            for chunk in islice(remaining, count):
                waiting.append((chunk, pool.submit(featurize, smiles_of(chunk), side_features, canonical)))

        def results() -> Iterator[tuple[Chunk, MoleculeGraphs]]:
            while waiting:
                chunk, graphs = waiting.popleft()
                submit(1)
                yield chunk, graphs.result()

        submit(_CHUNKS_AHEAD * workers)
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, _ROWS_PER_CHUNK)):
        yield chunk
