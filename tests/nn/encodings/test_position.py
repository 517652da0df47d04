"""Positions: the waves worked by hand, the learned ones within their range."""

import math

import pytest
import torch
from torch.func import functional_call

from gatlib.nn.encodings.position import LearnedEncoding, sinusoidal_encoding


def test_waves_by_hand() -> None:
    found = sinusoidal_encoding(torch.tensor([0, 3]), 4)
    expected = [[0, 1, 0, 1], [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 1)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    position = torch.rand(shape) * 10
    found = sinusoidal_encoding(position, 6)
    assert found.shape == (*shape, 6)
    each = [sinusoidal_encoding(x, 6) for x in position.flatten()]
    if each:
        torch.testing.assert_close(found.view(-1, 6), torch.stack(each))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floats_keep_their_dtype(dtype: torch.dtype) -> None:
    found = sinusoidal_encoding(torch.tensor([0.5], dtype=dtype), 2)
    torch.testing.assert_close(found, torch.tensor([[math.sin(0.5), math.cos(0.5)]], dtype=dtype))


def test_large_positions_are_exact() -> None:
    position = 10**9 + 1
    found = sinusoidal_encoding(torch.tensor(position), 2)
    torch.testing.assert_close(found, torch.tensor([math.sin(position), math.cos(position)]))


def test_a_shift_is_a_rotation() -> None:
    # What the waves are for: the product of two encodings depends on the distance alone.
    p = sinusoidal_encoding(torch.arange(50), 16).double()
    product = p @ p.t()
    torch.testing.assert_close(product[1:, 1:], product[:-1, :-1], rtol=0, atol=1e-5)


def test_gradient_of_a_position() -> None:
    position = torch.tensor([0.3, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda position: sinusoidal_encoding(position, 4), [position])


@pytest.mark.parametrize("channels", [-2, 0, 1, 5])
def test_odd_channels_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=f"channels must be even, and 2 or more; found {channels}"):
        sinusoidal_encoding(torch.arange(3), channels)


def test_learned_encoding_is_a_row_for_each_position() -> None:
    encoding = LearnedEncoding(4, 3)
    position = torch.tensor([[0, 3], [2, 2]])
    assert torch.equal(encoding(position), encoding.embedding.weight[position])
    assert encoding(torch.empty(0, dtype=torch.long)).shape == (0, 3)


def test_gradients_of_learned_encoding() -> None:
    encoding = LearnedEncoding(3, 2).double()
    position = torch.tensor([2, 0, 2])
    assert torch.autograd.gradcheck(
        lambda weight: functional_call(encoding, {"embedding.weight": weight}, (position,)),
        [encoding.embedding.weight],
    )


def test_positions_out_of_range_are_refused() -> None:
    encoding = LearnedEncoding(4, 3)
    with pytest.raises(ValueError, match="position must be from 0 to 3, the positions that were learned; found 1 to 4"):
        encoding(torch.tensor([1, 4]))
    with pytest.raises(ValueError, match="found -1 to 2"):
        encoding(torch.tensor([-1, 2]))
    with pytest.raises(ValueError, match="position must be int64; found float32"):
        encoding(torch.tensor([1.0]))
    with pytest.raises(ValueError, match="num_positions must be 1 or more; found 0"):
        LearnedEncoding(0, 3)
