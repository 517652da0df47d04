from typing import Any

import pytest
import torch
from batches_of_graphs import SIZES, batch_of, cut, permutation_within, random_edges
from torch import Tensor, nn
from torch_geometric import nn as pyg

from gatlib.nn import GATv2Conv, TransformerConv
from gatlib.nn.full_attention import FullAttention, TruncatedAttention
from gatlib.nn.graph_transformer_block import GraphTransformerBlock

CHANNELS, HEADS = 8, 2
OPTIONS: dict[str, dict[str, Any]] = {
    "local": {"full": False},
    "full": {"local": None},
    "both": {},
    "both, norm last": {"norm_first": False},
    "gated": {"gated": True},
    "graph norm": {"norm": pyg.GraphNorm},
    "no norm": {"norm": None},
    "no feed-forward": {"feed_forward": 0, "norm_first": False},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def block(**options: Any) -> GraphTransformerBlock:
    torch.manual_seed(0)
    conv = GATv2Conv(CHANNELS, CHANNELS // HEADS, HEADS)
    return GraphTransformerBlock(CHANNELS, **{"local": conv, "heads": HEADS, **options})


def nodes(sizes: list[int] = SIZES) -> Tensor:
    return torch.randn(sum(sizes), CHANNELS, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, pyg.GraphNorm], ids=["batch norm", "graph norm"])
@pytest.mark.parametrize("has_local", [False, True])
def test_gps(has_local: bool, norm: Any) -> None:
    """Outputs and gradients of PyG's GPSConv with the same weights."""
    torch.manual_seed(0)
    conv = pyg.GINEConv(nn.Linear(CHANNELS, CHANNELS), edge_dim=3) if has_local else None
    name = "batch_norm" if norm is nn.BatchNorm1d else "graph_norm"
    theirs = pyg.GPSConv(CHANNELS, conv, HEADS, norm=name, attn_type="multihead", act="relu").double()
    ours = GraphTransformerBlock(CHANNELS, conv, heads=HEADS, activation=nn.ReLU, norm=norm, norm_first=False).double()
    ours.full.load_state_dict(theirs.attn.state_dict())
    ours.feed_forward[0].load_state_dict(theirs.mlp[0].state_dict())
    ours.feed_forward[3].load_state_dict(theirs.mlp[3].state_dict())

    sizes = [5, 1, 30, 12]
    batch, edge_index, x = batch_of(sizes), random_edges(sizes), nodes(sizes).double().requires_grad_()
    edge_attr = torch.randn(edge_index.size(1), 3, dtype=torch.float64) if has_local else None
    found = ours(x, edge_index, batch, edge_attr=edge_attr)
    expected = theirs(x, edge_index, batch, **({"edge_attr": edge_attr} if has_local else {}))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    cotangent = torch.randn_like(found)
    pairs = [(ours.full, theirs.attn), (ours.feed_forward, theirs.mlp)]
    for a, b in [
        (x, x),
        *((p, q) for our, their in pairs for p, q in zip(our.parameters(), their.parameters(), strict=True)),
    ]:
        (of_ours,) = torch.autograd.grad(found, a, cotangent, retain_graph=True)
        (of_theirs,) = torch.autograd.grad(expected, b, cotangent, retain_graph=True)
        torch.testing.assert_close(of_ours, of_theirs, rtol=1e-9, atol=1e-9)


@every_option
def test_company_changes_nothing(options: dict[str, Any]) -> None:
    ours = block(**options).eval()
    batch, edge_index, x = batch_of(SIZES), random_edges(SIZES), nodes()
    together = ours(x, edge_index, batch)
    for graph, size in enumerate(SIZES):
        if size > 0:
            own, edges = cut(batch, edge_index, graph)
            torch.testing.assert_close(together[own], ours(x[own], edges), rtol=0, atol=1e-5)


@every_option
def test_renumbered_nodes(options: dict[str, Any]) -> None:
    ours = block(**options).eval()
    batch, edge_index, x = batch_of(SIZES), random_edges(SIZES), nodes()
    order = permutation_within(batch)
    found = ours(x[order], order.argsort()[edge_index], batch)
    torch.testing.assert_close(found, ours(x, edge_index, batch)[order], rtol=0, atol=1e-5)


def test_norm_first_by_hand() -> None:
    ours = block()
    batch, edge_index, x = batch_of([3, 4]), random_edges([3, 4]), nodes([3, 4])
    seen = ours.local_norm(x)
    hidden = x + ours.local(seen, edge_index) + ours.full(seen, batch)
    expected = hidden + ours.feed_forward(ours.feed_forward_norm(hidden))
    torch.testing.assert_close(ours(x, edge_index, batch), expected)


def test_gates() -> None:
    ours = block(gated=True, full=False, feed_forward=0)
    nn.init.zeros_(ours.local_gate.weight)
    nn.init.constant_(ours.local_gate.bias, -1e4)
    x = nodes([5])
    assert torch.equal(ours(x, random_edges([5])), x)
    nn.init.constant_(ours.local_gate.bias, 1e4)
    torch.testing.assert_close(ours(x, random_edges([5])), x + ours.local(ours.local_norm(x), random_edges([5])))


def test_drop_path_takes_whole_graphs() -> None:
    sizes = [3] * 200
    ours = block(full=False, feed_forward=0, drop_path=0.25)
    batch, edge_index, x = batch_of(sizes), random_edges(sizes), nodes(sizes)
    change = (ours(x, edge_index, batch) - x).view(200, 3, CHANNELS)
    kept = change.flatten(1).any(dim=1)
    assert 120 < kept.sum() < 180
    ours.eval()
    expected = (ours(x, edge_index, batch) - x).view(200, 3, CHANNELS)[kept] / 0.75
    torch.testing.assert_close(change[kept], expected, rtol=1e-4, atol=1e-5)


def test_dropout_only_in_training() -> None:
    ours, x = block(dropout=0.5, attention_dropout=0.5), nodes([5])
    assert not torch.equal(ours(x, random_edges([5])), ours(x, random_edges([5])))
    ours.eval()
    assert torch.equal(ours(x, random_edges([5])), ours(x, random_edges([5])))


def test_edge_features_and_biases_of_pairs_reach_the_attention() -> None:
    conv = TransformerConv(CHANNELS, CHANNELS // HEADS, HEADS, edge_dim=3)
    ours, edge_index, x = block(local=conv), random_edges([5]), nodes([5])
    edge_attr = torch.randn(15, 3, requires_grad=True)
    pair_bias = torch.randn(25, HEADS, requires_grad=True)
    ours(x, edge_index, edge_attr=edge_attr, pair_bias=pair_bias).sum().backward()
    assert edge_attr.grad.any()
    assert pair_bias.grad.any()


def test_other_modules_for_either_attention() -> None:
    class Within(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = TruncatedAttention(CHANNELS, HEADS, num_hops=2)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.attention(x, edge_index)

    additive = FullAttention(CHANNELS, HEADS, score="additive")
    ours = block(local=Within(), full=additive)
    assert ours.full is additive
    assert ours(nodes([5]), random_edges([5])).shape == (5, CHANNELS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: block(local=None, full=False), "local and full must not both be left out"),
        (lambda: block(drop_path=1.0), "drop_path must be a probability.*found 1.0"),
        (lambda: block()(nodes([5])), "edge_index must be given"),
        (lambda: block(heads=3), "heads must divide channels=8; found 3"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
