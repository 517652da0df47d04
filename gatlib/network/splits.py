"""Splits of the labelled nodes of one graph into train, valid and test."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gatlib.data.splits import PART_OF_WORD, SPLIT_NAMES, Split
from gatlib.errors import InputError
from gatlib.network.network import counted
from gatlib.network.text_tables import id_column_of, need_column, read_text_table

RANDOM = "random"
PUBLIC = "public"
GIVEN = "given"
FRACTIONS = (0.6, 0.2)


def node_split(
    labels: Sequence[str | None],
    split: str = RANDOM,
    seed: int = 0,
    *,
    ids: Sequence[str],
    parts: Sequence[str | None] | None = None,
    given: Sequence[Split] = (),
) -> tuple[Split, list[str]]:
    """The rows of the nodes in train, valid and test, and notes. Nodes without a label are in no part.

    Args:
        labels: one per node, None where unlabelled.
        split: ``random``, 60, 20 and 20 in a hundred; ``random:48/32/20``, other shares; ``public``, the one split that
            comes with a data set; ``given``, that of several whose number is the seed, round and round; the name of the
            column that ``parts`` was; or a csv file with the columns ``node`` and ``split``. ``parts`` goes before all.
        seed: of the random split; the same seed gives the same split, on every machine.
        ids: of the nodes, for a file and for errors.
        parts: train, valid or test per node; None leaves the node out.
        given: the splits that come with the network.

    Raises:
        InputError: no such file or split; an unknown word or node; a node in two parts; an empty part; one class only;
            shares that are not three whole numbers above 0 with the sum 100.
    """
    if len(set(labels) - {None}) < 2:
        found = next((repr(label) for label in labels if label is not None), "none")
        raise InputError(f"the labels have fewer than two classes ({found:.60}): two are needed to learn")
    if parts is None and is_random(split):
        return stratified_split(labels, seed, _fractions(split))
    if parts is None and split in (PUBLIC, GIVEN):
        if split != (PUBLIC if len(given) == 1 else GIVEN) or not given:
            has = "none" if not given else "one, 'public'" if len(given) == 1 else f"{len(given)}, 'given'"
            raise InputError(f"there is no split {split!r}; splits that come with the network: {has}")
        return given[seed % len(given)], []
    if parts is None:
        return _checked(labels, _read_parts(Path(split), ids), split)
    words = [part_of(text, f"split column {split!r}, node {node!r:.60}") for node, text in zip(ids, parts, strict=True)]
    return _checked(labels, words, f"split column {split!r}")


def is_random(split: str) -> bool:
    """Whether a split is drawn by its seed."""
    return split.partition(":")[0] == RANDOM


def names_no_column(split: str) -> bool:
    """Whether a split is drawn at random or comes with the data set, so that it is neither a column nor a file."""
    return is_random(split) or split in (PUBLIC, GIVEN)


def _fractions(split: str) -> tuple[float, float]:
    if split == RANDOM:
        return FRACTIONS
    shares = [int(text) if re.fullmatch(r"\d{1,3}", text) else 0 for text in split.partition(":")[2].split("/")]
    if len(shares) != 3 or min(shares) < 1 or sum(shares) != 100:
        raise InputError(
            f"split {split!r:.60}: give the shares of train, valid and test as three whole numbers above 0 with the "
            "sum 100, as in 'random:60/20/20'"
        )
    return shares[0] / 100, shares[1] / 100


def stratified_split(
    labels: Sequence[str | None], seed: int, fractions: tuple[float, float] = FRACTIONS
) -> tuple[Split, list[str]]:
    """Each class is divided at random by ``fractions``, to the nearest whole node; its first node goes to train.

    Raises:
        InputError: when a part is empty.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        if label is not None:
            rows_of[label].append(row)
    generator = np.random.default_rng(seed)
    part_of_row: list[str | None] = [None] * len(labels)
    notes = []
    for label in sorted(rows_of):  # in any order of the nodes the classes come in the same order
        rows = generator.permutation(rows_of[label])
        first = max(1, round(fractions[0] * len(rows)))
        second = max(first, round(sum(fractions) * len(rows)))
        for place, row in enumerate(rows):
            part_of_row[row] = "train" if place < first else "valid" if place < second else "test"
        if len(rows) == 1:
            notes.append(f"class {label!r:.60} has one node, which is in train: it cannot be judged")
    split, more = _checked(labels, part_of_row, "the random split")
    return split, notes + more


def part_of(text: str | None, where: str) -> str | None:
    """``train``, ``valid`` or ``test`` of a cell, None of a blank one.

    Raises:
        InputError: when it is another word.
    """
    word = "" if text is None else text.strip().lower()
    if word and word not in PART_OF_WORD:
        raise InputError(f"{where}: {text!r:.60} is not train, valid or test")
    return PART_OF_WORD.get(word)


def _read_parts(path: Path, ids: Sequence[str]) -> list[str | None]:
    frame = read_text_table(path)
    part_column = need_column(frame, "split", path)
    node_column, _ = id_column_of(frame, path, None, ids)
    row_of_node = {node: row for row, node in enumerate(ids)}
    parts: list[str | None] = [None] * len(ids)
    for row, (node, text) in enumerate(zip(frame[node_column], frame[part_column], strict=True), start=1):
        where = f"{path}, data row {row}"
        part = part_of(text, where)
        if node not in row_of_node:
            raise InputError(f"{where}: there is no node {node!r:.60} in the graph: leave the row out")
        before = parts[row_of_node[node]]
        if part is not None and before not in (None, part):
            raise InputError(f"{where}: node {node!r:.60} is in {part} here and in {before} before: leave one out")
        parts[row_of_node[node]] = part or before
    return parts


def _checked(labels: Sequence[str | None], part_of_row: Sequence[str | None], where: str) -> tuple[Split, list[str]]:
    rows: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}
    for row, (label, part) in enumerate(zip(labels, part_of_row, strict=True)):
        if label is not None and part is not None:
            rows[part].append(row)
    empty = [name for name in SPLIT_NAMES if not rows[name]]
    if empty:
        missing = " and no ".join(empty)
        raise InputError(
            f"{where} has no labelled {missing} nodes: each part needs some, label more or move some there"
        )
    learned = {labels[row] for row in rows["train"]}
    unseen = sorted({str(labels[row]) for name in ("valid", "test") for row in rows[name]} - learned)
    notes = [f"class {unseen[0]!r:.60} has no node in train: the model cannot predict it"] if unseen else []
    missed = sum(label is not None for label in labels) - sum(map(len, rows.values()))
    if missed:
        notes.append(f"{counted(missed, 'labelled node')} in no part of the split")
    return Split(*(np.array(rows[name], dtype=np.int64) for name in SPLIT_NAMES)), notes
