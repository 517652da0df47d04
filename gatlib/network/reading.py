"""From the files of a user to one graph."""

from pathlib import Path

from gatlib.network.edges import read_edges
from gatlib.network.features import read_features
from gatlib.network.labels import NodeLabels, read_labels
from gatlib.network.network import Network, make_network


def read_network(
    edges: Path,
    features: Path | None = None,
    labels: Path | None = None,
    target: str | None = None,
    *,
    id_column: str | None = None,
    directed: bool = False,
    attributes: bool = False,
    split: str | None = None,
) -> tuple[Network, NodeLabels | None]:
    """One graph and, with ``labels``, the label of each of its nodes.

    Args:
        edges: as for :func:`gatlib.network.edges.read_edges`.
        features: as for :func:`gatlib.network.features.read_features`.
        labels: as for :func:`gatlib.network.labels.read_labels`.
        target: the column of the labels; needed with ``labels``.
        id_column: the column of the node ids in ``features`` and ``labels``.
        directed: keep the direction of the edges.
        attributes: take the other columns of ``labels`` as attributes.
        split: the column of ``labels`` that holds train, valid or test.

    Raises:
        InputError: when a file cannot be read or does not fit the others.
        ValueError: labels without a target.
    """
    edge_list = read_edges(edges)
    tables = []
    ids = edge_list.ids
    if features is not None:
        tables.append(read_features(features, id_column, ids))
        ids = list(dict.fromkeys([*ids, *tables[0].ids]))
    found = None
    if labels is not None:
        if target is None:
            raise ValueError("labels need a target.")
        found = read_labels(labels, target, id_column, ids, attributes=attributes, split=split)
        tables.append(found.table)
    return make_network(edge_list, tables, directed=directed), found
