"""Explanations of nodes: they say what the predictions of changed networks say, in the words of the attributes."""

import json
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from gatlib.errors import InputError
from gatlib.network import NodePredictor
from gatlib.network.explain import NodeExplanation, explain_node
from gatlib.network.explain.explanation import attributes_table, neighbours_table
from gatlib.network.formats import from_networkx
from gatlib.network.network import Network
from gatlib.network.node_model import NodeModel
from tests.network.networks_of_friends import friends, labelled, train_on

NODE = "person 8"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NodeModel:
    return train_on(labelled(friends()), tmp_path_factory.mktemp("models") / "friends").model


@pytest.fixture(scope="module")
def network() -> Network:
    return labelled(friends()).network


@pytest.fixture(scope="module")
def explanation(model: NodeModel, network: Network) -> NodeExplanation:
    return explain_node(model, network, NODE)


def log_probability(model: NodeModel, network: Network, label: str) -> float:
    table = NodePredictor(model).predict(network).set_index("node")
    return float(np.log(table.loc[NODE, f"p_{label}"]))


def test_the_prediction_is_that_of_predict(explanation: NodeExplanation, model: NodeModel, network: Network) -> None:
    row = NodePredictor(model).predict(network).set_index("node").loc[NODE]
    assert explanation.prediction == row["circle_pred"]
    assert explanation.probabilities == {name: row[f"p_{name}"] for name in ("chess players", "dancers")}
    assert explanation.probability == max(explanation.probabilities.values())
    assert explanation == NodePredictor(model).explain(network, NODE)


def test_each_importance_is_the_change_of_the_prediction_without_the_edges(
    explanation: NodeExplanation, model: NodeModel, network: Network
) -> None:
    graph = nx.from_edgelist(network.edge_index.T.tolist())
    centre = network.ids.index(NODE)
    hops = nx.single_source_shortest_path_length(graph, centre, cutoff=3)
    assert {each.node: each.hops for each in explanation.neighbours} == {
        network.ids[node]: steps for node, steps in hops.items() if steps
    }
    before = log_probability(model, network, explanation.prediction)
    for neighbour in [*explanation.neighbours[:6], *explanation.neighbours[-2:]]:
        other = network.ids.index(neighbour.node)
        gone = (network.edge_index == other).any(axis=0)
        if neighbour.hops == 1:
            gone &= (network.edge_index == centre).any(axis=0)
        assert network.edge_weight is not None
        cut = replace(network, edge_index=network.edge_index[:, ~gone], edge_weight=network.edge_weight[~gone])
        after = log_probability(model, cut, explanation.prediction)
        assert neighbour.importance == pytest.approx(before - after, abs=1e-5)
        assert neighbour.probability_without == pytest.approx(np.exp(after), abs=1e-5)
    importances = [abs(each.importance or 0) for each in explanation.neighbours]
    assert importances == sorted(importances, reverse=True)


def test_the_importances_of_attributes_add_up(explanation: NodeExplanation, model: NodeModel, network: Network) -> None:
    blank = pd.DataFrame({"age": None, "town": None}, index=network.attributes.index, dtype=object)
    rule = model.description.rule
    (age,) = (column for column in rule.columns if column.kind == "number")
    blank["age"] = float(np.sign(age.mean) * np.expm1(abs(age.mean))) if age.logarithm else age.mean
    nothing = log_probability(model, replace(network, attributes=blank), explanation.prediction)
    assert explanation.probability_without_attributes == pytest.approx(np.exp(nothing), abs=1e-5)
    total = sum(each.own + each.neighbourhood for each in explanation.attributes)
    expected = np.log(explanation.probability) - nothing
    assert abs(expected) > 0.1
    assert total == pytest.approx(expected, abs=5e-3)
    assert total - expected == pytest.approx(explanation.completeness_gap, abs=1e-4)


