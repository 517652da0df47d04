import pytest
import torch
import torch.nn.functional as F
from batches_of_graphs import SIZES, batch_of, permutation_within
from torch import Tensor

from gatlib.nn.linear_attention import LinearAttention

CHANNELS, HEADS = 8, 2


def attention(dtype: torch.dtype = torch.float32) -> LinearAttention:
    torch.manual_seed(0)
    return LinearAttention(CHANNELS, HEADS).to(dtype)


def nodes(sizes: list[int], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(sum(sizes), CHANNELS, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()


@pytest.mark.parametrize("sizes", [[5], [3, 0, 1, 3, 6]], ids=str)
def test_weights_by_hand(sizes: list[int]) -> None:
    """With the [N, N] weights that the layer never makes, outputs and gradients."""
    ours, x, batch = attention(torch.float64), nodes(sizes, torch.float64), batch_of(sizes)
    query, key, value = ours.in_proj(x).view(-1, 3, HEADS, CHANNELS // HEADS).unbind(1)
    weights = torch.einsum("ihc,jhc->hij", F.elu(query) + 1, F.elu(key) + 1) * (batch[:, None] == batch)
    weights = weights / weights.sum(dim=2, keepdim=True)
    expected = ours.out_proj(torch.einsum("hij,jhc->ihc", weights, value).flatten(1))
    found = ours(x, batch)
    torch.testing.assert_close(found, expected)
    inputs, cotangent = [x, *ours.parameters()], torch.randn_like(found)
    gradients = (torch.autograd.grad(out, inputs, cotangent) for out in (found, expected))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_company_changes_nothing() -> None:
    ours, x, batch = attention(), nodes(SIZES), batch_of(SIZES)
    together = ours(x, batch)
    for graph in range(len(SIZES)):
        own = batch == graph
        torch.testing.assert_close(together[own], ours(x[own]), rtol=0, atol=1e-5)
        if own.any():
            (influence,) = torch.autograd.grad(together[own].sum(), x, retain_graph=True)
            assert not influence[~own].any()


def test_renumbered_nodes() -> None:
    ours, x, batch = attention(), nodes(SIZES), batch_of(SIZES)
    order = permutation_within(batch)
    torch.testing.assert_close(ours(x[order], batch), ours(x, batch)[order], rtol=0, atol=1e-5)


def test_no_nodes() -> None:
    assert attention()(torch.empty(0, CHANNELS)).shape == (0, CHANNELS)


def test_large_inputs_stay_finite() -> None:
    ours = attention()
    assert ours(1e4 * nodes([4])).isfinite().all()
    with torch.no_grad():
        ours.in_proj.bias.fill_(-1e6)
    x = nodes([4])
    found = ours(x)
    assert torch.equal(found, ours.out_proj.bias.expand_as(found))
    assert torch.autograd.grad(found.sum(), x)[0].isfinite().all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide channels=8; found 3"):
        LinearAttention(8, 3)
    with pytest.raises(ValueError, match=r"x must be floating point of shape \[nodes, 8\]"):
        attention()(torch.randn(3, 7))
    with pytest.raises(ValueError, match="batch must be sorted"):
        attention()(torch.randn(3, 8), torch.tensor([0, 1, 0]))
