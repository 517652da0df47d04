"""The loss by hand, and the order of the molecules."""

import math

import numpy as np
import pytest
import torch

from gatlib.training.module import ShuffledBatches, evaluation_loader, masked_loss

NAN = math.nan


def test_the_cross_entropy_is_the_mean_over_known_labels() -> None:
    # sigmoid(log 3) = 3/4: the loss is -log(3/4) for class 1 and -log(1/4) for class 0.
    outputs = torch.tensor([[math.log(3.0), 5.0], [math.log(3.0), 0.0]])
    targets = torch.tensor([[1.0, NAN], [0.0, 1.0]])
    expected = (-math.log(3 / 4) - math.log(1 / 4) - math.log(1 / 2)) / 3
    assert masked_loss(outputs, targets, "classification").item() == pytest.approx(expected)


def test_the_squared_error_is_the_mean_over_known_values() -> None:
    outputs = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    targets = torch.tensor([[1.5, NAN], [1.0, 5.0]])
    assert masked_loss(outputs, targets, "regression").item() == pytest.approx((0.25 + 4 + 1) / 3)


@pytest.mark.parametrize("task_type", ["classification", "regression"])
def test_unknown_targets_have_no_gradient_and_nothing_known_is_zero(task_type: str) -> None:
    outputs = torch.tensor([[2.0, 3.0]], requires_grad=True)
    masked_loss(outputs, torch.tensor([[NAN, 1.0]]), task_type).backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 0] == 0
    assert outputs.grad[0, 1] != 0
    nothing = masked_loss(outputs, torch.full((1, 2), NAN), task_type)
    assert nothing.item() == 0
    nothing.backward()
    assert outputs.grad.isfinite().all()


def test_an_epoch_visits_every_molecule_once_in_an_order_of_its_own() -> None:
    sampler = ShuffledBatches(10, 4, seed=3)

    def epoch(number: int) -> list[list[int]]:
        sampler.set_epoch(number)
        return [batch.tolist() for batch in sampler]

    first, second = epoch(0), epoch(1)
    assert [len(batch) for batch in first] == [4, 3, 3]
    assert len(sampler) == 3
    assert sorted(np.concatenate(first)) == list(range(10))
    assert first != second
    assert first == epoch(0)


def test_evaluation_keeps_the_order() -> None:
    class Positions:
        def __len__(self) -> int:
            return 7

        def __getitem__(self, positions: np.ndarray) -> list[int]:
            return positions.tolist()

    loader = evaluation_loader(Positions(), batch_size=3)  # type: ignore[arg-type]
    assert list(loader) == [[0, 1, 2], [3, 4, 5], [6]]