def test_attributes_have_their_names_and_values(explanation: NodeExplanation, network: Network) -> None:
    own = network.attributes.iloc[network.ids.index(NODE)]
    labels = {each.label: each for each in explanation.attributes}
    assert set(labels) == {f"age = {own['age']:.6g}", "town = Bonn", "town = Ulm"}
    (other_town,) = {"Bonn", "Ulm"} - {own["town"]}
    assert labels[f"town = {own['town']}"].own != 0
    assert labels[f"town = {other_town}"].own == 0  # which the node does not have
    assert labels[f"town = {other_town}"].neighbourhood != 0
    sizes = [abs(each.importance) for each in explanation.attributes]
    assert sizes == sorted(sizes, reverse=True)


def test_attention_is_there_for_direct_neighbours_layer_by_layer(
    explanation: NodeExplanation, network: Network
) -> None:
    direct = [each for each in explanation.neighbours if each.hops == 1]
    assert len(direct) == explanation.num_direct > 1
    assert explanation.num_within_reach == len(explanation.neighbours)
    assert all(not each.attention for each in explanation.neighbours if each.hops > 1)
    for layer in range(3):
        total = explanation.self_attention[layer].mean + sum(each.attention[layer].mean for each in direct)
        assert total == pytest.approx(1, abs=1e-5)
    for each in direct:
        assert [np.mean(layer.heads) for layer in each.attention] == pytest.approx(
            [layer.mean for layer in each.attention]
        )
        assert len(each.attention[0].heads) == 8
        both = [network.ids.index(each.node), network.ids.index(NODE)]
        (edge,) = np.flatnonzero((both == network.edge_index.T).all(axis=1))
        assert network.edge_weight is not None
        assert each.weight == network.edge_weight[edge]


def test_the_tables_have_a_row_for_each(explanation: NodeExplanation) -> None:
    table = neighbours_table(explanation)
    assert list(table.columns) == [
        "node", "hops", "importance", "probability_without", "weight", "attention", "attention_layer_1",
        "attention_layer_2", "attention_layer_3", "circle_pred", "probability", "known",
    ]  # fmt: skip
    assert list(table["node"]) == [each.node for each in explanation.neighbours]
    direct = table[table["hops"] == 1]
    layers = direct[["attention_layer_1", "attention_layer_2", "attention_layer_3"]].astype(float)
    assert direct["attention"].tolist() == pytest.approx(layers.mean(axis=1).tolist())
    assert list(attributes_table(explanation).columns) == ["attribute", "value", "importance", "own", "neighbourhood"]
    assert NodeExplanation.model_validate(json.loads(explanation.model_dump_json())) == explanation


def test_labels_are_those_that_the_network_holds_or_that_are_given(model: NodeModel, network: Network) -> None:
    with_labels = from_networkx(friends())[0]
    explanation = explain_node(model, with_labels, NODE)
    assert explanation.known == "dancers"
    assert {each.known for each in explanation.neighbours} == {"dancers", "chess players", None}
    known: list[str | None] = [f"label of {node}" for node in network.ids]
    explanation = explain_node(model, network, NODE, known)
    assert explanation.known == f"label of {NODE}"
    assert all(each.known == f"label of {each.node}" for each in explanation.neighbours)


def test_an_unknown_node_is_answered_with_those_that_were_meant(model: NodeModel, network: Network) -> None:
    with pytest.raises(InputError, match="there is no node 'person8' in the network: did you mean 'person 8' or"):
        explain_node(model, network, "person8")
    with pytest.raises(InputError, match="there is no node 'xyz' in the network: check its spelling"):
        explain_node(model, network, "xyz")


def test_a_node_without_neighbours_is_explained_by_its_attributes(model: NodeModel) -> None:
    graph = friends()
    graph.add_node("hermit", age=70.0, town="Ulm")
    explanation = explain_node(model, from_networkx(graph)[0], "hermit")
    assert (explanation.neighbours, explanation.num_within_reach) == ([], 0)
    assert [round(layer.mean, 6) for layer in explanation.self_attention] == [1, 1, 1]
    assert {each.label: each.neighbourhood for each in explanation.attributes} == {"age = 70": 0, "town = Ulm": 0}
    assert "has no neighbours" in explanation.notes[0]
    assert list(neighbours_table(explanation)["node"]) == []


