"""From raw attributes to numbers, by a rule that is learned once and saved with the model."""

import re
from collections import Counter
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_matrix, diags, hstack  # type: ignore[import-untyped]

from gatlib.errors import InputError
from gatlib.network.network import Network, cell_text
from gatlib.network.structure import STRUCTURE_NAMES, structural_features
from gatlib.network.text_tables import ID_COLUMNS
from gatlib.nn.label_walks import label_walks

MAX_DENSE_COLUMNS = 512
_MAX_CATEGORIES = 100
_MAX_ENTRIES = 1000
_MIN_SEEN = 2
_NUMBER_SHARE = 0.95
_FEW_NUMBERS = 10
_HIGH_SKEW = 3.0
_SEPARATORS = ("|", ";")
_MISSING = ("", "nan", "na", "n/a", "null", "none")
_STRICT = ConfigDict(extra="forbid", frozen=True)


class NumberColumn(BaseModel):
    """Standardised; after a signed log1p where ``logarithm``; 0 where missing, which ``missing`` marks in a column."""

    model_config = _STRICT
    kind: Literal["number"] = "number"
    column: str
    logarithm: bool
    mean: float
    scale: float = Field(gt=0)
    missing: bool


class CategoryColumn(BaseModel):
    """One column per value; another value, or none, is zero in all."""

    model_config = _STRICT
    kind: Literal["category"] = "category"
    column: str
    values: list[str] = Field(min_length=1)


class ListColumn(BaseModel):
    """One column per entry of the lists, or of text that ``separator`` divides."""

    model_config = _STRICT
    kind: Literal["list"] = "list"
    column: str
    separator: str | None
    entries: list[str] = Field(min_length=1)


class ActiveFeatures(BaseModel):
    """Features as they stand, each row divided by its Euclidean length."""

    model_config = _STRICT
    width: int = Field(ge=1)
    names: list[str] | None = Field(description="None where features are known by their position")


class Structure(BaseModel):
    """:func:`gatlib.network.structure.structural_features`, standardised."""

    model_config = _STRICT
    means: list[float] = Field(min_length=len(STRUCTURE_NAMES), max_length=len(STRUCTURE_NAMES))
    scales: list[float] = Field(min_length=len(STRUCTURE_NAMES), max_length=len(STRUCTURE_NAMES))


class KnownLabels(BaseModel):
    """One column per class, in which nodes have 1 whose label is known; the others have zeros.

    Then :func:`gatlib.nn.label_walks.label_walks` of them, one column per step and class.
    """

    model_config = _STRICT
    target: str
    classes: list[str] = Field(min_length=2)
    steps: int = Field(0, ge=0)

    @property
    def groups(self) -> list[str]:
        """What the labels of each group of columns are, one column per class."""
        walks = [f"known {self.target} {step} step{'s' * (step > 1)} away" for step in range(1, self.steps + 1)]
        return [f"known {self.target}", *walks]


AttributeColumn = Annotated[NumberColumn | CategoryColumn | ListColumn, Field(discriminator="kind")]


class AttributeRule(BaseModel):
    """How a network becomes the input of a model.

    The attributes come first, then the active features, the structure, and at the end the known labels.
    """

    model_config = _STRICT
    columns: list[AttributeColumn]
    active: ActiveFeatures | None
    structure: Structure | None
    notes: list[str]
    known_labels: KnownLabels | None = None

    @property
    def names(self) -> list[str]:
        """What each column of the result is, ``[F]``."""
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, NumberColumn):
                names += [column.column] + [f"{column.column} is missing"] * column.missing
            else:
                values = column.values if isinstance(column, CategoryColumn) else column.entries
                names += [f"{column.column} = {value}" for value in values]
        if self.active is not None:
            names += [f"feature {name}" for name in self.active.names or range(self.active.width)]
        if self.structure is not None:
            names += STRUCTURE_NAMES
        if self.known_labels is not None:
            known = self.known_labels
            names += [f"{group} = {label}" for group in known.groups for label in known.classes]
        return names

    @property
    def width(self) -> int:
        return len(self.names)


