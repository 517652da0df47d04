"""A model carried over to newer features predicts as before where there is no stereo centre."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlib.chem import feature_dims, featurize
from gatlib.data.batches import GraphBatches
from gatlib.models import Architecture, GraphAttentionNetwork

FOLDER = Path(__file__).parents[2] / "experiments" / "pretraining"


def test_labels_of_centres_start_alike_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "carry_over", raising=False)
    from carry_over import EMBEDDING, with_new_labels

    atom_dims, bond_dims = feature_dims()
    old_dims = [atom_dims[0], 5, *atom_dims[2:]]
    settings = Architecture(hidden_channels=12, heads=2, num_layers=1)
    old = GraphAttentionNetwork(settings, old_dims, bond_dims, 1).eval()
    new = GraphAttentionNetwork(settings, atom_dims, bond_dims, 1).eval()
    weights = old.state_dict()
    new.load_state_dict(weights | {EMBEDDING: with_new_labels(weights[EMBEDDING])})
    graphs = featurize(["CCO", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "F/C=C/F"])
    batches = GraphBatches(graphs, np.arange(4))
    with torch.no_grad():
        flat = batches[[0, 3]]
        torch.testing.assert_close(new(flat), old(flat))
        left, right = new(batches[[1, 2]])
    torch.testing.assert_close(left, right)
