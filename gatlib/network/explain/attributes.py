"""From importances of the columns of a model's input to those of the attributes that the columns were made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlib.network.encoding import AttributeRule, CategoryColumn, ListColumn, NumberColumn
from gatlib.network.explain.explanation import AttributeImportance
from gatlib.network.network import Network, cell_text
from gatlib.network.structure import STRUCTURE_NAMES


@dataclass(frozen=True)
class _Source:
    """An attribute, or one of its values, and the columns of the input that say it."""

    attribute: str
    value: str | None
    columns: list[int]


def attribute_importances(
    own: NDArray[np.float64], neighbourhood: NDArray[np.float64], network: Network, rule: AttributeRule, node: int
) -> list[AttributeImportance]:
    """The sums of importances over the columns of each attribute, the largest first, without those that are zero.

    A number is one attribute, whether it is known or missing; of categories and lists each value stands alone.

    Args:
        own: importance of each column for the node itself.
        neighbourhood: the sum over all other nodes.
        network: the graph.
        rule: what the columns are.
        node: the number of the node.

    Shapes:
        - **own, neighbourhood:** ``[F]``
    """
    found = [
        AttributeImportance(
            attribute=source.attribute,
            value=source.value,
            own=float(own[source.columns].sum()),
            neighbourhood=float(neighbourhood[source.columns].sum()),
        )
        for source in _sources(network, rule, node)
        if own[source.columns].any() or neighbourhood[source.columns].any()
    ]
    return sorted(found, key=lambda each: -abs(each.importance))


def _sources(network: Network, rule: AttributeRule, node: int) -> list[_Source]:
    """In the order of the columns, ``rule.names``."""
    sources: list[_Source] = []

    def add(attribute: str, value: str | None, width: int = 1) -> None:
        start = sources[-1].columns[-1] + 1 if sources else 0
        sources.append(_Source(attribute, value, list(range(start, start + width))))

    for column in rule.columns:
        if isinstance(column, NumberColumn):
            value = shown_cell(network.attributes[column.column].iloc[node])
            add(column.column, value or "missing", 1 + column.missing)
        elif isinstance(column, CategoryColumn | ListColumn):
            for value in column.values if isinstance(column, CategoryColumn) else column.entries:
                add(column.column, value)
    if rule.active is not None:
        for name in rule.active.names or range(rule.active.width):
            add(f"feature {name}", None)
    if rule.structure is not None:
        for name in STRUCTURE_NAMES:
            add(name, None)
    if rule.known_labels is not None:
        for group in rule.known_labels.groups:
            for label in rule.known_labels.classes:
                add(group, label)
    return sources


def shown_cell(cell: object) -> str | None:
    """A cell as text to read, None when it is missing or blank."""
    if isinstance(cell, list):
        return ", ".join(map(str, cell))
    text = cell_text(cell)
    return f"{cell:.6g}" if text and isinstance(cell, float) else text
