"""Attention of all nodes of each graph against its definition, one graph and head at a time."""

import pytest
import torch
from torch import Tensor

from gatlib.kernels.cpu import full
from gatlib.kernels.full_attention import full_attention

SIZES = [3, 0, 1, 17, 130, 8, 4]
dtypes = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-13)], ids=str)


def pointers_of(sizes: list[int]) -> Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


def table_of(sizes: list[int], heads: int, channels: int, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    table = scale * torch.randn(sum(sizes), 3 * heads * channels, generator=generator, dtype=torch.float64)
    return table.to(dtype).requires_grad_()


def definition(table: Tensor, sizes: list[int], heads: int) -> Tensor:
    outs = []
    for nodes in table.split(sizes):
        query, key, value = nodes.unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)
        weights = (query @ key.transpose(1, 2) / query.size(2) ** 0.5).softmax(dim=2)
        outs.append((weights @ value).transpose(0, 1).flatten(1))
    return torch.cat(outs)


@dtypes
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("channels", [1, 3, 8, 20])
@pytest.mark.parametrize("sizes", [SIZES, [1], [5], [16], [0]], ids=lambda sizes: "-".join(map(str, sizes)))
def test_definition(sizes: list[int], channels: int, heads: int, dtype: torch.dtype, tolerance: float) -> None:
    table = table_of(sizes, heads, channels, dtype)
    found, expected = full_attention(table, pointers_of(sizes), heads), definition(table, sizes, heads)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    cotangent = torch.randn_like(found)
    gradients = (torch.autograd.grad(out, table, cotangent)[0] for out in (found, expected))
    torch.testing.assert_close(*gradients, rtol=tolerance, atol=10 * tolerance)


@dtypes
def test_scores_far_from_zero(dtype: torch.dtype, tolerance: float) -> None:
    """Of up to some 1e4: one key takes all the weight, and nothing overflows."""
    table = table_of(SIZES, 2, 8, dtype, scale=100.0)
    out = full_attention(table, pointers_of(SIZES), 2)
    torch.testing.assert_close(out, definition(table, SIZES, 2), rtol=tolerance, atol=100 * tolerance)
    (gradient,) = torch.autograd.grad(out.sum(), table)
    assert gradient.isfinite().all()


def test_equal_scores_average() -> None:
    """Two nodes by hand: queries of zero weigh all keys alike."""
    table = torch.tensor([[0.0, 5.0, 2.0], [0.0, -3.0, 4.0]], dtype=torch.float64)
    assert full.forward(table, torch.tensor([0, 2]), 1).tolist() == [[3.0], [3.0]]


def test_nan_stays_in_its_graph() -> None:
    table, ptr = table_of([5, 6, 1], 2, 4, torch.float32).detach(), pointers_of([5, 6, 1])
    expected = full_attention(table, ptr, 2)
    table[7] = torch.nan
    found = full_attention(table, ptr, 2)
    assert found[5:11].isnan().all()
    assert torch.equal(found[:5], expected[:5])
    assert torch.equal(found[11:], expected[11:])


def test_same_bits_in_one_thread_and_in_several() -> None:
    sizes = [90] * 30
    table, ptr = table_of(sizes, 4, 8, torch.float32), pointers_of(sizes)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            out = full_attention(table, ptr, 4)
            results.append((out, *torch.autograd.grad(out.square().sum(), table)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, several) for one, several in zip(*results, strict=True))


def test_gradients_to_all_digits() -> None:
    table = table_of([3, 1, 6], 2, 3, torch.float64)
    assert torch.autograd.gradcheck(lambda given: full_attention(given, pointers_of([3, 1, 6]), 2), [table])


def test_second_derivatives_are_refused() -> None:
    table = table_of([4], 1, 2, torch.float64)
    out = full_attention(table, pointers_of([4]), 1)
    (grad,) = torch.autograd.grad(out.sum(), table, create_graph=True)
    with pytest.raises(RuntimeError, match='implementation = "reference"'):
        torch.autograd.grad(grad.sum(), table)
