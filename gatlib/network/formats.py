"""Graphs that networkx reads safely: GraphML, GEXF, GML, JSON node-link. Pickle is none of them."""

import re
from collections import Counter
from collections.abc import Callable
from numbers import Number
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.data.files import open_bytes
from gatlib.errors import InputError
from gatlib.network.edges import WEIGHT_COLUMN
from gatlib.network.features import read_json
from gatlib.network.memory import NETWORKX_FACTOR, check_size_fits
from gatlib.network.network import EdgeList, Network, NodeTable, counted, make_network, take_column
from gatlib.network.xml_check import check_xml

#: The ends of file names that are graphs, each also with ``.gz``.
GRAPH_SUFFIXES = (".graphml", ".xml", ".gexf", ".gml", ".json")

_READ_ERRORS = (
    nx.NetworkXException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    RecursionError,
)


def read_graph(
    path: Path, target: str | None = None, *, directed: bool | None = None
) -> tuple[Network, list[str | None] | None]:
    """One graph of a file in which nodes and edges stand together, and the labels of its nodes.

    Args:
        path: ``.graphml`` or ``.xml``, ``.gexf``, ``.gml``, ``.json`` (node-link), each also with ``.gz``.
        target: the node attribute that holds the labels.
        directed: as for :func:`from_networkx`.

    Raises:
        InputError: the file cannot be read; it declares entities; an edge names an unknown node; what
            :func:`from_networkx` raises.
    """
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    readers: dict[str, Callable[[Path], Any]] = {
        ".graphml": _read_graphml,
        ".xml": _read_graphml,
        ".gexf": _read_gexf,
        ".gml": _read_gml,
        ".json": _read_node_link,
    }
    if path.is_file():
        if suffix.lower() not in readers:
            raise InputError(f"{path}: cannot tell its format; name it {', '.join(GRAPH_SUFFIXES)}, or one with .gz")
        check_size_fits(path, NETWORKX_FACTOR)
    with open_bytes(path):  # says what is wrong with the path
        pass
    try:
        graph = readers[suffix.lower()](path)
    except InputError as error:
        raise error from None
    except _READ_ERRORS as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{path} cannot be read as {suffix[1:].lower()} ({reason:.200}): write it anew") from None
    try:
        return from_networkx(graph, target, directed=directed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def from_networkx(
    graph: Any, target: str | None = None, *, directed: bool | None = None
) -> tuple[Network, list[str | None] | None]:
    """One graph of a networkx graph, and the labels of its nodes.

    Node attributes become attributes (tuples and sets become lists), the edge attribute ``weight`` the weight, 1 where
    an edge has none. Parallel edges are merged as :func:`gatlib.network.network.make_network` tells.

    Args:
        graph: a ``networkx`` graph, directed or not, with parallel edges or not.
        target: the node attribute that holds the labels; it is no attribute of the result. None or blank where a
            node has no label.
        directed: keep the direction of the edges; None for what the graph says of itself.

    Returns:
        the network, and labels in the order of its ``ids``, None without ``target``.

    Raises:
        InputError: fewer than two nodes; two nodes whose names are one text; a weight that is no positive finite
            number; no such attribute; no labels.
    """
    nodes = list(graph.nodes)
    ids = [str(node).strip() for node in nodes]
    if len(set(ids)) < len(ids) or "" in ids:
        twice = "" if "" in ids else Counter(ids).most_common(1)[0][0]
        raise InputError(f"node {twice!r:.60} is blank or stands twice when its name is taken as text: rename one")
    number_of = {node: number for number, node in enumerate(nodes)}
    ends = np.array([(number_of[a], number_of[b]) for a, b in graph.edges()], dtype=np.int64).reshape(-1, 2)
    weight, notes = _weights(graph)
    attributes, more = _attributes(graph, nodes)
    is_directed = graph.is_directed() if directed is None else directed
    notes += more + ["edges are directed"] * is_directed
    network = make_network(
        EdgeList(ids, ends[:, 0], ends[:, 1], weight, notes),
        [NodeTable("the graph", ids, attributes)],
        directed=is_directed,
    )
    if target is None:
        return network, None
    network, labels = take_column(network, target)
    if not any(label is not None for label in labels):
        raise InputError(f"node attribute {target!r} has no labels")
    return network, labels


def _weights(graph: Any) -> tuple[NDArray[np.float32] | None, list[str]]:
    edges = list(graph.edges(data=WEIGHT_COLUMN))
    missing = sum(value is None for *_, value in edges)
    if missing == len(edges):
        return None, []
    weights = np.ones(len(edges), dtype=np.float32)
    for place, (source, target, value) in enumerate(edges):
        if value is None:
            continue
        try:
            weights[place] = float(value)
        except (TypeError, ValueError, OverflowError):
            weights[place] = np.nan
        if not (np.isfinite(weights[place]) and weights[place] > 0):
            raise InputError(
                f"the edge from {source!r:.60} to {target!r:.60} has weight {value!r:.60}, which is not a finite "
                "number above 0: correct it or leave the edge out"
            )
    return weights, [f"weight 1 for {counted(missing, 'edge')} without a weight"] * bool(missing)


def _attributes(graph: Any, nodes: list[Any]) -> tuple[pd.DataFrame, list[str]]:
    cells: dict[str, list[Any]] = {}
    left_out: set[str] = set()
    for row, node in enumerate(nodes):
        for name, value in graph.nodes[node].items():
            cell = _cell(value)
            if cell is None and value is not None:
                left_out.add(str(name))
            else:
                cells.setdefault(str(name), [None] * len(nodes))[row] = cell
    columns = {name: pd.Series(found, dtype=object) for name, found in cells.items() if name not in left_out}
    notes = [f"node attribute {name!r} left out: it is neither number, text nor list" for name in sorted(left_out)]
    return pd.DataFrame(columns, index=pd.RangeIndex(len(nodes))), notes


def _cell(value: Any) -> Any:
    """A number, text, list or None as it stands; None of everything else."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
    if isinstance(value, str):
        return value.strip() or ""
    return value if isinstance(value, Number) and not isinstance(value, complex) else None


def _read_graphml(path: Path) -> Any:
    check_xml(path)
    with open_bytes(path) as file:
        return nx.read_graphml(file)


def _read_gexf(path: Path) -> Any:
    check_xml(path)
    with open_bytes(path) as file:
        graph = nx.read_gexf(file)
    for _, attributes in graph.nodes(data=True):
        attributes.pop("viz", None)  # how Gephi draws the node
    return graph


def _read_gml(path: Path) -> Any:
    with open_bytes(path) as file:
        text = file.read().decode("utf-8-sig", errors="replace")
    # networkx takes ASCII only and reads such references back as the characters that they are.
    text = text.encode("ascii", "xmlcharrefreplace").decode("ascii")
    try:
        return _parse_gml(text, "label")
    except nx.NetworkXError as error:
        if "label" not in str(error):
            raise
        return _parse_gml(text, "id")


def _parse_gml(text: str, label: str) -> Any:
    try:
        return nx.parse_gml(text, label=label)
    except nx.NetworkXError as error:
        # Widely used files repeat edges without saying so; they are merged later, and noted.
        if "edge #" not in str(error) or "is duplicated" not in str(error):
            raise
        return nx.parse_gml(re.sub(r"(?m)^\s*graph\s*\[", "graph [\n  multigraph 1", text, count=1), label=label)


def _read_node_link(path: Path) -> Any:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("nodes"), list):
        raise InputError(f"{path} is not a node-link graph: it needs lists 'nodes' and 'links' (or 'edges')")
    key = "links" if "links" in content else "edges"
    if not isinstance(content.get(key), list):
        raise InputError(f"{path} is not a node-link graph: it has no list 'links' or 'edges'")
    for number, node in enumerate(content["nodes"], start=1):
        if not isinstance(node, dict) or not isinstance(node.get("id"), str | int | float):
            raise InputError(f"{path}: node {number} has no 'id' that is text or a number")
    known = {node["id"] for node in content["nodes"]}
    if len(known) < len(content["nodes"]):
        raise InputError(f"{path}: two nodes have one 'id': rename one")
    for number, link in enumerate(content[key], start=1):
        for end in ("source", "target"):
            name = link.get(end) if isinstance(link, dict) else None
            if not isinstance(name, str | int | float) or name not in known:
                raise InputError(f"{path}: {key[:-1]} {number} names the {end} {name!r:.60}, which is no node")
    return nx.node_link_graph(content, edges=key)
