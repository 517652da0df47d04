"""Every setting of the network for one big graph, in float64 on a random graph with an isolated node."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from gatlib.errors import InputError
from gatlib.models import NodeArchitecture, NodeAttentionNetwork
from gatlib.models.node_inference import layer_by_layer
from gatlib.nn import LinearAttention
from gatlib.nn.neighbours import NeighbourSampler
from gatlib.nn.sparse_linear import SparseLinear, drop_features, take_rows

NODES, FEATURES, CLASSES = 20, 7, 3
SETTINGS: dict[str, dict[str, Any]] = {
    "gat": {"conv": "gat"},
    "gatv2": {"conv": "gatv2", "norm": "none", "residual": False},
    "transformer": {"conv": "transformer", "norm": "batch"},
    "gcn": {"conv": "gcn"},
    "mlp": {"conv": "mlp"},
    "edge features": {"edge_features": 2},
    "transformer with edge features": {"conv": "transformer", "edge_features": 2, "self_loops": False},
    "GAT": {"conv": "gat", "output_heads": 2, "activation": "elu", "norm": "none", "residual": False},
    "GCN": {"conv": "gcn", "output_heads": 1, "norm": "none", "residual": False},
    "one attention layer": {"conv": "transformer", "output_heads": 1, "num_layers": 1},
    "jumping knowledge": {"jumping_knowledge": True, "self_loops": False},
    "global": {"global_attention": True, "feed_forward": 2},
}
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
ZERO = {"dropout": 0.0, "feature_dropout": 0.0, "attention_dropout": 0.0}


def network(num_outputs: int = CLASSES, **settings: Any) -> NodeAttentionNetwork:
    torch.manual_seed(0)
    architecture = NodeArchitecture(**{"hidden_channels": 8, "heads": 2, **settings})
    return NodeAttentionNetwork(architecture, FEATURES, num_outputs).double().eval()


def graph(num_edge_features: int = 0, num_nodes: int = NODES) -> tuple[Tensor, Tensor, Tensor | None]:
    """Random edges with a few self-loops and duplicates; the last node has none."""
    generator = torch.Generator().manual_seed(1)
    edge_index = torch.randint(num_nodes - 1, (2, 3 * num_nodes), generator=generator)
    x = torch.randn(num_nodes, FEATURES, generator=generator, dtype=torch.float64)
    x[torch.rand(x.shape, generator=generator) < 0.6] = 0.0
    edge_attr = torch.randn(edge_index.size(1), num_edge_features, generator=generator, dtype=torch.float64)
    return x, edge_index, edge_attr if num_edge_features else None


def gradients(model: NodeAttentionNetwork, out: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    out.square().sum().backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@every_setting
def test_renumbered_nodes(settings: dict[str, Any]) -> None:
    model = network(**settings)
    x, edge_index, edge_attr = graph(settings.get("edge_features", 0))
    generator = torch.Generator().manual_seed(2)
    order, edges = torch.randperm(NODES, generator=generator), torch.randperm(edge_index.size(1), generator=generator)
    renumbered = order.argsort()[edge_index][:, edges]
    out = model(x[order], renumbered, None if edge_attr is None else edge_attr[edges])
    torch.testing.assert_close(out, model(x, edge_index, edge_attr)[order], rtol=0, atol=1e-12)


@every_setting
def test_sparse_features_give_the_same_outputs_and_gradients(settings: dict[str, Any]) -> None:
    model = network(**settings)
    x, edge_index, edge_attr = graph(settings.get("edge_features", 0))
    sparse = x.to_sparse_csr()
    torch.testing.assert_close(
        model(sparse, edge_index, edge_attr), model(x, edge_index, edge_attr), rtol=0, atol=1e-10
    )
    dense_gradients = gradients(model, model(x, edge_index, edge_attr))
    for name, gradient in gradients(model, model(sparse, edge_index, edge_attr)).items():
        torch.testing.assert_close(gradient, dense_gradients[name], rtol=0, atol=1e-10, msg=name)


@every_setting
def test_every_weight_has_a_say(settings: dict[str, Any]) -> None:
    model = network(**settings, **ZERO).train()
    found = gradients(model, model(*graph(settings.get("edge_features", 0))))
    assert found.keys() == dict(model.named_parameters()).keys()
    assert all(gradient.isfinite().all() for gradient in found.values())


@every_setting
@pytest.mark.parametrize("sparse", [False, True])
def test_a_whole_neighbourhood_is_all_that_a_node_depends_on(settings: dict[str, Any], sparse: bool) -> None:
    if settings.get("global_attention"):
        pytest.skip("with global attention it depends on all nodes")
    model, nodes = network(**settings), torch.tensor([NODES - 1, 3, 11])
    x, edge_index, edge_attr = graph(settings.get("edge_features", 0))
    expected = model(x, edge_index, edge_attr)[nodes]
    around = NeighbourSampler(edge_index, NODES).sample(nodes.numpy(), model.settings.num_layers)
    inputs = take_rows(x.to_sparse_csr() if sparse else x, around.nodes), around
    attr = None if edge_attr is None else edge_attr[around.edges]
    if settings.get("conv") == "gcn":
        with pytest.raises(InputError, match="conv 'gcn' needs the degrees of all nodes"):
            model.of_neighbourhood(*inputs, attr)
        return
    out = model.of_neighbourhood(*inputs, attr)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    whole = gradients(model, expected)
    for name, gradient in gradients(model, out).items():
        torch.testing.assert_close(gradient, whole[name], rtol=0, atol=1e-9, msg=name)


@every_setting
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("at_a_time", [1, 17, 1000])
def test_layer_by_layer_a_few_nodes_at_a_time(settings: dict[str, Any], sparse: bool, at_a_time: int) -> None:
    model = network(**settings)
    x, edge_index, edge_attr = graph(settings.get("edge_features", 0))
    with torch.inference_mode():
        out = layer_by_layer(model, x.to_sparse_csr() if sparse else x, edge_index, edge_attr, at_a_time)
        torch.testing.assert_close(out, model(x, edge_index, edge_attr), rtol=0, atol=1e-10)


def test_layer_by_layer_no_nodes_and_what_does_not_fit() -> None:
    nothing = torch.empty(2, 0, dtype=torch.int64)
    with torch.inference_mode():
        assert layer_by_layer(network(), torch.empty(0, FEATURES).double(), nothing).shape == (0, CLASSES)
    with pytest.raises(InputError, match="the node features have shape"):
        layer_by_layer(network(), torch.empty(3, 2), nothing)


@pytest.mark.parametrize("conv", ["gat", "gatv2", "transformer", "gcn", "mlp"])
@pytest.mark.parametrize("self_loops", [True, False])
def test_nodes_out_of_reach_have_exactly_no_influence(conv: str, self_loops: bool) -> None:
    # A path 0 -> 1 -> ... -> 9: after two layers node 6 has heard of 4, 5 and, through itself, 6.
    model = network(conv=conv, self_loops=self_loops)
    x = graph()[0][:10].clone().requires_grad_()
    (influence,) = torch.autograd.grad(model(x, torch.stack([torch.arange(9), torch.arange(1, 10)]))[6].sum(), x)
    heard = influence.abs().sum(dim=1).nonzero().flatten().tolist()
    assert heard == ([6] if conv == "mlp" else [4, 5, 6])
    assert influence.isfinite().all()


def test_global_attention_hears_all_nodes() -> None:
    x = graph()[0].clone().requires_grad_()
    out = network(global_attention=True)(x, torch.empty(2, 0, dtype=torch.int64))
    (influence,) = torch.autograd.grad(out[0].sum(), x)
    assert (influence.abs().sum(dim=1) > 0).all()


@every_setting
def test_a_node_without_edges_is_judged_by_itself(settings: dict[str, Any]) -> None:
    if settings.get("global_attention"):
        pytest.skip("with global attention it is not alone")
    model, width = network(**settings), settings.get("edge_features", 0)
    x, edge_index, edge_attr = graph(width)
    nothing = torch.empty(2, 0, dtype=torch.int64)
    alone = model(x[-1:], nothing, x.new_empty(0, width) if width else None)
    assert alone.shape == (1, CLASSES)
    torch.testing.assert_close(model(x, edge_index, edge_attr)[-1:], alone, rtol=0, atol=1e-12)


def test_no_nodes_and_a_value_per_node() -> None:
    x, edge_index, _ = graph()
    assert network(num_outputs=1)(x, edge_index).shape == (NODES, 1)
    assert network()(x[:0], edge_index[:, :0]).shape == (0, CLASSES)


def test_self_loops_are_added_once_and_whatever_the_graph_has() -> None:
    x, edge_index, _ = graph()
    with_loops = torch.cat([edge_index[:, edge_index[0] != edge_index[1]], torch.arange(NODES).expand(2, -1)], dim=1)
    for conv in ("gat", "gatv2", "transformer", "gcn"):
        added, given = network(conv=conv), network(conv=conv, self_loops=False)
        for graph_before in (edge_index, with_loops):
            torch.testing.assert_close(added(x, graph_before), given(x, with_loops), rtol=0, atol=1e-12)


def test_a_graph_that_was_first_seen_without_gradients_can_be_learned() -> None:
    model = network()
    x, edge_index, _ = graph()
    with torch.inference_mode():
        before = model(x, edge_index)
    model(x, edge_index).sum().backward()
    torch.testing.assert_close(model(x, edge_index), before.clone())


def test_more_nodes_on_the_same_edges_are_another_graph() -> None:
    model = network()
    x, edge_index, _ = graph()
    fewer = model(x, edge_index)
    more = model(torch.cat([x, x[-1:]]), edge_index)
    torch.testing.assert_close(more, torch.cat([fewer, fewer[-1:]]), rtol=0, atol=1e-12)


@every_setting
@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
def test_checkpointed_activations_change_nothing(settings: dict[str, Any], is_sparse: bool) -> None:
    dropout = {"dropout": 0.3, "feature_dropout": 0.3, "attention_dropout": 0.3}
    x, edge_index, edge_attr = graph(settings.get("edge_features", 0))
    inputs = (x.to_sparse_csr() if is_sparse else x, edge_index, edge_attr)
    results = []
    for checkpointed in (False, True):
        model = network(**settings, **dropout, checkpoint_activations=checkpointed).train()
        torch.manual_seed(3)
        found = gradients(model, model(*inputs))
        results.append((found, dict(model.named_buffers()), torch.rand(1)))
    (kept, buffers, draw), (again, buffers_again, draw_again) = results
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    assert all(torch.equal(buffers[name], buffers_again[name]) for name in buffers)
    assert torch.equal(draw, draw_again)


def test_the_layers_are_those_of_tuned_gnn() -> None:
    model = network(conv="gat", heads=1, norm="batch", num_layers=1, self_loops=False)
    x, edge_index, _ = graph()
    layer = model.layers[0]
    hidden = torch.relu(layer.norm(layer.conv(x, edge_index) + layer.skip(x)))
    torch.testing.assert_close(model(x, edge_index), model.readout(hidden))


def test_global_attention_and_the_feed_forward_network_come_on_top() -> None:
    x, edge_index, _ = graph()
    model = network(global_attention=True, feed_forward=2, num_layers=1)
    layer = model.layers[0]
    assert isinstance(layer.full, LinearAttention)
    hidden = torch.relu(layer.norm(layer.conv(x, model_edges(edge_index)) + layer.skip(x)))
    hidden = hidden + layer.full(layer.full_norm(hidden))
    hidden = hidden + layer.feed_forward(hidden)
    torch.testing.assert_close(model(x, edge_index), model.readout(hidden))


def model_edges(edge_index: Tensor) -> Tensor:
    return torch.cat([edge_index[:, edge_index[0] != edge_index[1]], torch.arange(NODES).expand(2, -1)], dim=1)


def test_a_sparse_input_is_transposed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    transposed = Tensor.t

    def counting(tensor: Tensor) -> Tensor:
        nonlocal count
        count += tensor.layout == torch.sparse_csr
        return transposed(tensor)

    monkeypatch.setattr(Tensor, "t", counting)
    linear, x = SparseLinear(FEATURES, 4), graph()[0].float().to_sparse_csr()
    for _ in range(3):
        linear(x).sum().backward()
    assert count == 1


def test_feature_dropout_of_a_sparse_matrix_is_of_what_is_stored() -> None:
    x = (torch.rand(200, 50) < 0.1).double().to_sparse_csr()
    dropped = drop_features(x, 0.5, training=True)
    assert dropped.layout == torch.sparse_csr
    assert set(dropped.values().tolist()) == {0.0, 2.0}
    assert (dropped.values() == 0).double().mean() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(dropped.col_indices(), x.col_indices())
    assert drop_features(x, 0.5, training=False) is x


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hidden_channels": 10, "heads": 4}, r"hidden_channels \(10\) must be a multiple of heads \(4\)"),
        ({"output_heads": 1, "jumping_knowledge": True}, "output_heads must be 0"),
        ({"dropout": 1.0}, "less than 1"),
        ({"convolution": "gat"}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        NodeArchitecture(**settings)


def test_features_of_another_width_are_refused() -> None:
    x, edge_index, edge_attr = graph(2)
    with pytest.raises(
        InputError, match=r"the node features have shape \[20, 5\] where the network takes \[nodes, 7\]"
    ):
        network()(x[:, :5], edge_index)
    with pytest.raises(InputError, match=r"the edge features have shape None where the network takes \[60, 2\]"):
        network(edge_features=2)(x, edge_index)
    with pytest.raises(InputError, match=r"the edge features have shape .* where the network takes None"):
        network()(x, edge_index, edge_attr)
