"""What predictions of several passes say together, worked by hand."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from gatlib.data.splits import Split
from gatlib.training.node_fit import train_nodes
from gatlib.training.node_module import RAMP_EPOCHS, TEMPERATURE, disagreement
from gatlib.training.node_recipe import NodeRecipe


def test_two_predictions_by_hand() -> None:
    logits = torch.tensor([[[0.8, 0.2], [0.5, 0.5]], [[0.6, 0.4], [0.5, 0.5]]], dtype=torch.float64).log()
    sharp = torch.tensor([0.7, 0.3], dtype=torch.float64) ** (1 / TEMPERATURE)
    q = (sharp / sharp.sum())[0]
    expected = ((0.8 - q) ** 2 + (0.6 - q) ** 2) * 2 / 4  # of both classes; two passes of two nodes
    torch.testing.assert_close(disagreement(logits), expected)


def test_sure_and_alike_they_do_not_disagree() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]]).expand(2, -1, -1)
    torch.testing.assert_close(disagreement(logits), torch.tensor(0.0))
    against = torch.stack([logits[0], -logits[0]])  # both are drawn to the middle
    torch.testing.assert_close(disagreement(against), torch.tensor(0.5))


def test_what_they_say_together_has_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    disagreement(logits).backward()
    fixed = (logits.log_softmax(dim=2).logsumexp(dim=0) / TEMPERATURE).softmax(dim=1).detach()
    again = logits.detach().requires_grad_()
    (again.softmax(dim=2) - fixed).square().sum(dim=2).mean().backward()
    torch.testing.assert_close(logits.grad, again.grad)


@pytest.mark.parametrize("batches", [{}, {"batch_nodes": 8}, {"batch_nodes": 4, "neighbours": 3}], ids=str)
def test_nodes_without_labels_are_learned_from(
    batches: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counted(logits: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(logits.shape))
        return original(logits)

    original: Callable[[torch.Tensor], torch.Tensor] = disagreement
    monkeypatch.setattr("gatlib.training.node_module.disagreement", counted)
    _train(NodeRecipe(hidden_channels=8, heads=2, max_epochs=2, consistency=1.0, **batches), tmp_path)
    assert sizes == {0: [(2, 16, 2)] * 2, 8: [(2, 8, 2)] * 4, 4: [(2, 4, 2)] * 2}[batches.get("batch_nodes", 0)]


def test_its_weight_rises_over_the_first_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatlib.training.node_module.disagreement", lambda _: torch.tensor(1.0))  # nothing to learn of
    settings = {"hidden_channels": 8, "heads": 2, "dropout": 0.0, "max_epochs": RAMP_EPOCHS + 5, "patience": 1000}
    with_it, without = (
        _train(NodeRecipe(consistency=weight, **settings), tmp_path / str(weight)) for weight in (2.0, 0.0)
    )
    expected = [2.0 * (epoch + 1) / RAMP_EPOCHS for epoch in range(RAMP_EPOCHS)] + [2.0] * 5
    assert list(with_it - without) == pytest.approx(expected, abs=1e-5)


def _train(recipe: NodeRecipe, folder: Path) -> pd.Series:
    """The training loss of each epoch, of a graph of 16 nodes with eight labels."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    x, edge_index = torch.randn(16, 3, generator=generator), torch.randint(16, (2, 60), generator=generator)
    nodes = torch.arange(16).numpy()
    split = Split(nodes[:4], nodes[4:8], nodes[8:])
    train_nodes(x, edge_index, torch.arange(16) % 2, split, recipe, folder, 2)
    return pd.read_csv(folder / "training_log.csv")["train_loss"]
