"""What a training step takes, and the sentence about one that takes too much."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.network import memory
from gatlib.training.node_fit import train_nodes
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.step_memory import check_step_fits, step_bytes

NODES, EDGES = 1_000_000, 40_000_000


def bytes_of(**settings: Any) -> int:
    return step_bytes(NodeRecipe(num_layers=3, **settings), NODES, EDGES, dense_features=100)


def refusal(**settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        check_step_fits(NodeRecipe(num_layers=3, **settings), NODES, EDGES, dense_features=100)
    return str(caught.value)


def test_what_takes_less_memory() -> None:
    whole = bytes_of()
    assert bytes_of(checkpoint_activations=True) < whole
    assert bytes_of(batch_nodes=10_000) < whole / 5
    assert bytes_of(batch_nodes=1000, neighbours=10) < whole / 5
    assert bytes_of(hidden_channels=32) < whole < bytes_of(global_attention=True)
    assert bytes_of(batch_nodes=10_000, devices=4) == 4 * bytes_of(batch_nodes=10_000)
    assert whole < bytes_of(conv="gcn")
    assert 1.5 * whole < bytes_of(consistency=1.0) <= 2 * whole


def test_one_sentence_names_the_key_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: bytes_of(checkpoint_activations=True) + 1)
    text = refusal()
    assert (
        "the whole graph of 1,000,000 nodes and 40,000,000 edges would take about 11.3 GB of memory where 8.4" in text
    )
    assert text.endswith("set checkpoint_activations to true, or set batch_nodes in a recipe, to 10000 for instance")
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    assert refusal().endswith("GB are free: set batch_nodes in a recipe, to 10000 for instance")
    assert "with batch_nodes 50000 would take" in refusal(batch_nodes=50_000, neighbours=20)
    check_step_fits(NodeRecipe(num_layers=3, batch_nodes=100, neighbours=5), NODES, EDGES, dense_features=100)


def test_a_training_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    half = np.arange(5)
    tensors = torch.randn(10, 3), torch.randint(10, (2, 30)), torch.arange(10) % 2
    with pytest.raises(InputError, match="a training step on the whole graph of 10 nodes"):
        train_nodes(*tensors, Split(half, half + 5, half[:0]), NodeRecipe(), tmp_path / "model", 2)
    assert not (tmp_path / "model").exists()
