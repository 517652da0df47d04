"""A model of nodes: it comes back as it was written, predicts any graph, and refuses what it was not trained for."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from networks_of_friends import friends, labelled, train_on
from scipy.sparse import csr_matrix

from gatlib.checkpoint import load_model
from gatlib.errors import InputError
from gatlib.model_files import content_hash
from gatlib.network import NodePredictor
from gatlib.network.formats import from_networkx
from gatlib.network.network import Network
from gatlib.network.node_model import load_node_model, sorted_classes
from gatlib.training import network_train
from gatlib.training.network_train import TrainedNetworkModel


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedNetworkModel:
    return train_on(labelled(friends()), tmp_path_factory.mktemp("models") / "friends")


@pytest.fixture
def folder(trained: TrainedNetworkModel, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(trained.folder, tmp_path / "model"))


def network_of(graph: nx.Graph) -> Network:
    return from_networkx(graph)[0]


def probabilities(table: pd.DataFrame) -> np.ndarray:
    return table[["p_chess players", "p_dancers"]].to_numpy()


def test_the_folder_has_all_that_was_promised(trained: TrainedNetworkModel) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        "README.md",
        "learning_curve.png",
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "split.csv",
        "test_predictions.csv",
        "valid_predictions.csv",
        "training_log.csv",
    }
    assert list(pd.read_csv(trained.folder / "metrics.csv")["split"]) == ["valid", "test"]
    split = pd.read_csv(trained.folder / "split.csv")
    assert len(split) == split["node"].nunique() == 50  # ten have no label
    card = (trained.folder / "README.md").read_text(encoding="utf-8")
    assert "`circle`" in card
    assert "| test |" in card


def test_a_model_comes_back_as_it_was(trained: TrainedNetworkModel) -> None:
    loaded = load_node_model(trained.folder)
    assert loaded.description == trained.model.description
    ours, theirs = trained.model.network.state_dict(), loaded.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not loaded.network.training


def test_predictions_of_the_training_graph_are_the_stored_ones(trained: TrainedNetworkModel) -> None:
    predicted = NodePredictor.load(trained.folder).predict(labelled(friends()).network)
    stored = pd.read_csv(trained.folder / "test_predictions.csv")
    assert list(stored.columns) == ["node", "circle", "circle_pred", "p_chess players", "p_dancers"]
    expected = predicted.set_index("node").loc[stored["node"]].reset_index()
    assert list(stored["circle_pred"]) == list(expected["circle_pred"])
    np.testing.assert_allclose(probabilities(stored), probabilities(expected), atol=1e-6)
    found = np.mean(stored["circle"] == stored["circle_pred"])
    assert pytest.approx(found) == trained.model.description.metrics["test"]["accuracy"]


def test_every_class_has_a_column_and_rows_sum_to_one(trained: TrainedNetworkModel) -> None:
    network = network_of(friends())
    table = NodePredictor.load(trained.folder).predict(network)
    assert list(table.columns) == ["node", "circle_pred", "p_chess players", "p_dancers"]
    assert list(table["node"]) == network.ids
    np.testing.assert_allclose(probabilities(table).sum(axis=1), 1, atol=1e-12)
    names = np.array(["chess players", "dancers"])
    assert list(names[probabilities(table).argmax(axis=1)]) == list(table["circle_pred"])


def test_other_names_and_another_order_change_nothing(trained: TrainedNetworkModel) -> None:
    graph = friends()
    order = np.random.default_rng(3).permutation(list(graph.nodes)).tolist()
    shuffled = nx.Graph()
    shuffled.add_nodes_from((f"new {node}", graph.nodes[node]) for node in order)
    shuffled.add_edges_from((f"new {b}", f"new {a}", data) for a, b, data in graph.edges(data=True))
    predictor = NodePredictor.load(trained.folder)
    before = predictor.predict(network_of(graph)).set_index("node")
    after = predictor.predict(network_of(shuffled)).set_index("node").loc[[f"new {node}" for node in before.index]]
    np.testing.assert_allclose(probabilities(after), probabilities(before), atol=1e-5)


def test_new_nodes_and_another_graph_are_predicted(trained: TrainedNetworkModel) -> None:
    graph = friends()
    graph.add_node("newcomer", age=25.0, town="Paris")
    graph.add_node("stranger")
    graph.add_edge("newcomer", "person 1", weight=2.0)
    graph.add_edge("stranger", "newcomer", weight=1.0)
    predictor = NodePredictor.load(trained.folder)
    table = predictor.predict(network_of(graph)).set_index("node")
    assert np.isfinite(probabilities(table.loc[["newcomer", "stranger"]])).all()
    # Nodes beyond the layers' reach are as before.
    reach = trained.model.description.architecture.num_layers
    far = sorted(set(graph) - set(nx.ego_graph(graph, "newcomer", radius=reach)))
    assert far
    before = predictor.predict(network_of(friends())).set_index("node")
    np.testing.assert_allclose(probabilities(table.loc[far]), probabilities(before.loc[far]), atol=1e-5)
    other = predictor.predict(network_of(friends(nodes=24, seed=5)))
    assert len(other) == 24
    assert np.isfinite(probabilities(other)).all()


def test_a_run_goes_on_after_a_stop_with_the_same_result(
    trained: TrainedNetworkModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(network_train, "plot_learning_curve", fail)
        with pytest.raises(OSError, match="no space"):
            train_on(labelled(friends()), tmp_path / "run")
    assert not (tmp_path / "run" / "model.json").exists()
    with pytest.raises(InputError, match="unfinished run with other settings"):
        train_on(labelled(friends()), tmp_path / "run", seed=2)
    with pytest.raises(InputError, match="unfinished run with other settings"):
        train_on(labelled(friends(seed=4)), tmp_path / "run")
    again = train_on(labelled(friends()), tmp_path / "run")
    assert again.model.description.weights_sha256 == trained.model.description.weights_sha256
    assert not (tmp_path / "run" / ".training").exists()


def test_classes_are_in_the_order_of_numbers_or_of_text() -> None:
    assert sorted_classes({"10", "9", "-1"}) == ["-1", "9", "10"]
    assert sorted_classes({"10", "9", "b"}) == ["10", "9", "b"]
    assert sorted_classes({"nan", "1"}) == ["1", "nan"]


def test_people_without_friends_are_predicted(trained: TrainedNetworkModel) -> None:
    strangers = nx.Graph()
    strangers.add_nodes_from([("a", {"age": 20, "town": "Ulm"}), ("b", {"age": 50, "town": None})])
    assert len(NodePredictor.load(trained.folder).predict(network_of(strangers))) == 2


def test_edge_features_are_what_the_edges_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the recipe has edge_features 1 and the edges have 0"):
        train_on(labelled(friends(weights=False)), tmp_path / "model", edge_features=1)
    assert not (tmp_path / "model").exists()


def test_a_handful_of_nodes_sharpens_no_probability(trained: TrainedNetworkModel) -> None:
    assert trained.model.description.temperature >= 1


@pytest.mark.parametrize("conv", ["gatv2", "gcn"])
def test_weights_are_seen_where_the_convolution_can_see_them(conv: str, tmp_path: Path) -> None:
    description = train_on(labelled(friends()), tmp_path / "model", conv=conv).model.description
    assert (description.mean_weight is not None) == (conv == "gatv2")


def test_many_features_are_sparse_from_end_to_end(tmp_path: Path) -> None:
    given = labelled(friends(weights=False))
    active = csr_matrix((np.random.default_rng(0).random((60, 700)) < 0.02).astype(np.float32))
    given = replace(given, network=replace(given.network, active=active))
    folder = train_on(given, tmp_path / "model").folder
    assert len(NodePredictor.load(folder).predict(given.network)) == 60
    narrow = replace(given.network, active=active[:, :600])
    with pytest.raises(InputError, match="the nodes have 600 features and the model was trained with 700"):
        NodePredictor.load(folder).predict(narrow)


def without(network: Network, **changes: Any) -> Network:
    return replace(network, **changes)


UNFIT: dict[str, tuple[Callable[[Network], Network], str]] = {
    "no weights": (lambda network: without(network, edge_weight=None), "the edges have no weights"),
    "no age": (lambda network: without(network, attributes=network.attributes[["town"]]), "have no attribute 'age'"),
    "directed": (lambda network: without(network, directed=True), "the graph is directed and the model was trained on"),
}


@pytest.mark.parametrize(("change", "reason"), UNFIT.values(), ids=UNFIT)
def test_a_graph_that_does_not_fit_is_refused(
    change: Callable[[Network], Network], reason: str, trained: TrainedNetworkModel
) -> None:
    with pytest.raises(InputError, match=reason):
        NodePredictor.load(trained.folder).predict(change(network_of(friends())))


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-7])


def edit(folder: Path) -> None:
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"temperature": ', '"temperature": 1'))


def flip_last_byte(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def signed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """An edit by somebody who knows how to sign it."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / "model.json").read_text())
        del content["content_sha256"]
        change(content)
        (folder / "model.json").write_text(json.dumps({**content, "content_sha256": content_hash(content)}))

    return damage


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was opened",)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated model.json": (cut("model.json"), "not a whole model description"),
    "edited model.json": (edit, "was changed after training"),
    "no model.json": (lambda folder: (folder / "model.json").unlink(), "it has no model.json"),
    "truncated weights": (cut("model.safetensors"), "are not those that model.json describes"),
    "edited weights": (flip_last_byte, "are not those that model.json describes"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "are missing"),
    "pickled weights": (pickled, "are not those that model.json describes"),
    "a newer format": (signed(lambda content: content.update(format_version=99)), "newer format"),
    "a narrower network": (signed(lambda content: content.update(in_channels=2)), "the rule gives 3 features"),
    "another network": (
        signed(lambda content: content["architecture"].update(hidden_channels=8)),
        "do not fit the architecture",
    ),
    "equal classes": (signed(lambda content: content.update(classes=["a", "a"])), "classes must differ"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_refused_in_one_sentence(
    damage: Callable[[Path], object], reason: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises(InputError, match=reason) as caught:
        load_node_model(folder)
    assert "\n" not in str(caught.value)


def test_each_kind_of_model_names_the_command_of_the_other(
    trained: TrainedNetworkModel, classification_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="a model of the nodes of a network: use 'gatlib network predict -m"):
        load_model(trained.folder)
    for molecules in (classification_folder, Path("tox21")):
        with pytest.raises(InputError, match="is a model of molecules: use 'gatlib predict -m"):
            load_node_model(molecules)
    with pytest.raises(InputError, match="name a folder written by 'gatlib network train'"):
        load_node_model(tmp_path / "none")


def test_names_that_are_no_utf_8_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    given = labelled(friends())
    given = replace(given, labels=["caf\udce9" if label == "dancers" else label for label in given.labels])
    with pytest.raises(InputError, match="bytes that are not UTF-8"):
        train_on(given, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_reading_networks_waits_for_no_heavy_import() -> None:
    code = "import sys, gatlib.network, gatlib.network.sources; print('torch' in sys.modules, 'rdkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
