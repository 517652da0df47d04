"""Attention within each graph against PyTorch's multi-head attention under a block-diagonal mask, and its laws."""

from typing import Any

import pytest
import torch
from batches_of_graphs import SIZES, batch_of, cut, permutation_within, random_edges
from torch import Tensor, nn
from torch_geometric.utils import add_self_loops, coalesce

from gatlib.nn.full_attention import FullAttention, TruncatedAttention
from gatlib.nn.functional import edge_attention
from gatlib.nn.pairs import all_pairs

CHANNELS, HEADS = 8, 2
OPTIONS: dict[str, dict[str, Any]] = {
    "dot": {},
    "dot without bias": {"bias": False},
    "additive": {"score": "additive"},
    "additive-dynamic": {"score": "additive-dynamic"},
    "relu": {"normaliser": "relu"},
    "sigmoid": {"normaliser": "sigmoid"},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
every_way = pytest.mark.parametrize("implementation", ["auto", "cpu", "reference"])


def attention(dtype: torch.dtype = torch.float32, **options: Any) -> FullAttention:
    torch.manual_seed(0)
    return FullAttention(CHANNELS, HEADS, **options).to(dtype)


def nodes(sizes: list[int], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(sum(sizes), CHANNELS, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()


@every_way
@pytest.mark.parametrize(
    "sizes", [[3], [1], [5, 0, 3, 30, 1, 40, 2], [30, 40], [0, 7, 0]], ids=lambda sizes: "-".join(map(str, sizes))
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
def test_multihead_attention_under_a_mask(
    dtype: torch.dtype, tolerance: float, sizes: list[int], implementation: Any
) -> None:
    ours, theirs = attention(dtype), nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    ours.implementation = implementation
    x, batch = nodes(sizes, dtype), batch_of(sizes)
    found = ours(x, batch)
    expected = theirs(x, x, x, attn_mask=batch[:, None] != batch, need_weights=False)[0]
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    cotangent = torch.randn_like(found)
    gradients = (
        torch.autograd.grad(out, [x, *of.parameters()], cotangent) for out, of in ((found, ours), (expected, theirs))
    )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("score", ["dot", "additive", "additive-dynamic"])
def test_attention_by_hand(score: str) -> None:
    ours = attention(torch.float64, score=score)
    x = nodes([4], torch.float64)
    query, key, value = nn.functional.linear(x, ours.in_proj_weight, ours.in_proj_bias).view(4, 3, HEADS, -1).unbind(1)
    if score == "dot":
        scores = torch.einsum("ihc,jhc->hij", query, key) / (CHANNELS / HEADS) ** 0.5
    elif score == "additive":
        of_query, of_key = ((part * att).sum(-1).t() for part, att in zip((query, key), ours.att, strict=True))
        scores = nn.functional.leaky_relu(of_query[:, :, None] + of_key[:, None, :], 0.2)
    else:
        hidden = nn.functional.leaky_relu(query[:, None] + key[None], 0.2)
        scores = (hidden * ours.att[0]).sum(-1).permute(2, 0, 1)
    out = torch.einsum("hij,jhc->ihc", scores.softmax(dim=2), value).flatten(1)
    torch.testing.assert_close(ours(x), ours.out_proj(out))


@every_way
@every_option
def test_other_graphs_have_no_influence(options: dict[str, Any], implementation: Any) -> None:
    ours, sizes = attention(**options), [5, 30, 0, 1, 12]
    ours.implementation = implementation
    x, batch = nodes(sizes), batch_of(sizes)
    before = ours(x, batch)
    for graph in range(len(sizes)):
        own = batch == graph
        (influence,) = torch.autograd.grad(before[own].sum(), x, retain_graph=True)
        assert not influence[~own].any()
        changed = torch.where(own[:, None], x, torch.full_like(x, float("nan")))
        assert torch.equal(ours(changed, batch)[own], before[own])


@every_option
def test_company_changes_nothing(options: dict[str, Any]) -> None:
    ours, batch = attention(**options), batch_of(SIZES)
    x = nodes(SIZES)
    together = ours(x, batch)
    for graph, size in enumerate(SIZES):
        own = batch == graph
        alone = ours(x[own], batch[own] - graph) if size else together[own]
        torch.testing.assert_close(together[own], alone, rtol=0, atol=1e-5)
        torch.testing.assert_close(together[own], ours(x[own]), rtol=0, atol=1e-5)


@every_option
def test_renumbered_nodes(options: dict[str, Any]) -> None:
    ours, batch = attention(**options), batch_of(SIZES)
    x, order = nodes(SIZES), permutation_within(batch_of(SIZES))
    expected = ours(x, batch)[order]
    # Without a softmax, the sum over 500 nodes is that much larger.
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(ours(x[order], batch), expected, rtol=0, atol=1e-5 * scale)


def test_weights_of_pairs() -> None:
    ours, sizes = attention(), [4, 0, 1, 6]
    batch, x = batch_of(sizes), nodes(sizes)
    out, (pairs, weights) = ours(x, batch, return_attention_weights=True)
    assert torch.equal(pairs, all_pairs(batch, 11))
    torch.testing.assert_close(out, ours(x, batch))
    sums = torch.zeros(11, HEADS).index_add(0, pairs[1], weights)
    torch.testing.assert_close(sums, torch.ones(11, HEADS))


def test_bias_of_pairs() -> None:
    """In the order of `all_pairs`; minus infinity forbids a pair."""
    ours, sizes = attention(torch.float64), [3, 4]
    batch, x = batch_of(sizes), nodes(sizes, torch.float64)
    pairs = all_pairs(batch, 7)
    bias = torch.randn(pairs.size(1), HEADS, dtype=torch.float64)
    bias[(pairs[0] == 1) & (pairs[1] == 2)] = -torch.inf
    theirs = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    mask = torch.full((HEADS, 7, 7), -torch.inf, dtype=torch.float64)
    mask[:, pairs[1], pairs[0]] = bias.t()
    expected = theirs(x, x, x, attn_mask=mask, need_weights=False)[0]
    torch.testing.assert_close(ours(x, batch, pair_bias=bias), expected)


def test_dropout_only_in_training() -> None:
    ours, x = attention(dropout=0.5), nodes([6])
    assert not torch.equal(ours(x), ours(x))
    ours.eval()
    assert torch.equal(ours(x), ours(x))
    torch.testing.assert_close(ours(x), attention()(x))


@pytest.mark.parametrize("implementation", ["cpu", "reference"])
def test_gradients_to_all_digits(implementation: Any) -> None:
    ours, batch = attention(torch.float64, score="additive-dynamic"), batch_of([3, 1, 2])
    ours.implementation = implementation
    assert torch.autograd.gradcheck(lambda x: ours(x, batch), [nodes([3, 1, 2], torch.float64)])


@every_option
def test_inference_mode_between_steps_of_training(options: dict[str, Any]) -> None:
    ours, x, batch = attention(**options), nodes([3, 4]), batch_of([3, 4])
    with torch.inference_mode():
        alone, together = ours(x), ours(x, batch)
        new_batch = batch_of([3, 4])
        assert torch.equal(ours(x, new_batch), together)
    torch.testing.assert_close(ours(x), alone)
    out = ours(x, batch)
    torch.testing.assert_close(out, together)
    out.sum().backward()
    assert x.grad is not None


def test_inference_mode_of_truncated_attention() -> None:
    ours, x = truncated(2, torch.float32), nodes([6])
    edge_index = random_edges([6])
    with torch.inference_mode():
        found = ours(x, edge_index)
        assert torch.equal(ours(x, random_edges([6])), found)
    out = ours(x, edge_index)
    torch.testing.assert_close(out, found)
    out.sum().backward()


def test_bfloat16() -> None:
    """PyTorch's own attention, over graphs of equal size; to the digits that a bfloat16 has."""
    x, batch = nodes([3, 0, 30, 3, 1]), batch_of([3, 0, 30, 3, 1])
    found = attention(torch.bfloat16)(x.bfloat16(), batch)
    torch.testing.assert_close(found, attention()(x, batch).bfloat16(), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("threads", [1, 64])
def test_however_many_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """With more threads than graphs and heads, PyTorch's own attention."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    ours, x, batch = attention(torch.float64), nodes(SIZES, torch.float64), batch_of(SIZES)
    found = ours(x, batch)
    ours.implementation = "reference"
    torch.testing.assert_close(found, ours(x, batch))


def test_autocast() -> None:
    x, batch = nodes([3, 0, 30, 3, 1]), batch_of([3, 0, 30, 3, 1])
    with torch.autocast("cpu", torch.bfloat16):
        found = attention()(x, batch)
    torch.testing.assert_close(found.float(), attention()(x, batch), rtol=0.05, atol=0.05)


def test_second_derivatives_by_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    ours, x = attention(torch.float64), nodes([4], torch.float64)
    (gradient,) = torch.autograd.grad(ours(x)[0, 0], x, retain_graph=True)
    (once,) = torch.autograd.grad(ours(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='implementation="reference"'):
        torch.autograd.grad(once.sum(), x)
    ours.implementation = "reference"
    (again,) = torch.autograd.grad(ours(x)[0, 0], x, create_graph=True)
    torch.testing.assert_close(again, gradient)
    assert torch.autograd.grad(again.square().sum(), x)[0].any()


def test_no_nodes() -> None:
    assert attention()(torch.empty(0, CHANNELS)).shape == (0, CHANNELS)
    assert attention()(torch.empty(0, CHANNELS), torch.empty(0, dtype=torch.long)).shape == (0, CHANNELS)


def truncated(num_hops: int, dtype: torch.dtype = torch.float64, **options: Any) -> TruncatedAttention:
    torch.manual_seed(0)
    return TruncatedAttention(CHANNELS, HEADS, num_hops=num_hops, **options).to(dtype)


@every_option
def test_one_hop_is_edge_attention(options: dict[str, Any]) -> None:
    ours, sizes = truncated(1, **options), [5, 1, 12]
    edge_index, x = random_edges(sizes), nodes(sizes, torch.float64)
    edges = coalesce(add_self_loops(edge_index, num_nodes=18)[0])
    query, key, value = ours._project(x)
    att = None
    if ours.score == "additive-dynamic":
        att = ours.att[0]
    elif ours.score == "additive":
        query, key = ((part * att).sum(-1, keepdim=True) for part, att in zip((query, key), ours.att, strict=True))
    out = edge_attention(query, key, value, edges, score=ours.score, att=att, normaliser=ours.normaliser)
    torch.testing.assert_close(ours(x, edge_index), ours.out_proj(out.flatten(1)), rtol=0, atol=1e-12)


@every_option
def test_as_many_hops_as_the_diameter_are_full_attention(options: dict[str, Any]) -> None:
    ours, full = truncated(11, **options), attention(torch.float64, **options)
    full.load_state_dict(ours.state_dict())
    path = torch.stack([torch.arange(11), torch.arange(1, 12)])
    edge_index, x = torch.cat([path, path.flip(0)], dim=1), nodes([12], torch.float64)
    torch.testing.assert_close(ours(x, edge_index), full(x), rtol=0, atol=1e-12)


def test_no_hop_is_the_node_alone() -> None:
    ours, x = truncated(0), nodes([4], torch.float64)
    expected = ours.out_proj(ours._project(x)[2].flatten(1))
    torch.testing.assert_close(ours(x, random_edges([4])), expected)


def test_nodes_further_away_have_no_influence() -> None:
    ours, x = truncated(2), nodes([6], torch.float64)
    path = torch.stack([torch.arange(5), torch.arange(1, 6)])
    (influence,) = torch.autograd.grad(ours(x, path)[4].sum(), x)
    assert influence.any(dim=1).tolist() == [False, False, True, True, True, False]


def test_bias_of_hops() -> None:
    ours, x = truncated(3), nodes([6], torch.float64)
    path = torch.stack([torch.arange(5), torch.arange(1, 6)])
    bias = torch.zeros(4, HEADS, dtype=torch.float64)
    bias[2:] = -torch.inf
    torch.testing.assert_close(ours(x, path, hop_bias=bias), truncated(1)(x, path))


@pytest.mark.parametrize("num_hops", [0, 1, 3])
def test_company_and_order_change_nothing(num_hops: int) -> None:
    ours, batch, edge_index = truncated(num_hops, torch.float32), batch_of(SIZES), random_edges(SIZES)
    x = nodes(SIZES)
    together = ours(x, edge_index)
    for graph in range(len(SIZES)):
        own, edges = cut(batch, edge_index, graph)
        torch.testing.assert_close(together[own], ours(x[own], edges), rtol=0, atol=1e-5)
    order = permutation_within(batch)
    renumbered = order.argsort()[edge_index]
    torch.testing.assert_close(ours(x[order], renumbered), together[order], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FullAttention(8, 3), "heads must divide channels=8; found 3"),
        (lambda: FullAttention(8, 0), "heads must divide channels=8; found 0"),
        (lambda: truncated(-1), "num_hops must be 0 or more; found -1"),
        (lambda: attention()(torch.randn(3, 7)), r"x must be floating point of shape \[nodes, 8\]"),
        (lambda: attention()(torch.ones(3, 8, dtype=torch.long)), "found int64"),
        (lambda: attention()(torch.randn(3, 8), torch.tensor([0, 1, 0])), "batch must be sorted"),
        (lambda: attention()(torch.randn(3, 8), torch.tensor([0, 1])), "batch must be int64 of shape"),
        (lambda: attention()(torch.randn(3, 8), pair_bias=torch.zeros(3, 2)), r"bias must be .* \[9, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
