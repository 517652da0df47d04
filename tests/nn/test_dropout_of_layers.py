"""Dropout: which elements it zeroes, and what becomes of the others."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlib.nn.dropout import Dropout, dropout


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=0, max_size=4),
    p=st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_an_element_is_zero_or_scaled_up(shape: list[int], p: float, dtype: torch.dtype) -> None:
    x = torch.ones(shape, dtype=dtype)
    y = dropout(x, p, training=True)
    assert y.shape == x.shape
    assert y.dtype == dtype
    kept = y[y != 0]
    if len(kept):
        torch.testing.assert_close(kept.double(), torch.full_like(kept, 1 / (1 - p)).double(), rtol=2e-2, atol=0)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_the_share_of_zeros_is_p_in_both_halves_of_a_random_number(p: float) -> None:
    torch.manual_seed(0)
    zeros = (dropout(torch.ones(400_000), p, training=True) == 0).double()
    bound = 4 * (p * (1 - p) / 200_000) ** 0.5  # four standard deviations
    assert abs(zeros[::2].mean() - p) < bound
    assert abs(zeros[1::2].mean() - p) < bound
    both = (zeros[::2] * zeros[1::2]).mean()  # as often as if they were independent
    assert abs(both - p * p) < bound


def test_the_gradient_goes_through_what_was_kept() -> None:
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(1)
    y = dropout(x, 0.4, training=True)
    torch.manual_seed(1)
    scale = dropout(torch.ones_like(x), 0.4, training=True)
    torch.testing.assert_close(y, x * scale)
    (y.sum()).backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, scale)


def test_the_layer_is_torchs_but_for_the_drawing() -> None:
    layer = Dropout(0.3)
    x = torch.randn(5)
    assert isinstance(layer, torch.nn.Dropout)
    assert repr(layer) == repr(torch.nn.Dropout(0.3))
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match="probability"):
        Dropout(1.5)


def test_the_seed_decides() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(dropout(torch.ones(50), 0.5, training=True))
    torch.testing.assert_close(*draws)
