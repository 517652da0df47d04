"""The networks of Platonov et al., each one npz file with ten splits."""

from pathlib import Path

import numpy as np
import pandas as pd

from gatlib.data.splits import Split
from gatlib.network.network import EdgeList, Network, NodeTable, make_network


def read_heterophilous(path: Path) -> tuple[Network, list[str | None], tuple[Split, ...]]:
    """A network, the class of each node, and the splits that come with it (Platonov et al., ICLR 2023).

    The features are few and mean something each: they are read as attributes.

    Args:
        path: the verified file.
    """
    with np.load(path, allow_pickle=False) as arrays:
        features, classes, ends = arrays["node_features"], arrays["node_labels"], arrays["edges"].astype(np.int64)
        masks = [arrays[f"{part}_masks"] for part in ("train", "val", "test")]
    ids = [str(node) for node in range(len(classes))]
    columns = [pd.Series(column.tolist(), dtype=object, name=f"feature {n}") for n, column in enumerate(features.T)]
    table = NodeTable(path.name, ids, pd.concat(columns, axis=1))
    network = make_network(EdgeList(ids, ends[:, 0], ends[:, 1], None), [table])
    splits = tuple(Split(*map(np.flatnonzero, of_one)) for of_one in zip(*masks, strict=True))
    return network, [str(number) for number in classes.tolist()], splits
