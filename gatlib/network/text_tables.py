"""Tables of text: csv, tsv, txt, also packed, with the delimiter guessed, in chunks or whole."""

import csv
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gatlib.data.files import open_bytes
from gatlib.errors import InputError
from gatlib.network.memory import check_size_fits

#: Names under which the column of the node ids is found, whatever their case.
ID_COLUMNS = ("id", "node", "node_id", "new_id")
_SEPARATORS = (",", "\t", ";")
_SPACES = r"\s+"
# Bytes that a whole table takes for each byte of its file: cells are Python's strings.
_TABLE_FACTOR = 12
_COMMENTS = (b"#", b"%")
_LONGEST_LINE = 1 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_8_MARK = b"\xef\xbb\xbf"
_WRONG_WIDTH = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


@dataclass(frozen=True)
class TextTable:
    """An open table. ``chunks`` can be read once: frames of text cells, a missing cell is ``""``."""

    columns: list[str] | None  # None for a list of edges without a first line of names
    width: int
    chunks: Iterator[pd.DataFrame]


@contextmanager
def open_text_table(path: Path, chunk_rows: int = 1_000_000, numbers_are_rows: bool = False) -> Iterator[TextTable]:
    """Open a table whose first line names the columns; lines before it that begin with ``#`` or ``%`` are comments.

    Args:
        path: the file, also ``.gz``. The delimiter is comma, tab or semicolon, whichever the first line has most of,
            else spaces.
        chunk_rows: rows of a frame.
        numbers_are_rows: a first line that begins with two numbers is a row already, as in the lists of SNAP.

    Raises:
        InputError: no such file, an empty one, UTF-16, a row with too many fields, an open quote.
    """
    with open_bytes(path) as file:
        line_number, start, line = 0, 0, b"#"
        while line.startswith(_COMMENTS) or not line.strip():
            start, line = file.tell(), file.readline(_LONGEST_LINE)
            line_number += 1
            if not line:
                raise InputError(f"{path} is empty")
            if len(line) == _LONGEST_LINE:
                raise InputError(f"{path}, line {line_number} is longer than {_LONGEST_LINE:,} bytes: this is no table")
            if line_number == 1 and line.startswith(_UTF_16):
                raise InputError(f"{path} is UTF-16 text: save it as UTF-8")
            if line_number == 1:
                line = line.removeprefix(_UTF_8_MARK)
        text = line.decode("utf-8", errors="surrogateescape").strip("\r\n")
        separator = _guess_separator(text)
        cells = text.split() if separator == _SPACES else next(csv.reader([text], delimiter=separator))
        cells = [cell.strip() for cell in cells]
        has_names = not (numbers_are_rows and len(cells) >= 2 and all(map(_is_number, cells[:2])))
        if has_names and not any(cells):
            raise InputError(f"{path} has no column names in its first line")
        if not has_names:
            line_number -= 1
            file.seek(start)
        with closing(_chunks(file, path, separator, len(cells), line_number, chunk_rows)) as chunks:
            yield TextTable(cells if has_names else None, len(cells), chunks)


def _chunks(
    file: object, path: Path, separator: str, width: int, lines_before: int, chunk_rows: int
) -> Generator[pd.DataFrame, None, None]:
    try:
        with pd.read_csv(  # type: ignore[call-overload]
            file,
            sep=separator,
            header=None,
            names=range(width),
            index_col=False,
            dtype=object,
            na_filter=False,
            chunksize=chunk_rows,
            encoding="utf-8-sig",
            encoding_errors="surrogateescape",
        ) as reader:
            yield from reader
    except pd.errors.EmptyDataError:
        return
    except pd.errors.ParserError as error:
        wrong = _WRONG_WIDTH.search(str(error))
        if wrong:
            expected, line, found = map(int, wrong.groups())
            raise InputError(
                f"{path}, line {lines_before + line} has {found} fields where the first line has {expected}: "
                "put text that holds the delimiter in quotes"
            ) from None
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{path} cannot be read as a table ({reason}): look for an open quote or a cut line") from None


