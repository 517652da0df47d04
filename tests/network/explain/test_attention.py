"""Attention weights: worked by hand, a distribution over the edges, and those of the reference."""

import math

import numpy as np
import pytest
import torch

from gatlib.network.explain.attention import attention_weights
from gatlib.nn import GATConv, GATv2Conv, TransformerConv
from tests.network.explain.small_networks import KINDS, graph_of, input_of, network_of
from tests.network.explain.test_occlusion import mean_network

ATTENTIVE = [kind for kind in KINDS if "gcn" not in kind and kind != "mlp"]


def test_equal_scores_share_the_attention() -> None:
    edges = torch.tensor([[0, 1, 0, 2, 1, 2], [1, 0, 2, 0, 2, 1]])
    sources, (weights,) = attention_weights(mean_network(), torch.rand(3, 2), edges, None, 0)
    assert sources.tolist() == [1, 2, 0]  # itself last
    torch.testing.assert_close(weights, torch.full((3, 1), 1 / 3))


def test_a_gat_worked_by_hand() -> None:
    network = mean_network()
    network.readout.att_src.data[0, 0] = torch.tensor([1.0, 0.0])
    x = torch.tensor([[0.0, 1.0], [math.log(2), 5.0], [-5 * math.log(2), 5.0]])  # LeakyReLU leaves a fifth
    edges = torch.tensor([[1, 2], [0, 0]])
    _, (weights,) = attention_weights(network, x, edges, None, 0)
    torch.testing.assert_close(weights[:, 0], torch.tensor([2.0, 0.5, 1.0]) / 3.5)  # e^log 2, e^-log 2, e^0


@pytest.mark.parametrize("kind", ATTENTIVE)
def test_they_sum_to_one_and_are_those_of_the_reference(kind: str) -> None:
    network = network_of(kind)
    edges, nodes = graph_of(seed=5)
    node = int(np.bincount(edges[1], minlength=nodes).argmax())
    arguments = (*input_of(network, edges, nodes), node)
    with torch.inference_mode():
        sources, weights = attention_weights(network, *arguments)
        assert len(weights) == network.settings.num_layers
        for layer in weights:
            assert (layer >= 0).all()
            torch.testing.assert_close(layer.sum(dim=0), torch.ones(layer.size(1)))
        neighbours = edges[0, edges[1] == node].tolist()
        assert sorted(sources.tolist()) == sorted(neighbours + [node] * network.settings.self_loops)
        for conv in network.modules():
            if isinstance(conv, GATConv | GATv2Conv | TransformerConv):
                conv.implementation = "reference"
        again, expected = attention_weights(network, *arguments)
    assert torch.equal(sources, again)
    torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["gcn", "mlp"])
def test_a_network_without_attention_has_none(kind: str) -> None:
    network = network_of(kind)
    edges, nodes = graph_of()
    sources, weights = attention_weights(network, *input_of(network, edges, nodes), 0)
    assert (sources.tolist(), weights) == ([], [])
