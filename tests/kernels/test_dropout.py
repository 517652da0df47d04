"""The mask of dropout: the published hash, the formula by plain integers, and that it looks like chance."""

import pytest
import torch
from torch import tensor

from gatlib.kernels.dropout import keep_mask, mix, threshold

LOW_HALF = 2**32 - 1


def mask_by_integers(seed: int, num_edges: int, heads: int, dropout: float) -> list[list[bool]]:
    def finalise(h: int) -> int:
        h = ((h ^ h >> 16) * 0x85EBCA6B) & LOW_HALF
        h = ((h ^ h >> 13) * 0xC2B2AE35) & LOW_HALF
        return h ^ h >> 16

    def survives(number: int) -> bool:
        bits = finalise(finalise((number ^ seed) & LOW_HALF) ^ (number >> 32) ^ (seed >> 32 & LOW_HALF))
        return bits >= int(dropout * 2**32)

    return [[survives(edge * heads + head) for head in range(heads)] for edge in range(num_edges)]


def test_mix_is_the_finaliser_of_murmurhash3() -> None:
    # What MurmurHash3_x86_32 makes of no bytes is this function of the seed.
    known = {0: 0, 1: 0x514E28B7, 0xFFFFFFFF: 0x81F16F39}
    assert mix(tensor(list(known))).tolist() == list(known.values())


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1, -1, 123456789012345678])
@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5, 1.0])
def test_mask_is_its_formula(seed: int, dropout: float) -> None:
    mask = keep_mask(tensor(seed), 50, 3, dropout)
    assert mask.dtype == torch.bool
    assert mask.tolist() == mask_by_integers(seed, 50, 3, dropout)


def test_nothing_and_everything() -> None:
    assert threshold(0) == 0
    assert threshold(1) == 2**32
    assert keep_mask(tensor(7), 100, 2, 0.0).all()
    assert not keep_mask(tensor(7), 100, 2, 1.0).any()
    assert keep_mask(tensor(7), 0, 2, 0.5).shape == (0, 2)


def test_more_edges_leave_the_first_as_they_are() -> None:
    assert torch.equal(keep_mask(tensor(3), 100, 2, 0.4)[:60], keep_mask(tensor(3), 60, 2, 0.4))


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_share_that_survives(dropout: float) -> None:
    share = keep_mask(tensor(2024), 100_000, 4, dropout).double().mean(dim=0)
    # The standard deviation is at most 0.0016.
    torch.testing.assert_close(share, torch.full((4,), 1 - dropout, dtype=torch.float64), rtol=0, atol=0.008)


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first.double().flatten(), second.double().flatten()]))[0, 1])


def test_seeds_heads_and_neighbouring_edges_are_independent() -> None:
    mask = keep_mask(tensor(11), 100_000, 2, 0.5)
    others = {
        "head": (mask[:, 0], mask[:, 1]),
        "next edge": (mask[:-1], mask[1:]),
        "next seed": (mask, keep_mask(tensor(12), 100_000, 2, 0.5)),
        "seed that differs in its high half": (mask, keep_mask(tensor(11 + 2**40), 100_000, 2, 0.5)),
    }
    for name, pair in others.items():
        assert abs(correlation(*pair)) < 0.015, name  # four standard deviations or more


def test_more_dropout_drops_more_of_the_same() -> None:
    light, heavy = (keep_mask(tensor(5), 1000, 2, dropout) for dropout in (0.2, 0.7))
    assert not (heavy & ~light).any()
