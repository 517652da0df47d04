"""Attention pooling: by hand, against PyTorch and PyG, and the laws that every pooling obeys."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.nn.aggr import SetTransformerAggregation

from gatlib.nn.pooling import GatedAttentionPooling, MultiheadAttentionPooling, SetTransformerPooling

CHANNELS, HEADS = 8, 2
POOLINGS: dict[str, Callable[[], torch.nn.Module]] = {
    "gated": lambda: GatedAttentionPooling(CHANNELS),
    "gated, projected": lambda: GatedAttentionPooling(CHANNELS, out_channels=5, hidden_channels=3),
    "one query": lambda: MultiheadAttentionPooling(CHANNELS, HEADS),
    "three queries": lambda: MultiheadAttentionPooling(CHANNELS, HEADS, num_queries=3),
    "set transformer": lambda: SetTransformerPooling(CHANNELS, HEADS, num_queries=3, num_layers=2),
    "set transformer, averaged": lambda: SetTransformerPooling(CHANNELS, HEADS, num_queries=3, concat=False),
}
OUT_CHANNELS = [CHANNELS, 5, CHANNELS, 3 * CHANNELS, 3 * CHANNELS, CHANNELS]
every_pooling = pytest.mark.parametrize("name", POOLINGS)
SIZES = [1, 500, 0, 37, 2, 0]


def make(name: str, dtype: torch.dtype = torch.float32, implementation: str = "auto") -> Any:
    torch.manual_seed(0)
    pooling = POOLINGS[name]().to(dtype)
    for key, parameter in pooling.named_parameters():
        if key.endswith("bias"):
            torch.nn.init.normal_(parameter)  # some start at zero, where a forgotten one would not show
    for module in pooling.modules():
        if isinstance(module, MultiheadAttentionPooling):
            module.implementation = implementation  # type: ignore[assignment]
    return pooling


def graphs(sizes: list[int], dtype: torch.dtype = torch.float32, channels: int = CHANNELS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(sizes))
    x = torch.randn(sum(sizes), channels, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long))


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_gated_attention_by_hand() -> None:
    pooling = GatedAttentionPooling(1)
    values = {"lin_hidden.weight": 1.0, "lin_gate.weight": 0.0, "lin_score.weight": 4 * math.log(2)}
    pooling.load_state_dict({key: torch.full((1, 1), value) for key, value in values.items()}, strict=False)
    pooling.lin_hidden.bias.data.zero_()
    pooling.lin_gate.bias.data.zero_()
    x = torch.tensor([[0.0], [math.atanh(0.5)], [7.0]])
    out, weights = pooling(x, torch.tensor([0, 0, 1]), return_attention_weights=True)
    # The gates are 1/2, so the scores 4 log 2 * tanh(x) * 1/2 of the first graph are 0 and log 2.
    assert_near(weights, torch.tensor([[1 / 3], [2 / 3], [1.0]]))
    assert_near(out, torch.tensor([[2 / 3 * math.atanh(0.5)], [7.0]]))
    pooling.lin_gate.bias.data.fill_(math.log(3))  # gates of 3/4: log(2) times 3/2
    _, weights = pooling(x, torch.tensor([0, 0, 1]), return_attention_weights=True)
    assert_near(weights[:2], torch.tensor([[1.0], [2**1.5]]) / (1 + 2**1.5))


def test_multihead_attention_by_hand() -> None:
    pooling = MultiheadAttentionPooling(1, num_queries=2)
    pooling.load_state_dict(
        {
            "queries": torch.tensor([[1.0], [-1.0]]),
            "in_proj_weight": torch.tensor([[1.0], [1.0], [10.0]]),
            "in_proj_bias": torch.zeros(3),
            "out_proj.weight": torch.tensor([[1.0]]),
            "out_proj.bias": torch.tensor([5.0]),
        }
    )
    x = torch.tensor([[0.0], [math.log(2)]])
    out, weights = pooling(x, return_attention_weights=True)
    assert_near(weights, torch.tensor([[[1 / 3], [2 / 3]], [[2 / 3], [1 / 3]]]))
    assert_near(out, 5 + 10 * math.log(2) * torch.tensor([[2 / 3, 1 / 3]]))


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("num_queries", [1, 3])
def test_multihead_attention_is_that_of_torch_on_each_graph_alone(num_queries: int, implementation: str) -> None:
    name = "one query" if num_queries == 1 else "three queries"
    pooling = make(name, implementation=implementation)
    torchs = torch.nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True)
    parameters = {key: value for key, value in pooling.state_dict().items() if key != "queries"}
    torchs.load_state_dict(parameters)
    sizes = [4, 1, 30]
    x, batch = graphs(sizes)
    x_theirs, x_ours = (x.clone().requires_grad_() for _ in range(2))
    queries = pooling.queries.detach().clone().requires_grad_()

    found, found_weights = pooling(x_ours, batch, return_attention_weights=True)
    assert_near(found, pooling(x_ours, batch))
    alone = [torchs(queries, part, part, average_attn_weights=False) for part in x_theirs.split(sizes)]
    expected = torch.stack([out.flatten() for out, _ in alone])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected_weights = torch.cat([weights.permute(2, 1, 0) for _, weights in alone])  # from [H, Q, N]
    torch.testing.assert_close(found_weights, expected_weights, rtol=1e-5, atol=1e-5)

    direction = torch.arange(found.numel()).view_as(found).cos()
    theirs = dict(torchs.named_parameters())
    ours = {key: value for key, value in pooling.named_parameters() if key != "queries"}
    assert list(theirs) == list(ours)
    found_grads = torch.autograd.grad(found, [x_ours, pooling.queries, *ours.values()], direction)
    expected_grads = torch.autograd.grad(expected, [x_theirs, queries, *theirs.values()], direction)
    for a, b in zip(found_grads, expected_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# Parameters of PyG's layer and what they are called here.
PYG_NAMES = {
    "pma.seed": "attention.queries",
    "pma.lin": "lin",
    "pma.mab.attn": "attention",
    "pma.mab": "feed_forward",
    "mab.attn": "attention",
    "mab": "feed_forward",
    "decoders": "blocks",
    "layer_norm": "norm",
}


def renamed(key: str) -> str:
    for theirs, ours in PYG_NAMES.items():
        key = key.replace(theirs, ours)
    return key


@pytest.mark.parametrize("num_layers", [0, 2])
@pytest.mark.parametrize("concat", [True, False])
def test_set_transformer_is_that_of_pyg(concat: bool, num_layers: int) -> None:
    torch.manual_seed(0)
    theirs = SetTransformerAggregation(
        CHANNELS, num_seed_points=3, num_encoder_blocks=0, num_decoder_blocks=num_layers, heads=HEADS, concat=concat,
        layer_norm=True,
    )  # fmt: skip
    ours = SetTransformerPooling(CHANNELS, HEADS, num_queries=3, num_layers=num_layers, concat=concat)
    torch.nn.init.normal_(theirs.pma.mab.attn.in_proj_bias)
    parameters = {renamed(key): parameter for key, parameter in theirs.named_parameters()}
    parameters["attention.queries"] = parameters["attention.queries"].squeeze(0)
    ours.load_state_dict(parameters)

    x, batch = graphs([4, 1, 30])
    x_theirs, x_ours = (x.clone().requires_grad_() for _ in range(2))
    expected, found = theirs(x_theirs, batch), ours(x_ours, batch)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    direction = torch.arange(found.numel()).view_as(found).cos()
    (expected * direction).sum().backward()
    (found * direction).sum().backward()
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, rtol=1e-5, atol=1e-5)
    grads = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        found_grad = grads[renamed(key)].grad
        assert found_grad is not None
        torch.testing.assert_close(found_grad.view_as(parameter), parameter.grad, rtol=1e-5, atol=1e-5)


@every_pooling
def test_renumbered_nodes_of_a_graph_give_the_same_output(name: str) -> None:
    pooling, (x, batch) = make(name), graphs(SIZES)
    order = torch.randperm(x.size(0), generator=torch.Generator().manual_seed(1))
    order = order[batch[order].argsort(stable=True)]
    out, weights = pooling(x, batch, len(SIZES), return_attention_weights=True)
    found, found_weights = pooling(x[order], batch, len(SIZES), return_attention_weights=True)
    assert_near(found, out)
    assert_near(found_weights, weights[order])


@every_pooling
def test_renumbered_graphs_give_renumbered_outputs(name: str) -> None:
    pooling, (x, batch) = make(name), graphs(SIZES)
    order = [3, 5, 0, 1, 4, 2]
    found = pooling(
        torch.cat([x[batch == graph] for graph in order]),
        torch.arange(len(SIZES)).repeat_interleave(torch.tensor([SIZES[graph] for graph in order])),
        len(SIZES),
    )
    assert_near(found, pooling(x, batch, len(SIZES))[order])


@every_pooling
def test_other_graphs_of_the_batch_do_not_matter(name: str) -> None:
    pooling, (x, batch) = make(name), graphs(SIZES)
    out, weights = pooling(x, batch, len(SIZES), return_attention_weights=True)
    alone = [pooling(part, return_attention_weights=True) for part in x.split(SIZES)]
    assert_near(out, torch.cat([pooled for pooled, _ in alone]))
    assert_near(weights, torch.cat([weight for _, weight in alone]))
    changed = x.masked_fill((batch == 1).unsqueeze(-1), 1000.0)
    others = torch.arange(len(SIZES)) != 1
    assert_near(pooling(changed, batch, len(SIZES))[others], out[others])


@every_pooling
@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(0, 3), max_size=5))
def test_any_batch(name: str, implementation: str, sizes: list[int]) -> None:
    pooling, (x, batch) = make(name, torch.float64, implementation), graphs(sizes, torch.float64)
    out, weights = pooling(x, batch, len(sizes), return_attention_weights=True)
    assert out.shape == (len(sizes), OUT_CHANNELS[list(POOLINGS).index(name)])
    assert weights.shape[0] == x.size(0)
    sums = weights.new_zeros(len(sizes), *weights.shape[1:]).index_add(0, batch, weights)
    for size, row, total in zip(sizes, out, sums, strict=True):
        if size == 0:
            assert not row.any()
        else:
            assert row.any()
            torch.testing.assert_close(total, torch.ones_like(total))
    torch.testing.assert_close(pooling(x, batch), out[: int(batch[-1]) + 1 if batch.numel() else 0])
    torch.testing.assert_close(out, torch.cat([out[:0], *(pooling(part) for part in x.split(sizes))]))


@every_pooling
def test_weights_have_a_column_for_each_query_and_head(name: str) -> None:
    _, weights = make(name)(torch.randn(6, CHANNELS), return_attention_weights=True)
    queries = 1 if name == "one query" else 3
    assert weights.shape == ((6, 1) if name.startswith("gated") else (6, queries, HEADS))


@every_pooling
def test_equal_nodes_share_the_weight(name: str) -> None:
    pooling, x = make(name, torch.float64), torch.randn(1, CHANNELS, dtype=torch.float64)
    out, weights = pooling(x.expand(500, -1), return_attention_weights=True)
    assert_near(out, pooling(x))
    assert_near(weights, torch.full_like(weights, 1 / 500))


@every_pooling
@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_gradients(name: str, implementation: str) -> None:
    pooling, (x, batch) = make(name, torch.float64, implementation), graphs([3, 0, 1], torch.float64)
    parameters = list(pooling.parameters())

    def pool(x: Tensor, *_: Tensor) -> Tensor:
        return pooling(x, batch, 4, return_attention_weights=True)

    x.requires_grad_()
    assert torch.autograd.gradcheck(pool, (x, *parameters), fast_mode=True)
    if implementation == "reference":
        assert torch.autograd.gradgradcheck(pool, (x, *parameters), fast_mode=True)


@every_pooling
def test_no_nodes_at_all(name: str) -> None:
    pooling, x = make(name), torch.empty(0, CHANNELS, requires_grad=True)
    out = pooling(x, torch.empty(0, dtype=torch.long), 2)
    assert out.shape[0] == 2
    assert not out.any()
    out.sum().backward()
    assert pooling(x, torch.empty(0, dtype=torch.long)).shape == (0, out.size(1))
    assert torch.equal(pooling(x), out[:1])
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in pooling.parameters())


@pytest.mark.parametrize("make_pooling", [MultiheadAttentionPooling, SetTransformerPooling])
def test_dropout_is_for_training(make_pooling: Callable[..., torch.nn.Module]) -> None:
    torch.manual_seed(0)
    pooling = make_pooling(CHANNELS, HEADS, num_queries=2, dropout=0.25)
    x = torch.randn(400, CHANNELS)
    pooling.eval()
    _, weights = pooling(x, return_attention_weights=True)
    assert torch.equal(pooling(x), pooling(x))
    pooling.train()
    torch.manual_seed(1)
    out, dropped = pooling(x, return_attention_weights=True)
    torch.manual_seed(1)
    assert_near(pooling(x), out)
    assert not torch.equal(pooling(x), out)
    kept = dropped != 0
    assert 0.15 < 1 - kept.double().mean() < 0.35
    torch.testing.assert_close(dropped[kept], weights[kept] / 0.75)


@pytest.mark.parametrize(
    ("make_pooling", "message"),
    [
        (lambda: GatedAttentionPooling(0), "channels must be 1 or more; found 0"),
        (lambda: GatedAttentionPooling(4, out_channels=0), "out_channels must be 1 or more; found 0"),
        (lambda: GatedAttentionPooling(4, hidden_channels=-1), "hidden_channels must be 1 or more; found -1"),
        (lambda: MultiheadAttentionPooling(4, heads=3), "heads must divide channels=4; found 3"),
        (lambda: MultiheadAttentionPooling(4, heads=0), "heads must divide channels=4; found 0"),
        (lambda: MultiheadAttentionPooling(4, num_queries=0), "num_queries must be 1 or more; found 0"),
        (lambda: MultiheadAttentionPooling(4, dropout=1.5), "dropout must be a probability from 0 to 1; found 1.5"),
        (lambda: SetTransformerPooling(4, heads=3), "heads must divide channels=4; found 3"),
        (lambda: SetTransformerPooling(4, heads=2, num_layers=-1), "num_layers must be 0 or more; found -1"),
    ],
)
def test_settings_that_do_not_fit(make_pooling: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_pooling()


@every_pooling
def test_inputs_that_do_not_fit(name: str) -> None:
    pooling, (x, batch) = make(name), graphs([2, 1])
    with pytest.raises(ValueError, match=r"x must be floating point of shape \[nodes, 8\]; found float32 of shape \[3"):
        pooling(x[:, :7], batch)
    with pytest.raises(ValueError, match=r"x must be floating point .* found int64"):
        pooling(x.long(), batch)
    with pytest.raises(ValueError, match=r"batch must be int64 of shape \[3\].*found int64 of shape \[2\]"):
        pooling(x, batch[:2])
    with pytest.raises(ValueError, match="batch must be sorted"):
        pooling(x, batch.flip(0))
    with pytest.raises(ValueError, match="num_graphs must be at least 2, the graphs of batch; found 1"):
        pooling(x, batch, 1)