def _guess_separator(line: str) -> str:
    count, separator = max((line.count(separator), -place) for place, separator in enumerate(_SEPARATORS))
    if count:
        return _SEPARATORS[-separator]
    return _SPACES if len(line.split()) > 1 else ","


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None


def read_text_table(path: Path) -> pd.DataFrame:
    """A whole table of stripped text cells under its column names.

    Raises:
        InputError: as :func:`open_text_table`; two columns of one name; no rows; more than memory holds.
    """
    if path.is_file():
        check_size_fits(path, _TABLE_FACTOR)
    with open_text_table(path) as table:
        columns = table.columns or []
        twice = [name for place, name in enumerate(columns) if name in columns[:place]]
        if twice:
            raise InputError(f"{path} has two columns {twice[0]!r}: rename one")
        frames = list(table.chunks)
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if frame.empty:
        raise InputError(f"{path} has a header but no rows")
    frame.columns = pd.Index(columns, dtype=object)
    for name in columns:
        frame[name] = pd.Series([cell.strip() for cell in frame[name]], dtype=object, index=frame.index)
    return frame


def find_name(columns: Sequence[str], wanted: str) -> int | None:
    """Position of a column: the exact name, else the same name in another case."""
    if wanted in columns:
        return list(columns).index(wanted)
    lowered = [column.lower() for column in columns]
    return lowered.index(wanted.lower()) if wanted.lower() in lowered else None


def need_column(frame: pd.DataFrame, column: str, path: Path) -> str:
    """The column of that name, in whatever case.

    Raises:
        InputError: when there is none.
    """
    place = find_name(list(frame.columns), column)
    if place is None:
        raise InputError(f"{path} has no column {column!r}; its columns are {_listed(frame)}")
    return str(frame.columns[place])


def id_column_of(
    frame: pd.DataFrame, path: Path, given: str | None, ids: Sequence[str] | None
) -> tuple[str, list[str]]:
    """The column of the node ids, and a note where there was a choice.

    Args:
        frame: the table.
        path: where it stands, for errors.
        given: the name that the user gave, or None to look for :data:`ID_COLUMNS`.
        ids: known nodes. Of several candidates the one that names most of them counts.

    Raises:
        InputError: no such column; a blank id; no id that is one of ``ids``.
    """
    if given is not None:
        candidates = [need_column(frame, given, path)]
    else:
        candidates = [str(name) for name in frame.columns if str(name).lower() in ID_COLUMNS]
        if not candidates:
            names = ", ".join(ID_COLUMNS)
            raise InputError(
                f"{path} has no column of node ids ({names}); its columns are {_listed(frame)}: name one with --id"
            )
    known = set(ids) if ids is not None else set()
    matches = {name: len(known.intersection(frame[name])) for name in candidates}
    column = max(candidates, key=lambda name: matches[name])
    if known and not matches[column]:
        raise InputError(_no_match(frame, path, column, known))
    blank = [row for row, text in enumerate(frame[column], start=1) if not text]
    if blank:
        raise InputError(f"{path}, data row {blank[0]}, column {column!r}: the node id is blank")
    if len(candidates) == 1:
        return column, []
    others = ", ".join(f"{name!r} {matches[name]:,}" for name in candidates if name != column)
    return column, [
        f"{path.name} is joined on {column!r}, which has {matches[column]:,} of the {len(known):,} nodes ({others})"
    ]


def _no_match(frame: pd.DataFrame, path: Path, column: str, known: set[str]) -> str:
    best = max(frame.columns, key=lambda name: len(known.intersection(frame[name])))
    count = len(known.intersection(frame[best]))
    advice = f"{best!r} has {count:,} of them: use --id {best}" if count else "name the column of the nodes with --id"
    return f"{path}: no id in column {column!r} (first {frame[column].iloc[0]!r:.60}) is a node of the edges; {advice}"


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(repr(str(name)) for name in frame.columns)
