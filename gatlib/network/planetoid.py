"""Planetoid's files of citation networks, which are pickles of Python 2."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack  # type: ignore[import-untyped]

from gatlib.data.files import open_bytes
from gatlib.data.splits import Split
from gatlib.network.network import EdgeList, Network, NodeTable, make_network

_NUM_VALID = 500
_HARMLESS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("collections", "defaultdict"),
    ("__builtin__", "list"),
}


def read_planetoid(files: Mapping[str, Path]) -> tuple[Network, list[str | None], Split]:
    """A citation network, the class of each paper, and the public split (Yang et al., ICML 2016).

    Nodes are numbered as PyG's ``Planetoid`` numbers them. Of CiteSeer 15 papers of that numbering are in no file but
    that of the edges: they have neither features nor a label.

    Args:
        files: verified files by their role: ``x``, ``tx``, ``allx``, ``y``, ``ty``, ``ally``, ``graph``,
            ``test.index``.
    """
    with open_bytes(files["test.index"]) as file:
        test = np.array(file.read().split(), dtype=np.int64)
    neighbours: dict[int, list[int]] = _unpickled(files["graph"])
    words = vstack([_matrix(files["allx"]), _matrix(files["tx"])]).tocoo()
    one_hot = np.vstack([_unpickled(files["ally"]), _unpickled(files["ty"])])
    # The rows of tx and ty are the nodes of test.index, whose numbers have gaps.
    nodes = np.concatenate([np.arange(len(one_hot) - len(test)), test])
    num_nodes = int(nodes.max()) + 1
    classes = np.full(num_nodes, -1)
    classes[nodes] = one_hot.argmax(axis=1)
    features = csr_matrix((words.data, (nodes[words.row], words.col)), shape=(num_nodes, words.shape[1]))

    ends = np.array([(node, other) for node, found in neighbours.items() for other in found], dtype=np.int64)
    ids = [str(node) for node in range(num_nodes)]
    table = NodeTable("the papers", ids, pd.DataFrame(index=pd.RangeIndex(num_nodes)), features)
    network = make_network(EdgeList(ids, ends[:, 0], ends[:, 1], None), [table])
    num_train = len(_unpickled(files["y"]))
    labels = [None if number < 0 else str(number) for number in classes.tolist()]
    return network, labels, _public_split(num_train, test)


def _public_split(num_train: int, test: NDArray[np.int64]) -> Split:
    """The first nodes are those of train, 20 of each class; 500 come behind them."""
    return Split(np.arange(num_train), np.arange(num_train, num_train + _NUM_VALID), np.sort(test))


class _StoredMatrix:
    """What a pickle of SciPy's ``csr_matrix`` holds."""

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]
    _shape: tuple[int, int]


class _Unpickler(pickle.Unpickler):
    """Makes arrays, lists, dictionaries and matrices, and refuses whatever else a pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("scipy.sparse.csr", "csr_matrix"):
            return _StoredMatrix
        if (module, name) in _HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of Planetoid")


def _unpickled(path: Path) -> Any:
    # Pickles are never read from users. These have the SHA-256 of their card, and name nothing that could run.
    with open_bytes(path) as file:
        return _Unpickler(file, encoding="latin1").load()


def _matrix(path: Path) -> csr_matrix:
    stored = _unpickled(path)
    return csr_matrix((stored.data, stored.indices, stored.indptr), shape=stored._shape, dtype=np.float32)
