"""What predictions of several passes say together, worked by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gatlib.data.splits import Split
from gatlib.training.node_fit import train_nodes
from gatlib.training.node_module import TEMPERATURE, disagreement
from gatlib.training.node_recipe import NodeRecipe


def test_two_predictions_by_hand() -> None:
    logits = torch.tensor([[[0.8, 0.2], [0.5, 0.5]], [[0.6, 0.4], [0.5, 0.5]]], dtype=torch.float64).log()
    sharp = torch.tensor([0.7, 0.3], dtype=torch.float64) ** (1 / TEMPERATURE)
    q = (sharp / sharp.sum())[0]
    expected = ((0.8 - q) ** 2 + (0.6 - q) ** 2) * 2 / 4  # of both classes; two passes of two nodes
    torch.testing.assert_close(disagreement(logits), expected)


def test_sure_and_alike_they_do_not_disagree() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]]).expand(2, -1, -1)
    assert disagreement(logits) == 0
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
    generator = torch.Generator().manual_seed(0)
    x, edge_index = torch.randn(16, 3, generator=generator), torch.randint(16, (2, 60), generator=generator)
    nodes = torch.arange(16).numpy()
    split = Split(nodes[:4], nodes[4:8], nodes[8:])
    recipe = NodeRecipe(hidden_channels=8, heads=2, max_epochs=2, consistency=1.0, **batches)
    train_nodes(x, edge_index, torch.arange(16) % 2, split, recipe, tmp_path, 2)
    assert sizes == {0: [(2, 16, 2)] * 2, 8: [(2, 8, 2)] * 4, 4: [(2, 4, 2)] * 2}[batches.get("batch_nodes", 0)]