def learn_rule(network: Network, *, structure: bool = False) -> AttributeRule:
    """The rule for a network, from all its nodes and without labels.

    A column of numbers (95 % of what is not blank; more than 10 values, or fractions) is standardised. Another column
    of at most 100 values has a column for each value seen twice; lists, or text with ``|`` or ``;`` in half of the
    cells, one for each of the 1,000 most frequent entries seen twice. Ids, free text and columns with one value are
    left out, with a note.

    Args:
        network: the training graph.
        structure: use structural features too. They are always used where there is nothing else.
    """
    columns, notes = [], []
    for name in network.attributes.columns:
        found = _learn_column(str(name), list(network.attributes[name]))
        if isinstance(found, str):
            notes.append(f"attribute {str(name)!r} left out: {found}")
        else:
            columns.append(found)
    active = None
    if network.active is not None and network.active.shape[1]:
        active = ActiveFeatures(width=network.active.shape[1], names=network.active_names)
    standard = None
    if structure or (not columns and active is None):
        if not structure:
            notes.append("nodes have no features: their degrees, random walks and ranks are used")
        found_structure = structural_features(network.edge_index, network.num_nodes).astype(np.float64)
        standard = Structure(
            means=found_structure.mean(axis=0).tolist(), scales=_scales(found_structure.std(axis=0)).tolist()
        )
    return AttributeRule(columns=columns, active=active, structure=standard, notes=notes)


def encode(network: Network, rule: AttributeRule) -> NDArray[np.float32] | csr_matrix:
    """The input of a model, ``[N, rule.width]``: dense up to 512 columns, else sparse.

    Raises:
        InputError: an attribute of the rule is missing, or the features are of another width or have other names; a
            known label is no class.
    """
    blocks: list[NDArray[np.float32] | csr_matrix] = []
    for column in rule.columns:
        if column.column not in network.attributes.columns:
            raise InputError(
                f"the nodes have no attribute {column.column!r}, which the model was trained with: add it, blank "
                "where unknown"
            )
        blocks.append(_encode_column(column, list(network.attributes[column.column])))
    if rule.active is not None:
        blocks.append(_unit_rows(_select_active(network, rule.active)))
    if rule.structure is not None:
        found = structural_features(network.edge_index, network.num_nodes)
        blocks.append(((found - rule.structure.means) / rule.structure.scales).astype(np.float32))
    if rule.known_labels is not None:
        blocks.append(_encode_labels(network, rule.known_labels))
    if sum(block.shape[1] for block in blocks) > MAX_DENSE_COLUMNS:
        return csr_matrix(hstack([csr_matrix(block) for block in blocks], format="csr"), dtype=np.float32)
    dense = [block if isinstance(block, np.ndarray) else block.toarray() for block in blocks]
    return np.ascontiguousarray(np.concatenate(dense, axis=1), dtype=np.float32)


def _learn_column(name: str, cells: list[object]) -> AttributeColumn | str:
    """How to encode a column, or why not."""
    if any(isinstance(cell, list) for cell in cells):
        return _learn_list(name, cells, None)
    texts = [text for text in map(_text, cells) if text is not None]
    distinct = Counter(texts)
    if len(distinct) < 2 and len(texts) in (0, len(cells)):
        return "it says the same of all nodes"
    numbers = _numbers(cells)
    known = numbers[~np.isnan(numbers)]
    is_number = len(known) >= _NUMBER_SHARE * len(texts)
    whole = bool((known == np.round(known)).all())
    if is_number and (len(np.unique(known)) > _FEW_NUMBERS or not whole):
        if whole and len(distinct) == len(texts) and _is_id_name(name):
            return "it is an id of its own for each node"
        return _learn_number(name, known, bool(np.isnan(numbers).any()))
    for separator in _SEPARATORS:
        if 2 * sum(separator in text for text in texts) >= len(texts):
            return _learn_list(name, cells, separator)
    seen = sorted(text for text, count in distinct.items() if count >= _MIN_SEEN)
    if len(distinct) > _MAX_CATEGORIES or not seen:
        return f"it has {len(distinct):,} different values, as free text or ids have"
    return CategoryColumn(column=name, values=seen)


def _learn_number(name: str, known: NDArray[np.float64], missing: bool) -> NumberColumn:
    deviation = known - known.mean()
    spread = known.std()
    skew = float(np.mean((deviation / spread) ** 3)) if spread > 0 else 0.0
    logarithm = skew > _HIGH_SKEW
    values = _signed_log(known) if logarithm else known
    scale = float(_scales(values.std()))
    return NumberColumn(column=name, logarithm=logarithm, mean=float(values.mean()), scale=scale, missing=missing)


