"""One graph with what is known of its nodes, made of edges and tables by a stated policy."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from gatlib.errors import InputError


@dataclass(frozen=True)
class EdgeList:
    """Edges as they stand in a file, each once."""

    ids: list[str]  # nodes, in order of first appearance
    source: NDArray[np.int64]  # [rows], positions in ids
    target: NDArray[np.int64]  # [rows]
    weight: NDArray[np.float32] | None  # [rows]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class NodeTable:
    """What one file says about nodes: a row per node, each node once."""

    name: str  # what the file is called in notes
    ids: list[str]
    attributes: pd.DataFrame  # [rows, columns], cells are numbers, text, lists of text, or None
    active: csr_matrix | None = None  # [rows, F]
    active_names: list[str] | None = None  # [F], None where a feature is known by its position only
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Network:
    """One graph whose nodes are people, pages, papers."""

    ids: list[str]  # as they stand, as text, in order of first appearance
    edge_index: NDArray[np.int64]  # [2, E] source, target; both directions of an undirected edge
    edge_weight: NDArray[np.float32] | None  # [E]
    attributes: pd.DataFrame  # [N, columns], raw: numbers, text, lists of text, None; may have no columns
    active: csr_matrix | None  # [N, F] numeric features, mostly zero
    notes: list[str]  # what was decided while reading, a sentence each
    active_names: list[str] | None = None  # [F], None where a feature is known by its position only
    directed: bool = False  # edges lead one way
    known_labels: Sequence[str | None] | None = None  # [N] what a model that sees labels may see

    @property
    def num_nodes(self) -> int:
        return len(self.ids)


def make_network(edges: EdgeList, tables: Sequence[NodeTable] = (), *, directed: bool = False) -> Network:
    """One graph of a list of edges and tables of nodes.

    Self-loops are left out: attention layers add one per node. An edge that stands more than once is kept once, its
    weights added up; without ``directed``, (a, b) and (b, a) are one edge. Nodes that stand in a table only are
    isolated and kept. Each of these leaves a note.

    Args:
        edges: the edges.
        tables: what is known of the nodes; nodes are numbered as in the edges, then as in the tables.
        directed: keep the direction of the edges, else each leads both ways.

    Shapes:
        - **edge_index:** ``[2, E]``, sorted by source and target; **edge_weight:** ``[E]``
        - **attributes:** ``[N, columns]``, **active:** ``[N, F]``

    Raises:
        InputError: fewer than two nodes; a column that stands in two tables.
    """
    ids = list(edges.ids)
    position = {node: place for place, node in enumerate(ids)}
    notes = list(edges.notes)
    for table in tables:
        before = len(ids)
        for node in table.ids:
            if position.setdefault(node, len(ids)) == len(ids):
                ids.append(node)
        notes += table.notes
        if len(ids) > before:
            notes.append(f"{counted(len(ids) - before, 'node')} of {table.name} without an edge kept as isolated")
    if len(ids) < 2:
        raise InputError(f"the graph has {counted(len(ids), 'node')}: it needs two or more")
    edge_index, edge_weight, edge_notes = _merge(edges, len(ids), directed)
    attributes, active, active_names = _join(tables, position)
    for table in tables:
        if 0 < len(table.ids) < len(ids) and (table.active is not None or len(table.attributes.columns)):
            notes.append(f"{counted(len(ids) - len(table.ids), 'node')} without a row in {table.name}")
    notes += edge_notes
    return Network(ids, edge_index, edge_weight, attributes, active, notes, active_names, directed)


def take_column(network: Network, column: str) -> tuple[Network, list[str | None]]:
    """A network without one of its attributes, and that attribute as text, None where it is missing or blank.

    Raises:
        InputError: when there is no such attribute.
    """
    if column not in network.attributes.columns:
        found = ", ".join(repr(str(name)) for name in network.attributes.columns) or "none"
        raise InputError(f"the nodes have no attribute {column!r}; their attributes are {found}")
    texts = [cell_text(cell) for cell in network.attributes[column]]
    return replace(network, attributes=network.attributes.drop(columns=column)), texts


def cell_text(cell: object) -> str | None:
    """A cell as text, None when it is missing or blank; a whole number has no decimals however it is stored."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip() or None


def _merge(
    edges: EdgeList, num_nodes: int, directed: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None, list[str]]:
    source, target, weight = edges.source, edges.target, edges.weight
    notes = []
    is_loop = source == target
    num_loops = int(is_loop.sum())
    if num_loops:
        source, target = source[~is_loop], target[~is_loop]
        weight = None if weight is None else weight[~is_loop]
        notes.append(f"{counted(num_loops, 'self-loop')} left out: attention adds one per node")
    first, second = (source, target) if directed else (np.minimum(source, target), np.maximum(source, target))
    # SciPy merges in time linear in the edges; a sort of pairs takes several times as long.
    values = np.ones(len(first), dtype=np.int8) if weight is None else weight.astype(np.float64)
    merged = csr_matrix((values, (first, second)), shape=(num_nodes, num_nodes))
    if merged.nnz < len(first):
        added = "" if weight is None else ", their weights added up"
        notes.append(f"{counted(len(first) - merged.nnz, 'repeated edge')} merged{added}")
    if weight is None:
        merged.data[:] = 1  # counts, of which none must become 0
    if not directed:
        merged = csr_matrix(merged + merged.T)
    merged.sort_indices()
    edge_index = np.empty((2, merged.nnz), dtype=np.int64)
    edge_index[0] = np.repeat(np.arange(num_nodes), np.diff(merged.indptr))
    edge_index[1] = merged.indices
    if weight is not None:
        with np.errstate(over="ignore"):
            weight = merged.data.astype(np.float32)
        if not np.isfinite(weight).all():
            raise InputError("the weights of an edge that stands more than once add up to infinity: make them smaller")
    return edge_index, weight, notes + _connection_notes(merged)


def _connection_notes(adjacency: csr_matrix) -> list[str]:
    if adjacency.nnz == 0:
        return ["no edges between different nodes"]
    num_parts, part = connected_components(adjacency, directed=True, connection="weak")
    if num_parts == 1:
        return []
    sizes = np.bincount(part)
    isolated = f", {int((sizes == 1).sum()):,} of them single nodes" * bool((sizes == 1).any())
    return [f"{num_parts:,} connected components{isolated}; the largest has {counted(int(sizes.max()), 'node')}"]


def _join(
    tables: Sequence[NodeTable], position: dict[str, int]
) -> tuple[pd.DataFrame, csr_matrix | None, list[str] | None]:
    columns: dict[str, NDArray[np.object_]] = {}
    active, active_names = None, None
    for table in tables:
        rows = np.array([position[node] for node in table.ids], dtype=np.int64)
        for name in table.attributes.columns:
            if name in columns:
                raise InputError(f"column {str(name)!r} of {table.name} stands in another file too: rename one of them")
            cells = np.full(len(position), None, dtype=object)
            cells[rows] = table.attributes[name].to_numpy(dtype=object)
            columns[name] = cells
        if table.active is not None:
            entries = coo_matrix(table.active)
            shape = (len(position), entries.shape[1])
            active = csr_matrix((entries.data, (rows[entries.row], entries.col)), shape=shape, dtype=np.float32)
            active_names = table.active_names
    index = pd.RangeIndex(len(position))
    attributes = pd.DataFrame({name: pd.Series(cells, index, dtype=object) for name, cells in columns.items()}, index)
    return attributes, active, active_names


def counted(number: int, noun: str) -> str:
    """``1 node``, ``2,000 nodes``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
