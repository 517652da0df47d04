"""Tables for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

_LABEL_WIDTH = 34
_TASK_WIDTH = 5  # twelve tasks and a label fit into 80 columns


def predictions_table(
    labels: Sequence[str], values: Sequence[Sequence[Any]], tasks: Sequence[str], title: str
) -> Table:
    """One row per molecule, one column per task; a lone molecule has one row per task instead."""
    if len(labels) == 1:
        rows = [(task, _number(value)) for task, value in zip(tasks, values[0], strict=True)]
        return plain_table(("task", _shortened(labels[0])), rows, title)
    headers = [_folded(task) if len(tasks) > 3 else task for task in tasks]
    table = Table(title=Text(title), box=SIMPLE, padding=(0, 0, 0, 1), title_justify="left")
    table.add_column("molecule", no_wrap=True, overflow="ellipsis", max_width=_LABEL_WIDTH)
    for header in headers:
        table.add_column(Text(header, justify="right"), justify="right", vertical="bottom", no_wrap=True)
    for label, row in zip(labels, values, strict=True):
        table.add_row(Text(label), *(_number(value) for value in row))
    return table


def metrics_table(metrics: Any, title: str) -> Table:
    """The table of :func:`gatlib.metrics.metrics_with_mean`."""
    columns = [str(column) for column in metrics.columns]
    rows = [
        [_cell(column, value) for column, value in zip(columns, row, strict=True)] for row in metrics.values.tolist()
    ]
    return plain_table(columns, rows, title)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    """Text cells under a header."""
    table = Table(title=Text(title) if title else None, box=SIMPLE, padding=(0, 1), title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _number(value: Any) -> str:
    return "–" if value == "" else f"{float(value):.2f}"


def _cell(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value != value:
        return "–"
    return f"{value:.0f}" if column in ("labels", "positives", "edges") else f"{value:.3f}"


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_WIDTH else label[: _LABEL_WIDTH - 1] + "…"


def _folded(task: str) -> str:
    """``NR-Aromatase`` in lines of at most a few letters: NR- / Aroma / tase."""
    pieces = task.replace("-", "- ").split()
    return "\n".join(
        piece[start : start + _TASK_WIDTH] for piece in pieces for start in range(0, len(piece), _TASK_WIDTH)
    )
