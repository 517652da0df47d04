"""Data sets of networks with cards of their own, written into a folder of a test."""

import hashlib
import io
import pickle
import struct
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from scipy.sparse import csr_matrix

from tests.network.networks_of_friends import friends


def write_card(cards: Path, data: Path, name: str, files: Mapping[str, bytes], **changes: Any) -> None:
    """Write the files of a data set, each by its role, and its card."""
    described = {}
    for role, content in files.items():
        file = f"{name}/{role}" + {"edges": ".csv", "labels": ".csv", "features": ".csv", "npz": ".npz"}.get(role, "")
        (data / file).parent.mkdir(parents=True, exist_ok=True)
        (data / file).write_bytes(content)
        described[role] = {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "urls": []}
    card = {
        "kind": "network",
        "name": name,
        "title": f"{name} of friends",
        "description": "Made up.",
        "citation": "none",
        "licence": "MIT",
        "source": "https://example.org",
        "format": "tables",
        "files": described,
        "num_nodes": 60,
        "num_edges": 1,
        "num_features": 2,
        "features": "age and town",
        "target": "circle",
        "classes": {"dancers": "dance", "chess players": "play chess"},
        "metric": "roc_auc",
        "split": "random",
        "known_flaws": ["Made up."],
    }
    cards.mkdir(exist_ok=True)
    (cards / f"{name}.yaml").write_text(yaml.safe_dump(card | changes), encoding="utf-8")


def write_friends(cards: Path, data: Path, name: str, seed: int = 0) -> None:
    """Two circles of friends, as tables; one in six has no label."""
    graph = friends(weights=False, seed=seed)
    edges = "".join(f"{a},{b}\n" for a, b in graph.edges)
    people = graph.nodes(data=True)
    labels = "".join(f"{node},{of['circle']}\n" for node, of in people)
    features = "".join(f"{node},{of['age']:.2f},{of['town']}\n" for node, of in people)
    files = {
        "edges": "source,target\n" + edges,
        "labels": "id,circle\n" + labels,
        "features": "id,age,town\n" + features,
    }
    write_card(cards, data, name, {role: text.encode() for role, text in files.items()})


class _Python2(pickle._Pickler):
    """Writes what Python 2 wrote."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, content: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(content)) + content)

    dispatch[bytes] = save_text


def python_2_pickle(content: object) -> bytes:
    """A pickle as those of Planetoid: texts of bytes, and the modules of old NumPy and SciPy."""
    written = io.BytesIO()
    _Python2(written, protocol=2).dump(content)
    found = written.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    return found.replace(b"cscipy.sparse._csr\n", b"cscipy.sparse.csr\n")


def planetoid_files() -> dict[str, bytes]:
    """Six papers, two topics: 0 and 1 in train, 2 and 3 known, 5 in test; 4 is in the graph alone."""
    words = csr_matrix(np.eye(3, dtype=np.float32)[[0, 1, 0, 1, 2]])
    topics = np.eye(2, dtype=np.int32)[[0, 1, 0, 1, 1]]
    stored = {
        "x": words[:2],
        "tx": words[4:],
        "allx": words[:4],
        "y": topics[:2],
        "ty": topics[4:],
        "ally": topics[:4],
        "graph": defaultdict(list, {0: [1, 1], 1: [0], 2: [2, 3], 3: [2], 4: [5], 5: [4]}),
    }
    return {role: python_2_pickle(content) for role, content in stored.items()} | {"test.index": b"5\n"}
