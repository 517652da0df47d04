"""The claims of experiments/lecture, in small."""

import importlib
import math
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "lecture"))

checks = importlib.import_module("checks")
convolution = importlib.import_module("convolution")
dictionary_lookup = importlib.import_module("dictionary_lookup")
long_range = importlib.import_module("long_range")
relu_attention = importlib.import_module("relu_attention")
scores = importlib.import_module("scores")

few = settings(max_examples=10, deadline=None, derandomize=True)


# Convolution


def image_and_kernel(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, height, width, generator=generator, dtype=torch.float64)
    return image, torch.randn(3, 2, 3, 3, generator=generator, dtype=torch.float64)


@few
@given(height=st.integers(1, 7), width=st.integers(1, 7), seed=st.integers(0, 99))
def test_attention_over_windows_is_a_convolution(height, width, seed):
    image, kernel = image_and_kernel(height, width, seed)
    edge_index = convolution.windows(height, width)
    bias = convolution.exact_bias(convolution.offsets(edge_index, width), torch.float64)
    found = convolution.attention(image, kernel, edge_index, bias)
    torch.testing.assert_close(found, convolution.convolution(image, kernel), rtol=1e-12, atol=1e-12)


def test_the_quadratic_encoding_comes_closer_as_fast_as_theory_says():
    image, kernel = image_and_kernel(5, 6)
    edge_index = convolution.everywhere(5, 6)
    offset = convolution.offsets(edge_index, 6)
    expected = convolution.convolution(image, kernel)

    def difference(alpha):
        bias = convolution.quadratic_bias(offset, alpha, torch.float64)
        return float((convolution.attention(image, kernel, edge_index, bias) - expected).abs().max())

    assert difference(0) > 1
    assert difference(8) / difference(12) == pytest.approx(math.exp(4), rel=0.05)
    assert difference(12) / difference(16) == pytest.approx(math.exp(4), rel=0.01)
    assert difference(40) < 1e-12


# Long range

