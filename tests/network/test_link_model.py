"""A model of edges: it comes back as it was written, ranks what is missing and nothing else, and scores any pair."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from networks_of_friends import friends, labelled, train_on

from gatlib.errors import InputError
from gatlib.model_files import content_hash, model_kind
from gatlib.network import LinkPredictor, link_predict
from gatlib.network.formats import from_networkx
from gatlib.network.link_heuristics import link_heuristics
from gatlib.network.link_model import load_link_model
from gatlib.network.link_split import split_links, with_edges
from gatlib.network.network import Network
from gatlib.network.node_model import load_node_model
from gatlib.training import link_train
from gatlib.training.link_train import TrainedLinkModel, link_recipe, train_link_model

TINY: dict[str, object] = {"max_epochs": 4, "hidden_channels": 16, "heads": 2, "seed": 1}


def train(network: Network, folder: Path, **changes: object) -> TrainedLinkModel:
    return train_link_model(network, link_recipe(None, {**TINY, **changes}), folder, "friendships", "friends")


def network_of(graph: nx.Graph) -> Network:
    return from_networkx(graph)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedLinkModel:
    return train(network_of(friends()), tmp_path_factory.mktemp("links") / "model")


@pytest.fixture(scope="module")
def follows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, LinkPredictor]:
    """A directed network without attributes or weights, and what ranks its edges."""
    network = network_of(nx.gnp_random_graph(25, 0.2, seed=0, directed=True))
    return network, LinkPredictor.load(train(network, tmp_path_factory.mktemp("links") / "follows").folder)


def test_the_folder_has_all_that_was_promised(trained: TrainedLinkModel) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        "README.md",
        "learning_curve.png",
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "split.csv",
        "test_predictions.csv",
        "training_log.csv",
    }
    network, split = network_of(friends()), pd.read_csv(trained.folder / "split.csv")
    counts = split.groupby(["split", "edge"]).size()
    edges = trained.model.description.training.edges
    assert {part: counts[part, 1] for part in edges} == edges
    assert sum(edges.values()) == network.edge_index.shape[1] // 2
    assert (counts["valid", 0], counts["test", 0]) == (edges["valid"], edges["test"])
    assert "| test | Adamic-Adar |" in (trained.folder / "README.md").read_text(encoding="utf-8")


def test_metrics_stand_beside_those_of_the_heuristics_on_the_same_pairs(trained: TrainedLinkModel) -> None:
    metrics = pd.read_csv(trained.folder / "metrics.csv").set_index(["split", "scores of"])
    network = network_of(friends())
    split = split_links(network, 1)
    known = with_edges(network, split.train, split.valid)
    here, there = (link_heuristics(known, pairs)["Adamic-Adar"] for pairs in (split.test, split.test_missing))
    won = np.mean(here[:, None] > there) + np.mean(here[:, None] == there) / 2
    assert metrics.loc[("test", "Adamic-Adar"), "roc_auc"] == pytest.approx(won)
    stored = pd.read_csv(trained.folder / "test_predictions.csv")
    here, there = (stored["score"][stored["edge"] == edge].to_numpy() for edge in (1, 0))
    won = np.mean(here[:, None] > there) + np.mean(here[:, None] == there) / 2
    one_pair = 1 / (len(here) * len(there))  # of scores that differ in more than the six digits of the file
    assert metrics.loc[("test", "network"), "roc_auc"] == pytest.approx(won, abs=1.01 * one_pair)
    assert metrics["edges"].tolist() == [split.valid.shape[1]] * 5 + [split.test.shape[1]] * 5


def test_the_test_was_scored_from_the_edges_of_train_and_valid(trained: TrainedLinkModel) -> None:
    network = network_of(friends())
    split = split_links(network, 1)
    stored = pd.read_csv(trained.folder / "test_predictions.csv")
    pairs = list(zip(stored["source"], stored["target"], strict=True))
    predictor = LinkPredictor.load(trained.folder)
    again = predictor.score(with_edges(network, split.train, split.valid), pairs)
    np.testing.assert_allclose(again["score"], stored["score"], atol=1e-4)
    assert not np.allclose(predictor.score(network, pairs)["score"], stored["score"], atol=1e-4)


def test_a_model_comes_back_as_it_was(trained: TrainedLinkModel) -> None:
    loaded = load_link_model(trained.folder)
    assert loaded.description == trained.model.description
    ours, theirs = trained.model.network.state_dict(), loaded.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not loaded.network.training


@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize("top", [1, 20, 10_000])
def test_the_ranking_is_that_of_all_missing_pairs(
    top: int, block: int, trained: TrainedLinkModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_predict, "_BLOCK", block)
    network, predictor = network_of(friends(20)), LinkPredictor.load(trained.folder)
    missing = [(network.ids[a], network.ids[b]) for a, b in nx.non_edges(graph_of(network))]
    expected = predictor.score(network, missing).sort_values("score", ascending=False)
    ranked = predictor.rank(network, top)
    assert len(ranked) == min(top, len(missing))
    np.testing.assert_allclose(ranked["score"], expected["score"][: len(ranked)], atol=1e-5)
    found = {frozenset(pair) for pair in zip(ranked["source"], ranked["target"], strict=True)}
    assert len(found) == len(ranked)
    assert found <= set(map(frozenset, missing))


def graph_of(network: Network) -> nx.Graph:
    graph = nx.DiGraph() if network.directed else nx.Graph()
    graph.add_nodes_from(range(network.num_nodes))
    graph.add_edges_from(network.edge_index.T.tolist())
    return graph


def test_edges_that_lead_one_way_may_be_missing_the_other_way(follows: tuple[Network, LinkPredictor]) -> None:
    network, predictor = follows
    ranked = predictor.rank(network, 1000)
    found = set(zip(ranked["source"], ranked["target"], strict=True))
    assert found == {(str(a), str(b)) for a, b in nx.non_edges(graph_of(network))}
    pairs = [(a, b) for a, b in found if (b, a) in found][:10]
    there, back = predictor.score(network, pairs), predictor.score(network, [(b, a) for a, b in pairs])
    assert not np.allclose(there["score"], back["score"], atol=1e-6)


def test_equal_scores_are_ranked_by_number(
    follows: tuple[Network, LinkPredictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_predict, "_BLOCK", 50)
    network, predictor = follows
    monkeypatch.setattr(predictor, "_scores", lambda z, pairs: np.ones(pairs.shape[1]))
    ranked = predictor.rank(network, 8)
    first = [pair for pair in sorted(nx.non_edges(graph_of(network))) if pair[0] != pair[1]][:8]
    assert list(zip(ranked["source"], ranked["target"], strict=True)) == [(str(a), str(b)) for a, b in first]


def test_every_pair_asked_for_has_a_row(trained: TrainedLinkModel) -> None:
    pairs = [("person 1", "person 2"), ("nobody", "person 1"), ("person 3", "person 3"), ("", "person 1")]
    pairs += [("person 2", "person 1"), ("person 1", "person 2")]
    table = LinkPredictor.load(trained.folder).score(network_of(friends()), pairs)
    assert list(table.columns) == ["source", "target", "score", "error"]
    assert list(zip(table["source"], table["target"], strict=True)) == pairs
    reasons = ["", "there is no node 'nobody' in the graph", "a node and itself", "there is no node '' in the graph"]
    assert table["error"].tolist() == [*reasons, "", ""]
    assert table["score"].isna().tolist() == [False, True, True, True, False, False]
    np.testing.assert_allclose(table["score"][[0, 0]], table["score"][[4, 5]], atol=1e-5)


def test_new_nodes_and_another_graph_are_scored(trained: TrainedLinkModel) -> None:
    graph = friends(nodes=24, seed=5)
    graph.add_node("stranger")
    predictor = LinkPredictor.load(trained.folder)
    assert np.isfinite(predictor.rank(network_of(graph), 500)["score"]).all()
    assert np.isfinite(predictor.score(network_of(graph), [("stranger", "person 1")])["score"]).all()


def test_what_cannot_be_ranked_is_refused(trained: TrainedLinkModel, monkeypatch: pytest.MonkeyPatch) -> None:
    network, predictor = network_of(friends()), LinkPredictor.load(trained.folder)
    with pytest.raises(InputError, match="must be 1 or more; found 0"):
        predictor.rank(network, 0)
    with pytest.raises(InputError, match="every pair of nodes has an edge: none is missing"):
        predictor.rank(network_of(nx.complete_graph(4)))
    with pytest.raises(InputError, match="the graph is directed and the model was trained on one that is undirected"):
        predictor.rank(replace(network, directed=True))
    with pytest.raises(InputError, match="the edges have no weights"):
        predictor.score(replace(network, edge_weight=None), [("person 1", "person 2")])
    monkeypatch.setattr(link_predict, "MAX_PAIRS", 1000)
    with pytest.raises(InputError, match="has 1,770 pairs of nodes and at most 1,000 are ranked: name those to score"):
        predictor.rank(network)


def test_a_run_goes_on_after_a_stop_and_is_not_mixed_with_another(
    trained: TrainedLinkModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    network = network_of(friends())
    with monkeypatch.context() as patch:
        patch.setattr(link_train, "plot_learning_curve", fail)
        with pytest.raises(OSError, match="no space"):
            train(network, tmp_path / "run")
    for other, changes in ((network, {"seed": 2}), (network_of(friends(seed=4)), {})):
        with pytest.raises(InputError, match="unfinished run with other settings"):
            train(other, tmp_path / "run", **changes)
    with pytest.raises(InputError, match="unfinished run with other settings"):
        train_on(labelled(friends()), tmp_path / "run")
    again = train(network, tmp_path / "run")
    assert again.model.description.weights_sha256 == trained.model.description.weights_sha256
    assert not (tmp_path / "run" / ".training").exists()


def signed(content: dict[str, object], folder: Path) -> None:
    del content["content_sha256"]
    (folder / "model.json").write_text(json.dumps({**content, "content_sha256": content_hash(content)}))


def narrow(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    content["architecture"]["hidden_channels"] = 8
    signed(content, folder)


def rename(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    content["edges"] = 1
    signed(content, folder)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited": (
        lambda folder: (folder / "model.json").write_text((folder / "model.json").read_text().replace("friend", "foe")),
        "was changed after training",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "are missing"),
    "another network": (narrow, "do not fit the architecture"),
    "an unknown key": (rename, "unknown key 'edges'"),
    "no model.json": (lambda folder: (folder / "model.json").unlink(), "it has no model.json"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_refused_in_one_sentence(
    damage: Callable[[Path], object], reason: str, trained: TrainedLinkModel, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained.folder, tmp_path / "model"))
    damage(folder)
    with pytest.raises(InputError, match=reason) as caught:
        load_link_model(folder)
    assert "\n" not in str(caught.value)


def test_a_model_of_edges_is_none_of_nodes(trained: TrainedLinkModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a model of the edges of a network: use 'gatlib network predict -m"):
        load_node_model(trained.folder)
    nodes = train_on(labelled(friends()), tmp_path / "nodes").folder
    with pytest.raises(InputError, match="is a model of the nodes of a network: use 'gatlib network predict -m"):
        load_link_model(nodes)
    assert [model_kind(folder) for folder in (trained.folder, nodes, tmp_path)] == ["links", "nodes", None]


def test_weights_of_edges_are_those_of_the_training_edges(trained: TrainedLinkModel) -> None:
    network = network_of(friends())
    known = with_edges(network, split_links(network, 1).train)
    assert known.edge_weight is not None
    assert trained.model.description.mean_weight == pytest.approx(float(known.edge_weight.mean()))
