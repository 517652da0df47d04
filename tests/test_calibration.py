"""Temperature scaling: what it must not change, what it must make better, and a case solved by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from gatlib.calibration import fit_temperature
from gatlib.errors import InputError


def overconfident(temperature: float = 4.0, num_classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes drawn from the softmax of logits, and those logits times the temperature."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, num_classes, generator=generator)
    y = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    return temperature * logits, y


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    assert fit_temperature(*overconfident(temperature)) == pytest.approx(temperature, rel=0.03)


def test_the_classes_stay_and_the_loss_falls_to_its_minimum() -> None:
    logits, y = overconfident()
    temperature = fit_temperature(logits, y)
    assert torch.equal((logits / temperature).argmax(dim=1), logits.argmax(dim=1))

    def loss(at: float) -> float:
        return float(F.cross_entropy(logits.double() / at, y))

    assert loss(temperature) < loss(1.0) - 0.3
    assert loss(temperature) < min(loss(0.99 * temperature), loss(1.01 * temperature))


def test_by_hand() -> None:
    # Right three times of four at a logit of 2: calibrated is 3/4, so 2 / T = log 3.
    logits, y = torch.tensor([[2.0, 0.0]]).expand(4, 2), torch.tensor([0, 0, 0, 1])
    assert fit_temperature(logits, y) == pytest.approx(2 / math.log(3))


def test_unknown_classes_do_not_count() -> None:
    logits, y = overconfident()
    unknown = torch.cat([y, torch.full((3,), -1)])
    assert fit_temperature(torch.cat([logits, torch.full((3, 5), math.nan)]), unknown) == fit_temperature(logits, y)


def test_extremes_end_at_the_bounds() -> None:
    right, wrong = torch.tensor([[3.0, 0.0], [0.0, 3.0]]), torch.tensor([[0.0, 3.0], [3.0, 0.0]])
    y = torch.tensor([0, 1])
    assert fit_temperature(right, y) == pytest.approx(0.01)
    assert fit_temperature(wrong, y) == pytest.approx(100)


def test_nothing_known_and_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="no class is known"):
        fit_temperature(torch.zeros(2, 2), torch.tensor([-1, -1]))
    with pytest.raises(InputError, match="no finite numbers"):
        fit_temperature(torch.full((1, 2), math.nan), torch.tensor([0]))