def _learn_list(name: str, cells: list[object], separator: str | None) -> ListColumn | str:
    counts = Counter(entry for cell in cells for entry in _entries(cell, separator))
    if counts and sum(re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", entry) is not None for entry in counts) * 2 > len(counts):
        return "its lists hold fractions: give numbers as a column each or as npz"
    frequent = sorted((entry for entry in counts if counts[entry] >= _MIN_SEEN), key=lambda entry: -counts[entry])
    kept = sorted(sorted(frequent, key=lambda entry: (-counts[entry], entry))[:_MAX_ENTRIES])
    if not kept:
        return "no entry of its lists is seen twice"
    return ListColumn(column=name, separator=separator, entries=kept)


def _encode_column(column: AttributeColumn, cells: list[object]) -> NDArray[np.float32] | csr_matrix:
    if isinstance(column, NumberColumn):
        numbers = _numbers(cells)
        values = _signed_log(numbers) if column.logarithm else numbers
        standard = np.nan_to_num((values - column.mean) / column.scale, nan=0.0)
        return np.stack([standard, np.isnan(numbers)][: 1 + column.missing], axis=1).astype(np.float32)
    if isinstance(column, CategoryColumn):
        known, entries = column.values, [[text] if (text := _text(cell)) else [] for cell in cells]
    else:
        known, entries = column.entries, [_entries(cell, column.separator) for cell in cells]
    place = {value: number for number, value in enumerate(known)}
    found = [(row, place[entry]) for row, of_node in enumerate(entries) for entry in of_node if entry in place]
    return _ones(found, (len(cells), len(known)))


def _encode_labels(network: Network, rule: KnownLabels) -> NDArray[np.float32] | csr_matrix:
    place = {label: number for number, label in enumerate(rule.classes)}
    found = []
    for row, label in enumerate(network.known_labels or ()):
        if label is not None:
            if label not in place:
                raise InputError(
                    f"node {network.ids[row]!r:.60} has the label {label!r:.60}, which is none of the "
                    f"{len(place)} classes of {rule.target!r} that the model knows: leave it blank"
                )
            found.append((row, place[label]))
    labels = _ones(found, (network.num_nodes, len(place)))
    if not rule.steps:
        return labels
    dense = labels.toarray()
    walks = label_walks(torch.from_numpy(dense), torch.from_numpy(network.edge_index), rule.steps)
    return np.concatenate([dense, walks.numpy()], axis=1)


def _ones(places: list[tuple[int, int]], shape: tuple[int, int]) -> csr_matrix:
    rows, columns = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return csr_matrix((np.ones(len(places), dtype=np.float32), (rows, columns)), shape=shape)


def _select_active(network: Network, rule: ActiveFeatures) -> csr_matrix:
    """The features of the rule in its order; those it does not know are left out."""
    if network.active is None:
        raise InputError(f"the nodes have no features, and the model was trained with {rule.width:,}: give them")
    if rule.names is None or network.active_names is None:
        if network.active.shape[1] != rule.width:
            raise InputError(
                f"the nodes have {network.active.shape[1]:,} features and the model was trained with {rule.width:,}: "
                "give the same ones, in the same order"
            )
        if rule.names != network.active_names:
            raise InputError(
                "the model was trained with features that have names or numbers, and these have none, or the other "
                "way round: give them in the kind of file that it was trained with"
            )
        return network.active
    place = {name: number for number, name in enumerate(network.active_names)}
    pairs = [(place[name], number) for number, name in enumerate(rule.names) if name in place]
    if not pairs:
        raise InputError(
            f"none of the {len(place):,} features (first {network.active_names[0]!r:.60}) is one of the {rule.width:,} "
            f"that the model was trained with (first {rule.names[0]!r:.60}): give the same ones"
        )
    rows, columns = np.array(pairs, dtype=np.int64).T
    select = csr_matrix((np.ones(len(pairs), dtype=np.float32), (rows, columns)), shape=(len(place), rule.width))
    return csr_matrix(network.active @ select)


def _unit_rows(active: csr_matrix) -> csr_matrix:
    length = np.sqrt(np.asarray(active.multiply(active).sum(axis=1)).ravel())
    return csr_matrix(diags(1 / np.where(length > 0, length, 1)) @ active, dtype=np.float32)


def _text(cell: object) -> str | None:
    text = cell_text(cell)
    return None if text is None or text.lower() in _MISSING else text


def _entries(cell: object, separator: str | None) -> list[str]:
    """The different entries of a list, or of a text that the separator divides."""
    if isinstance(cell, list):
        parts = [cell_text(entry) for entry in cell]
    else:
        text = _text(cell)
        parts = [] if text is None else [part.strip() for part in text.split(separator)] if separator else [text]
    return list(dict.fromkeys(part for part in parts if part))


def _numbers(cells: list[object]) -> NDArray[np.float64]:
    """Cells as finite numbers, NaN where they are none."""
    plain = [cell if isinstance(cell, int | float | str) and not isinstance(cell, bool) else None for cell in cells]
    numbers = np.asarray(pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce"), dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(values) * np.log1p(np.abs(values))


def _scales(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where nothing varies."""
    return np.where(spread > 1e-8, spread, 1.0)


def _is_id_name(name: str) -> bool:
    return name.lower() in ID_COLUMNS or re.search(r"(^|[_\- ])id$", name.lower()) is not None