NEAR = (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_layers_over_the_edges_have_exactly_no_influence_beyond_as_many_hops(layers):
    influence = long_range.influences(long_range.make_model(layers, 0), long_range.make_paths(NEAR, 1))
    assert (influence > 0).tolist() == [distance <= layers for distance in NEAR]


def test_one_layer_of_full_attention_has_influence_at_any_distance():
    influence = long_range.influences(long_range.make_model(None, 0), long_range.make_paths((*NEAR, 200), 1))
    assert (influence > 0).all()


def test_full_attention_learns_to_copy_and_one_layer_over_the_edges_only_from_the_neighbour():
    distances, found = (1, 3, 12), {}
    for layers in (1, None):
        model = long_range.make_model(layers, 0)
        long_range.train_to_copy(model, long_range.make_paths(distances, 8), 250, 0)
        tested = long_range.make_paths(distances, 100)
        found[layers] = long_range.accuracies(model, tested).view(3, 100).mean(dim=1)
    assert (found[None] > 0.95).all()
    assert found[1][0] > 0.95
    assert (found[1][1:] < 0.3).all()  # an eighth is chance


# ReLU attention


def test_every_node_hears_each_name_once_and_is_to_name_the_class_of_the_one_it_asks_for(monkeypatch):
    monkeypatch.setattr(relu_attention, "NOISE", 0.0)
    (x, nodes, (source, target), _), labels = relu_attention.draw_graph(3, torch.Generator().manual_seed(0))
    name, asked, own_class = (part.argmax(dim=1) for part in x.split([16, 16, 4], dim=1))
    for node in nodes.tolist():
        heard = source[target == node]
        assert sorted(name[heard].tolist()) == list(range(16))
        assert node in heard
        (answering,) = heard[name[heard] == asked[node]].tolist()
        assert labels[node] == own_class[answering]


def test_only_relu_gives_weights_that_are_zero():
    example = relu_attention.draw_graph(4, torch.Generator().manual_seed(0))
    shares = {}
    for normaliser in relu_attention.NORMALISERS:
        weights = relu_attention.attention_weights(relu_attention.make_model(normaliser, 0), example)
        assert len(weights) == relu_attention.BLOCKS
        shares[normaliser] = [float((of_block == 0).float().mean()) for of_block in weights]
    assert shares["softmax"] == [0, 0]
    assert all(0.2 < share < 0.8 for share in shares["relu"])


@pytest.mark.parametrize("normaliser", relu_attention.NORMALISERS)
def test_either_normaliser_learns_to_pick_a_neighbour(normaliser, monkeypatch):
    monkeypatch.setattr(relu_attention, "NAMES", 6)
    monkeypatch.setattr(relu_attention, "NOISE", 0.05)
    tested = relu_attention.draw_graph(50, torch.Generator().manual_seed(1000))
    before, *_, after = relu_attention.train_on_graphs(relu_attention.make_model(normaliser, 0), tested, 200, 0)
    assert before < 0.5
    assert relu_attention.commonest_class(tested) < 0.6
    assert after > 0.95


# Dictionaries


def queries_and_keys(num_keys):
    edge_index = dictionary_lookup.complete_bipartite(num_keys, 1)
    return dictionary_lookup.draw_dictionaries(num_keys, edge_index, torch.Generator().manual_seed(0))[0]


def test_a_dictionary_holds_every_key_once_and_every_query_sees_all_of_its_own_graph_only():
    edge_index = dictionary_lookup.complete_bipartite(3, 2)
    (keys, queries, _), values = dictionary_lookup.draw_dictionaries(3, edge_index, torch.Generator().manual_seed(0))
    name, shown = keys[:, :3].argmax(dim=1), keys[:, 3:].argmax(dim=1)
    for query in range(6):
        seen = edge_index[0, edge_index[1] == query]
        assert seen.tolist() == ([0, 1, 2] if query < 3 else [3, 4, 5])
        (right,) = seen[name[seen] == queries[query].argmax()].tolist()
        assert values[query] == shown[right]


def first_ranked(name, seed):
    """The key with the largest weight, [queries, heads], of a layer as it is initialised, for queries that shout."""
    model = dictionary_lookup.make_lookup(dictionary_lookup.LAYERS[name], 8, seed).double()
    keys, queries, edge_index = queries_and_keys(8)
    _, (_, weights) = model.attention((keys.double(), 10 * queries.double()), edge_index, return_attention_weights=True)
    return weights.view(8, 8, -1).argmax(dim=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["GAT, 1 head", "GAT, 8 heads"])
def test_all_queries_rank_the_same_key_first_in_gat(name, seed):
    ranked = first_ranked(name, seed)
    assert (ranked == ranked[0]).all()


@pytest.mark.parametrize("seed", range(3))
def test_queries_differ_in_gatv2(seed):
    ranked = first_ranked("GATv2, 1 head", seed)
    assert (ranked != ranked[0]).any()


@torch.no_grad()
def test_gatv2_with_one_head_and_weights_set_by_hand_looks_up_without_an_error():
    # LeakyReLU(e_i - e_j) sums to 0 for i = j and to 0.8 elsewhere; the channels of the values are not scored.
    num_keys = 20
    name, value = torch.arange(num_keys), torch.arange(num_keys, 2 * num_keys)
    model = dictionary_lookup.make_lookup(dictionary_lookup.LAYERS["GATv2, 1 head"], num_keys, 0)
    for parameter in model.parameters():
        parameter.zero_()
    model.attention.lin_r.weight[name, name] = 1
    model.attention.lin_l.weight[name, name] = -1
    model.attention.lin_l.weight[value, value] = 1
    model.attention.att[..., :num_keys] = -50
    model.readout.weight[name, value] = 1
    assert dictionary_lookup.accuracy(model, num_keys) == 1


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("GAT, 1 head", 0, 0.6),
        ("GAT, 8 heads", 0, 0.7),
        ("GATv2, 1 head", 0.95, 1),
        ("TransformerConv, 1 head", 0.95, 1),
    ],
)
def test_what_the_layers_learn_of_ten_keys(name, least, most):
    model = dictionary_lookup.make_lookup(dictionary_lookup.LAYERS[name], 10, 0)
    dictionary_lookup.train_to_look_up(model, 10, 300, 0)
    assert least <= dictionary_lookup.accuracy(model, 10) <= most


@pytest.mark.parametrize(
    ("score", "least", "most"), [("dot", 0.95, 1), ("additive", 0, 0.7), ("additive-dynamic", 0.95, 1)]
)
def test_what_the_scores_learn_of_five_keys(score, least, most):
    model = scores.make_model(score, 5, 0)
    dictionary_lookup.train_to_look_up(model, 5, 200, 0)
    assert least <= dictionary_lookup.accuracy(model, 5) <= most


# Records


def test_rows_are_appended_under_one_header(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "TABLE", tmp_path / "results.csv")
    checks.record("first", [("a", 0, "accuracy", 0.25), ("a", None, "difference", 1.5e-7)])
    checks.record("second", [("b", 2, "accuracy", 1.0)])
    table = pd.read_csv(tmp_path / "results.csv")
    assert list(table.columns) == checks.COLUMNS
    assert table["check"].tolist() == ["first", "first", "second"]
    assert table["value"].tolist() == [0.25, 1.5e-7, 1.0]
    assert table["seed"].isna().tolist() == [False, True, False]


def test_mean_and_deviation_over_seeds():
    rows = [("b", 0, "accuracy", 0.5), ("b", 1, "accuracy", 1.0), ("b", 0, "other", 9.0), ("a", 0, "accuracy", 0.1)]
    found = checks.over_seeds(rows, "accuracy")
    assert list(found) == ["b", "a"]
    assert found["b"] == (0.75, 0.25)