def test_of_a_hub_those_of_the_highest_attention_are_measured(model: NodeModel) -> None:
    star = nx.star_graph([f"fan {number}" for number in range(300)])
    for number, node in enumerate(star):
        star.nodes[node].update(age=20.0 + number % 30, town=("Bonn", "Ulm")[number % 2])
        for edge in star.edges(node):
            star.edges[edge]["weight"] = 1 + number % 5
    explanation = explain_node(model, from_networkx(star)[0], "fan 0")
    measured = [each.mean_attention for each in explanation.neighbours if each.importance is not None]
    others = [each.mean_attention for each in explanation.neighbours if each.importance is None]
    assert (len(measured), len(others)) == (256, 43)
    assert min(measured) >= max(others)  # type: ignore[type-var]
    assert others == sorted(others, reverse=True)  # type: ignore[type-var]
    assert [each.importance is None for each in explanation.neighbours] == [False] * 256 + [True] * 43
    assert any("measured for 256 of the 299 nodes within 3 hops" in note for note in explanation.notes)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"conv": "gcn"}, "the model is a gcn: it has no attention weights"),
        ({"conv": "mlp"}, "the model is an mlp: it has no attention weights and no edge changes what it says"),
        ({"global_attention": True}, "the model also attends to all nodes"),
    ],
    ids=str,
)
def test_other_models_say_what_they_lack(changes: dict[str, object], note: str, tmp_path: Path) -> None:
    given = labelled(friends(nodes=24, weights=False))
    model = train_on(given, tmp_path / "model", max_epochs=2, num_layers=2, **changes).model
    explanation = explain_node(model, given.network, NODE)
    assert any(note in each for each in explanation.notes)
    importances = [each.importance for each in explanation.neighbours]
    assert None not in importances
    # The graphs without some edges are computed together, where matrix products may round in another way.
    assert any(abs(importance) > 1e-5 for importance in importances) == (changes.get("conv") != "mlp")
    assert bool(explanation.self_attention) == ("conv" not in changes)
    direct = neighbours_table(explanation)[lambda table: table["hops"] == 1]
    assert direct["attention"].notna().all() == ("conv" not in changes)


def test_many_sparse_features_have_their_names(tmp_path: Path) -> None:
    given = labelled(friends(nodes=24, weights=False))
    active = csr_matrix((np.random.default_rng(0).random((24, 700)) < 0.02).astype(np.float32))
    names = [f"club {number}" for number in range(700)]
    given = replace(given, network=replace(given.network, active=active, active_names=names))
    model = train_on(given, tmp_path / "model", max_epochs=2).model
    explanation = explain_node(model, given.network, NODE)
    number = given.network.ids.index(NODE)
    own = {f"feature club {column}" for column in active[[number]].indices}
    assert own
    found = {each.label for each in explanation.attributes if each.own}
    assert own <= found
    assert not {label for label in found if label.startswith("feature")} - own
    total = sum(each.importance for each in explanation.attributes)
    expected = np.log(explanation.probability / explanation.probability_without_attributes)
    assert total == pytest.approx(expected, abs=5e-3)


def test_a_network_without_attributes_is_explained_by_its_structure(tmp_path: Path) -> None:
    graph = friends(nodes=24, weights=False)
    for node in graph:
        del graph.nodes[node]["age"], graph.nodes[node]["town"]
    given = labelled(graph)
    model = train_on(given, tmp_path / "model", max_epochs=2).model
    explanation = explain_node(model, given.network, NODE)
    assert "log degree" in {each.label for each in explanation.attributes}
    assert any("degrees, walks and ranks stay" in note for note in explanation.notes)


def test_explaining_changes_nothing_of_the_model(model: NodeModel, network: Network) -> None:
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    explain_node(model, network, NODE)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.network.parameters())
