"""`gatlib network`: what it writes, and that bad input ends with one sentence, exit code 2 and no file."""

import gzip
import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gatlib.cli.main import app
from tests.cli.conftest import Run

# Two circles of four that know each other by one edge.
PAIRS = ["ab", "ac", "bc", "cd", "ad", "ef", "eg", "fg", "gh", "eh", "de"]
EDGES = "source,target\n" + "".join(f"{a},{b}\n" for a, b in PAIRS)
LABELS = "id,side,part\n" + "".join(
    f"{node},{'left' if node in 'abcd' else 'right'},{part}\n"
    for node, part in zip("abcdefgh", ["train", "train", "valid", "test"] * 2, strict=True)
)
SPLIT = "--split=part"


@pytest.fixture
def run(run_gatlib: Run) -> Run:
    """Run `gatlib network`."""
    return lambda *arguments: run_gatlib("network", *arguments)


@pytest.fixture(scope="module")
def network_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of edges, features, labels and graphs, good and bad, and a model of the good ones."""
    folder = tmp_path_factory.mktemp("network")
    graph = nx.Graph([(f"{a}", f"{b}") for a, b in PAIRS])
    for node in graph:
        graph.nodes[node].update(side="left" if node in "abcd" else "right", age=ord(node) % 7 + 0.5)
    nx.write_graphml(graph, folder / "friends.graphml")
    nx.write_gml(graph, folder / "friends.gml")
    nx.write_gexf(graph, folder / "friends.gexf")
    (folder / "friends.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    unknown = (folder / "friends.graphml").read_text().replace('source="a"', 'source="z"', 1)
    texts = {
        "edges.csv": EDGES,
        "loop.csv": "source,target\na,a\n",
        "one_column.csv": "source\na\n",
        "weight.csv": "source,target,weight\na,b,1\nb,c,-1\n",
        "empty.csv": "",
        "labels.csv": LABELS,
        "strangers.csv": "id,side\nx,left\ny,right\n",
        "one_class.csv": LABELS.replace("right", "left"),
        "lone.csv": LABELS.replace("h,right", "h,alone"),
        "twice.csv": LABELS + "a,right,train\n",
        "no_valid.csv": LABELS.replace("valid", "test"),
        "words.csv": LABELS.replace("valid", "validate"),
        "features.csv": "id,age,town\n" + "".join(f"{node},{ord(node) % 5 + 0.5},Bonn\n" for node in "abcdefgh"),
        "features.json": json.dumps({node: [number % 3, number % 2 + 5] for number, node in enumerate("abcdefgh")}),
        "unknown.graphml": unknown,
        "no_edges.gml": 'graph [ node [ id 0 label "a" ] node [ id 1 label "b" ] ]',
        "one_node.gml": 'graph [ node [ id 0 label "a" side "left" ] ]',
        "tiny.yaml": "hidden_channels: 8\nheads: 2\nmax_epochs: 3\n",
        "path.csv": "source,target\na,b\nb,c\nc,d\n",
        "all.csv": "source,target\n" + "".join(f"{a},{b}\n" for a in "abcdef" for b in "abcdef" if a < b),
        "pairs.csv": "from,to,note\na,h,far\nz,a,unknown\nb,b,self\na,,blank\na,b,known\na,h,again\n",
        "no_header.csv": "a,b\nc,h\n",
        "no_pairs.csv": "source,target\n",
        "typo.yaml": "learning_rat: 1\n",
        "roc.yaml": "metric: roc_auc\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "cut.csv.gz").write_bytes(gzip.compress(EDGES.encode())[:-9])
    (folder / "graph.pkl").write_bytes(pickle.dumps(Trap()))
    (folder / "graph.json").write_bytes(pickle.dumps(Trap()))
    (folder / "features.npz").write_bytes(pickle.dumps(Trap()))
    train = ["--edges", "edges.csv", "--features", "features.json", "--labels", "labels.csv", "--target", "side", SPLIT]
    arguments = [*train, "--recipe", "tiny.yaml", "-o", "model"]
    subprocess.run([sys.executable, "-m", "gatlib.cli.main", "network", "train", *arguments], cwd=folder, check=True)
    arguments = ["--task", "link", "--edges", "edges.csv", "--recipe", "tiny.yaml", "-o", "links"]
    subprocess.run([sys.executable, "-m", "gatlib.cli.main", "network", "train", *arguments], cwd=folder, check=True)
    for name in ("cut", "edited", "bare"):
        shutil.copytree(folder / "model", folder / name)
    (folder / "cut" / "model.json").write_text((folder / "model" / "model.json").read_text()[:-20])
    weights = bytearray((folder / "model" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "edited" / "model.safetensors").write_bytes(weights)
    (folder / "bare" / "model.json").unlink()
    return folder


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


TRAIN = ["train", "-o", "new", "--recipe", "{tiny.yaml}"]
TABLES = [*TRAIN, "--target", "side", "--labels", "{labels.csv}"]
GOOD = [*TRAIN, "--target", "side", "--edges", "{edges.csv}"]
GRAPH = [*TRAIN, "--target", "side", "--graph"]
PREDICT = ["predict", "-o", "out.csv", "-m", "{model}"]
LINK = [*TRAIN, "--task", "link"]
RANK = ["predict", "-o", "out.csv", "-m", "{links}", "--edges", "{edges.csv}"]
OF_MODEL = ["-m", "{model}", "--edges", "{edges.csv}", "--features", "{features.json}"]
EXPLAIN = ["explain", "-o", "why", *OF_MODEL]
BAD = {
    "train on nothing": (TRAIN, "give --edges with a list of edges, or --graph with a graph, or the name of an"),
    "train on two": ([*TRAIN, "karate", "--graph", "{friends.gml}"], "give --edges with a list of edges, or --graph"),
    "no such example": ([*TRAIN, "karat"], "no example network 'karat': name one of karate, davis, les-miserables"),
    "a set of molecules": ([*TRAIN, "tox21"], "tox21 is a set of molecules, not a network: use 'gatlib train tox21'"),
    "no such split": ([*TRAIN, "karate", "--split", "given"], "there is no split 'given'; splits that come with the"),
    "bad shares": ([*TRAIN, "karate", "--split", "random:60/40"], "'random:60/40': give the shares of train, valid"),
    "an example's target": ([*TRAIN, "karate", "--target", "x"], "the labels of karate are 'club'"),
    "an example's labels": ([*TRAIN, "karate", "--labels", "x.csv"], "--labels goes with --edges"),
    "a graph's features": ([*GRAPH, "{friends.gml}", "--features", "x.csv"], "--features goes with --edges"),
    "a graph and --directed": ([*GRAPH, "{friends.gml}", "--directed"], "--directed goes with --edges"),
    "no labels": (GOOD, "give the table of the labels with --labels"),
    "no target": ([*TRAIN, "--edges", "{edges.csv}", "--labels", "{labels.csv}"], "name its column to learn with"),
    "no target of a graph": ([*TRAIN, "--graph", "{friends.gml}"], "name the node attribute to learn with --target"),
    "a missing file": ([*TABLES, "--edges", "none.csv"], "there is no file none.csv"),
    "an empty file": ([*TABLES, "--edges", "{empty.csv}"], "empty.csv is empty"),
    "a broken gzip": ([*TABLES, "--edges", "{cut.csv.gz}"], "is not a whole gzip file"),
    "one column": ([*TABLES, "--edges", "{one_column.csv}"], "has one column: an edge needs two"),
    "a negative weight": ([*TABLES, "--edges", "{weight.csv}"], "weight.csv, data row 2: weight '-1' is not"),
    "a missing target": ([*TABLES, "--edges", "{edges.csv}", "--target", "x"], "has no column 'x'; its columns are"),
    "a missing id": ([*TABLES, "--edges", "{edges.csv}", "--id", "x"], "has no column 'x'; its columns are"),
    "a missing attribute": ([*TRAIN, "--graph", "{friends.gml}", "--target", "x"], "have no attribute 'x'; their"),
    "an unknown end": ([*GRAPH, "{unknown.graphml}"], "an edge names the node 'z', which the file does not have"),
    "labels of others": ([*GOOD, "--labels", "{strangers.csv}"], "no id in column 'id' (first 'x') is a node of the"),
    "contradicting labels": ([*GOOD, "--labels", "{twice.csv}"], "node 'a' has label 'left' in data row 1 and 'right'"),
    "one class": ([*GOOD, "--labels", "{one_class.csv}"], "the labels have fewer than two classes ('left')"),
    "a lone member": ([*GOOD, "--labels", "{lone.csv}"], "class 'alone' of 'side' has one node"),
    "an empty part": ([*GOOD, SPLIT, "--labels", "{no_valid.csv}"], "split column 'part' has no labelled valid nodes"),
    "an unknown part": ([*GOOD, SPLIT, "--labels", "{words.csv}"], "node 'c': 'validate' is not train, valid or test"),
    "no split column": ([*TABLES, "--edges", "{edges.csv}", "--split", "fold"], "has no column 'fold'"),
    "no split file": ([*TABLES, "--edges", "{edges.csv}", "--split", "f.csv"], "there is no file f.csv"),
    "one node": ([*TABLES, "--edges", "{loop.csv}", "--labels", "{loop_labels}"], "the graph has 1 node: it needs two"),
    "one node in a graph": ([*GRAPH, "{one_node.gml}"], "one_node.gml: the graph has 1 node: it needs two or more"),
    "a pickle": ([*GRAPH, "{graph.pkl}"], "graph.pkl: cannot tell its format"),
    "a pickle called json": ([*GRAPH, "{graph.json}"], "graph.json cannot be read as json"),
    "a pickle called npz": ([*TABLES, "--edges", "{edges.csv}", "--features", "{features.npz}"], "as npz"),
    "no epochs": ([*TRAIN, "karate", "--max-epochs", "0"], "key 'max_epochs': Input should be"),
    "a typo": (["train", "-o", "new", "karate", "--recipe", "{typo.yaml}"], "unknown key 'learning_rat'"),
    "roc_auc of five": (["train", "-o", "new", "les-miserables", "--recipe", "{roc.yaml}"], "is of two classes"),
    "into a file": (["train", "karate", "-o", "{edges.csv}"], "cannot write to the folder"),
    "into a model": (["train", "karate", "-o", "{model}"], "holds a trained model already"),
    "predict nothing": (PREDICT, "give --edges with a list of edges"),
    "no features": ([*PREDICT, "--edges", "{edges.csv}"], "the nodes have no features, and the model was trained with"),
    "other features": (
        [*PREDICT, "--edges", "{edges.csv}", "--features", "{features.csv}"],
        "the nodes have no features, and the model was trained with",
    ),
    "no such model": (["predict", "-m", "none", "karate"], "there is no model 'none': name a folder written by"),
    "a model of molecules": (["predict", "-m", "tox21", "karate"], "use 'gatlib predict -m tox21'"),
    "a truncated model": (["predict", "-m", "{cut}", "karate"], "truncated or edited"),
    "edited weights": (["predict", "-m", "{edited}", "karate"], "truncated or edited"),
    "a bare folder": (["predict", "-m", "{bare}", "karate"], "is not a model folder: it has no model.json"),
    "a target of edges": ([*LINK, "karate", "--target", "club"], "--target is about labels, and edges need none"),
    "labels of edges": ([*LINK, "--edges", "{edges.csv}", "--labels", "{labels.csv}"], "--labels is about labels"),
    "a split of edges": ([*LINK, "karate", SPLIT], "--split is about labels, and edges need none: leave it out"),
    "edges of nothing": (LINK, "give --edges with a list of edges, or --graph with a graph"),
    "edges of a graph and --directed": ([*LINK, "--graph", "{friends.gml}", "--directed"], "--directed goes with"),
    "few edges": ([*LINK, "--edges", "{path.csv}"], "the graph has 3 edges: 10 are needed to hold some out"),
    "loops alone": ([*LINK, "--edges", "{loop.csv}"], "the graph has 1 node: it needs two or more"),
    "a graph without edges": ([*LINK, "--graph", "{no_edges.gml}"], "the graph has no edges: there is nothing to"),
    "all edges": ([*LINK, "--edges", "{all.csv}"], "every pair of nodes has an edge: there is nothing to tell edges"),
    "a recipe of nodes": (["train", "--task", "link", "karate", "-o", "new", "--recipe", "{roc.yaml}"], "'metric'"),
    "edges into a model": (["train", "--task", "link", "karate", "-o", "{model}"], "holds a trained model already"),
    "top 0": ([*RANK, "--top", "0"], "must be 1 or more; found 0"),
    "top and pairs": ([*RANK, "--top", "5", "--pairs", "{pairs.csv}"], "give one of the two"),
    "top of nodes": ([*PREDICT, "karate", "--top", "5"], "--top and --pairs are for a model of edges"),
    "pairs of nodes": ([*PREDICT, "karate", "--pairs", "{pairs.csv}"], "--top and --pairs are for a model of edges"),
    "no pairs": ([*RANK, "--pairs", "{no_pairs.csv}"], "no_pairs.csv has no pairs"),
    "missing pairs": ([*RANK, "--pairs", "none.csv"], "there is no file none.csv"),
    "pairs of one column": ([*RANK, "--pairs", "{one_column.csv}"], "has one column: a pair needs two"),
    "pairs without names": ([*RANK, "--pairs", "{no_header.csv}"], "its first line (a, b) names nodes: put a first"),
    "nothing missing": ([*RANK[:-1], "{all.csv}"], "has an edge: none is missing"),
    "to a missing folder": (
        ["predict", "-m", "{model}", "--edges", "{edges.csv}", "--features", "{features.json}", "-o", "none/out.csv"],
        "cannot write",
    ),
    "explain a stranger": ([*EXPLAIN, "--node", "dd"], "no node 'dd' in the network: did you mean 'd'?"),
    "explain two nodes": ([*EXPLAIN, "--node", "a", "--node", "a"], "--node is given 2 times: explain one node at"),
    "explain nothing": (["explain", "-m", "{model}", "--node", "a"], "give --edges with a list of edges"),
    "explain by no model": (["explain", "-m", "none", "karate", "--node", "8"], "there is no model 'none'"),
    "explain molecules": (["explain", "-m", "tox21", "karate", "--node", "8"], "use 'gatlib predict -m tox21'"),
    "explain without features": (
        ["explain", "-m", "{model}", "--edges", "{edges.csv}", "--node", "a"],
        "the nodes have no features, and the model was trained with",
    ),
    "explain into a file": ([*EXPLAIN, "--node", "a", "-o", "{edges.csv}"], "cannot write to the folder"),
    "explain into a file's folder": (
        ["explain", "-o", "/dev/null/why", *OF_MODEL, "--node", "a"],
        "cannot write to the folder /dev/null/why: Not a directory",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "reason"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(
    arguments: list[str], reason: str, run: Run, network_files: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop_labels.csv").write_text("id,side\na,left\n")
    places = {path.name: path for path in network_files.iterdir()} | {"loop_labels": tmp_path / "loop_labels.csv"}
    filled = [re.sub(r"\{(.+)\}", lambda name: str(places[name[1]]), argument) for argument in arguments]
    before = {path: path.stat().st_mtime_ns for path in network_files.rglob("*")}
    code, out, err = run(*filled)
    lines = [line for line in err.splitlines() if line.strip()]
    assert (code, len(lines)) == (2, 1), err
    assert lines[0].startswith("Error: ")
    assert reason in lines[0]
    assert "Traceback" not in out + err
    assert list(Path.cwd().iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in network_files.rglob("*")} == before


@pytest.mark.parametrize("arguments", [[], ["train"], ["predict"], ["explain"], ["train", "--wrong"]], ids=str)
def test_a_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["network", *arguments])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_the_karate_club_is_learned_and_predicted(run: Run) -> None:
    code, out, _ = run("train", "karate", "-o", "club", "--max-epochs", "60")
    assert code == 0
    assert "note: nodes have no features: their degrees, random walks and ranks are used" in out
    assert "club of karate, random split" in out
    assert "34 nodes, 78 edges; labelled: 20 train, 8 valid, 6 test" in out
    assert re.search(r"test +6 +[01]\.\d{3}", out)  # the accuracy on test
    metrics = pd.read_csv("club/metrics.csv").set_index("split")
    assert metrics.loc["valid", "accuracy"] >= 0.75
    code, out, _ = run("predict", "-m", "club", "karate", "-o", "out.csv")
    assert code == 0
    assert "34 nodes written to out.csv" in out
    table = pd.read_csv("out.csv", dtype={"node": str})
    assert list(table.columns) == ["node", "club_pred", "p_Mr. Hi", "p_Officer"]
    stored = pd.read_csv("club/test_predictions.csv", dtype={"node": str})
    again = table.set_index("node").loc[stored["node"]].reset_index()
    pd.testing.assert_frame_equal(stored.drop(columns="club"), again, rtol=1e-5, atol=1e-5)
    code, out, _ = run("predict", "-m", "club", "karate", "-o", "-")
    assert (code, out) == (0, Path("out.csv").read_text())
    code, out, _ = run("predict", "-m", "club", "les-miserables")  # a wholly new graph
    assert (code, "77 nodes; -o FILE writes them all" in out) == (0, True)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["club", "out.csv"]


def test_a_node_is_explained(run: Run, network_files: Path) -> None:
    tables = ["--edges", network_files / "edges.csv", "--features", network_files / "features.json"]
    code, out, err = run("explain", "-m", network_files / "model", *tables, "--node", " d ", "-o", "new/why[1]")
    assert code == 0, err
    assert re.search(r"^d: side (left|right), probability [01]\.\d\d$", out, re.MULTILINE)
    assert re.search(r"^ +neighbour +hops +importance +p without it +attention +predicted", out, re.MULTILINE)
    assert re.search(r"^ +[ace] +1 +[+-]0\.\d{4} +0\.\d{3} +0\.\d{3} +(left|right) [01]\.\d\d", out, re.MULTILINE)
    assert re.search(r"^ +feature \d +[+-]\d\.\d{4} +[+-]\d\.\d{4} +[+-]\d\.\d{4}", out, re.MULTILINE)
    assert "neighbourhood.html in new/why[1]" in out
    content = json.loads(Path("new/why[1]/explanation.json").read_text())
    assert (content["node"], content["num_direct"]) == ("d", 3)
    assert sorted(pd.read_csv("new/why[1]/neighbours.csv")["node"]) == list("abcefgh")
    assert len(list(Path("new/why[1]").iterdir())) == 5
    code, out, _ = run("explain", "-m", network_files / "model", *tables, "--node", "d")
    assert (code, "-o DIR writes all of it" in out, [path.name for path in Path.cwd().iterdir()]) == (0, True, ["new"])


def test_a_member_of_another_network_and_one_without_friends_are_explained(
    run: Run, network_files: Path, tmp_path: Path
) -> None:
    features = {"hermit": [0, 5], "x": [1], "y": []}
    (tmp_path / "more.json").write_text(json.dumps(features))
    (tmp_path / "more.csv").write_text("source,target\nx,y\n")
    more = ["--edges", tmp_path / "more.csv", "--features", tmp_path / "more.json"]
    code, out, _ = run("explain", "-m", network_files / "model", *more, "--node", "x")
    assert (code, "\n  y " in out) == (0, True)
    code, out, _ = run("explain", "-m", network_files / "model", *more, "--node", "hermit", "-o", "why")
    assert (code, "note: the node has no neighbours" in out, "hops" in out) == (0, True, False)
    assert len(list(Path("why").iterdir())) == 5


def test_examples_tell_the_labels_that_they_know(run: Run) -> None:
    assert run("train", "karate", "-o", "club", "--max-epochs", "3")[0] == 0
    code, out, _ = run("explain", "-m", "club", "karate", "--node", "0", "-o", "why")
    assert (code, "(known: Mr. Hi)" in out) == (0, True)
    assert set(pd.read_csv("why/neighbours.csv")["known"]) == {"Mr. Hi", "Officer"}


@pytest.mark.parametrize("name", ["davis", "les-miserables"])
def test_the_other_examples_are_learned(name: str, run: Run) -> None:
    code, out, _ = run("train", name, "-o", "model", "--max-epochs", "5")
    assert (code, "model in model" in out) == (0, True)


def test_the_edges_of_les_miserables_are_learned_and_ranked(run: Run) -> None:
    code, out, _ = run("train", "les-miserables", "--task", "link", "-o", "links", "--max-epochs", "8")
    assert code == 0
    assert "labels" not in out
    assert "edges of les-miserables, held out at random" in out
    assert "77 nodes; edges: 216 train, 13 valid, 25 test" in out
    assert re.search(r"test +network +25 +[01]\.\d{3}", out)  # the ROC-AUC on test
    assert re.search(r"test +Adamic-Adar +25 +[01]\.\d{3}", out)
    code, out, _ = run("predict", "-m", "links", "les-miserables", "--top", "7", "-o", "out.csv")
    assert (code, "7 missing edges written to out.csv" in out) == (0, True)
    table = pd.read_csv("out.csv")
    assert list(table.columns) == ["source", "target", "score"]
    assert list(table["score"]) == sorted(table["score"], reverse=True)
    known = nx.les_miserables_graph()
    assert not [pair for pair in zip(table["source"], table["target"], strict=True) if known.has_edge(*pair)]
    code, out, _ = run("predict", "-m", "links", "les-miserables", "--top", "7", "-o", "-")
    assert (code, out) == (0, Path("out.csv").read_text())
    code, out, _ = run("predict", "-m", "links", "les-miserables")
    assert (code, "1,000 missing edges; -o FILE writes them all" in out) == (0, True)


def test_every_pair_has_its_row(run: Run, network_files: Path) -> None:
    known = ["-m", network_files / "links", "--edges", network_files / "edges.csv"]
    code, out, err = run("predict", *known, "--pairs", network_files / "pairs.csv", "-o", "out.csv")
    assert code == 0, err
    assert "6 pairs written to out.csv" in out
    table = pd.read_csv("out.csv", keep_default_na=False)
    assert list(table.columns) == ["source", "target", "score", "error"]
    assert list(table["source"] + table["target"]) == ["ah", "za", "bb", "a", "ab", "ah"]
    unknown = "there is no node '{}' in the graph"
    assert list(table["error"]) == ["", unknown.format("z"), "a node and itself", unknown.format(""), "", ""]
    assert [score != "" for score in table["score"]] == [True, False, False, False, True, True]


@pytest.mark.parametrize("directed", [False, True])
def test_edges_of_a_graph_lead_as_it_says(directed: bool, run: Run, tmp_path: Path) -> None:
    graph = nx.gnm_random_graph(12, 40, seed=0, directed=directed)
    nx.write_graphml(graph, tmp_path / "graph.graphml")
    arguments = ["--task", "link", "--graph", tmp_path / "graph.graphml", "--max-epochs", "2", "-o", "new"]
    assert run("train", *arguments)[0] == 0
    description = json.loads(Path("new/model.json").read_text())
    assert (description["directed"], description["training"]["edges"]["test"]) == (directed, 4)


@pytest.mark.parametrize("suffix", ["graphml", "gml", "gexf", "json"])
def test_a_graph_is_learned_and_predicted_in_each_format(
    suffix: str, run: Run, network_files: Path, tmp_path: Path
) -> None:
    graph = network_files / f"friends.{suffix}"
    split = tmp_path / "split.csv"
    rows = [line.split(",") for line in LABELS.split()[1:]]
    split.write_text("node,split\n" + "".join(f"{node},{part}\n" for node, _, part in rows))
    arguments = ["--graph", graph, "--target", "side", "--split", split, "--recipe", network_files / "tiny.yaml"]
    code, out, err = run("train", *arguments, "-o", "new[1]")
    assert code == 0, err
    assert f"side of friends.{suffix}" in out
    assert "model in new[1]" in out
    assert run("predict", "-m", "new[1]", "--graph", graph, "-o", "out.csv")[0] == 0
    assert list(pd.read_csv("out.csv")["node"]) == list("abcdefgh")


def test_tables_are_learned_and_new_nodes_predicted(run: Run, network_files: Path, tmp_path: Path) -> None:
    assert json.loads((network_files / "model" / "model.json").read_text())["training"]["split"] == "part"
    (tmp_path / "more.csv").write_text(EDGES + "a,newcomer\nnewcomer,another\n")
    features = json.loads((network_files / "features.json").read_text()) | {"newcomer": [0, 6], "another": []}
    (tmp_path / "more.json").write_text(json.dumps(features))
    more = ["--edges", tmp_path / "more.csv", "--features", tmp_path / "more.json"]
    code, out, _ = run("predict", "-m", network_files / "model", *more, "-o", "out.csv")
    assert (code, "10 nodes written to out.csv" in out) == (0, True)
    table = pd.read_csv("out.csv")
    assert list(table["node"]) == [*"abcdefgh", "newcomer", "another"]
    assert table[["p_left", "p_right"]].sum(axis=1).sub(1).abs().max() < 1e-5


def test_labels_that_are_known_are_seen(run: Run, network_files: Path, tmp_path: Path) -> None:
    (tmp_path / "reuse.yaml").write_text(
        "hidden_channels: 8\nheads: 2\nmax_epochs: 3\nlabel_reuse: 0.5\nlabel_steps: 2\n"
    )
    edges = ["--edges", network_files / "edges.csv"]
    learned = [*edges, "--labels", network_files / "labels.csv", "--target", "side", "--split", "part"]
    assert run("train", *learned, "--recipe", tmp_path / "reuse.yaml", "-o", "model")[0] == 0
    assert "known side = left" in Path("model/README.md").read_text()

    def probabilities(*labels: object) -> tuple[np.ndarray, str]:
        code, out, err = run("predict", "-m", "model", *edges, *labels, "-o", "out.csv")
        assert (code, err) == (0, "")
        return pd.read_csv("out.csv")["p_left"].to_numpy(), out

    (tmp_path / "known.csv").write_text("id,side\na,left\nh,right\n")
    without, said = probabilities()
    assert "note: the model was made to see the side of labelled nodes and is given none: see --labels" in said
    known, said = probabilities("--labels", tmp_path / "known.csv")
    assert "note" not in said
    assert (known != without).any()
    seen = ["--labels", tmp_path / "known.csv", "--node", "b", "-o", "why"]
    assert run("explain", "-m", "model", *edges, *seen)[0] == 0
    attributes = pd.read_csv("why/attributes.csv").set_index(["attribute", "value"])
    assert attributes.loc[("known side", "left"), "neighbourhood"] != 0
    assert attributes.loc[("known side 2 steps away", "left"), "own"] != 0
    for labels, reason in [
        ("id,side\na,left\nz,right\n", "node 'z' is not in the network: leave its row out"),
        ("id,side\na,middle\n", "node 'a' has the label 'middle', which is none of the 2 classes of 'side'"),
    ]:
        (tmp_path / "wrong.csv").write_text(labels)
        code, _, err = run("predict", "-m", "model", *edges, "--labels", tmp_path / "wrong.csv")
        assert (code, reason in " ".join(err.split())) == (2, True)
    for command in (["predict"], ["explain", "--node", "a"]):
        more = ["--features", network_files / "features.json", "--labels", tmp_path / "known.csv"]
        code, _, err = run(*command, "-m", network_files / "model", *edges, *more)
        assert (code, "this model sees no labels" in err) == (2, True)


def test_features_of_other_names_are_refused(run: Run, network_files: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({node: ["x", "y"] for node in "abcdefgh"}))
    arguments = ["--edges", network_files / "edges.csv", "--features", tmp_path / "other.json"]
    code, _, err = run("predict", "-m", network_files / "model", *arguments, "-o", "out.csv")
    assert code == 2
    assert "none of the 2 features (first 'x') is one of the" in err
    assert not Path("out.csv").exists()


def test_the_direction_of_edges_is_kept_when_asked_for(run: Run, network_files: Path) -> None:
    tables = ["--edges", network_files / "edges.csv", "--labels", network_files / "labels.csv", "--target", "side"]
    arguments = [*tables, SPLIT, "--recipe", network_files / "tiny.yaml", "--directed", "-o", "new"]
    assert run("train", *arguments)[0] == 0
    assert json.loads(Path("new/model.json").read_text())["directed"] is True
    assert run("predict", "-m", "new", "--edges", network_files / "edges.csv")[0] == 0
    code, _, err = run("predict", "-m", "new", "karate")
    assert (code, "the graph is undirected and the model was trained on one that is directed" in err) == (2, True)


@pytest.mark.parametrize("arguments", [[], ["train"], ["predict"], ["explain"]], ids=str)
def test_help_is_there_and_waits_for_no_heavy_import(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from gatlib.cli.main import app\n"
        f"assert CliRunner().invoke(app, ['network', *{arguments}, '--help']).exit_code == 0\n"
        "assert not {'torch', 'pandas', 'numpy', 'networkx', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("id_column", [["--id", "new_id"], []], ids=["named", "found"])
def test_a_real_network_is_learned(id_column: list[str], run: Run) -> None:
    folder = Path(os.environ.get("GATLIB_DATA_DIR", "none")) / "social" / "twitch_PTBR"
    if not folder.is_dir():
        pytest.skip("needs the real data sets: set GATLIB_DATA_DIR to a folder with social/")
    files = ["--edges", folder / "edges.csv.gz", "--features", folder / "features.json.gz"]
    labels = ["--labels", folder / "target.csv.gz", "--target", "mature", *id_column]
    code, out, _ = run("train", *files, *labels, "--max-epochs", 3, "-o", "model")
    assert code == 0
    assert "1,912 nodes, 31,299 edges; labelled: 1,148 train, 382 valid, 382 test" in out
    assert ("target.csv.gz is joined on 'new_id'" in out) == (not id_column)
    assert run("predict", "-m", "model", *files, "-o", "out.csv")[0] == 0
    assert list(pd.read_csv("out.csv").columns) == ["node", "mature_pred", "p_False", "p_True"]


def test_a_data_set_is_learned_and_another_one_predicted(run: Run, data_dir: Path, tmp_path: Path) -> None:
    if not (data_dir / "social" / "twitch_PTBR").is_dir():
        pytest.skip("needs the real data sets: set GATLIB_DATA_DIR to a folder with social/")
    code, out, _ = run("train", "twitch_ptbr", "--max-epochs", 3, "-o", "model")
    assert code == 0
    assert "mature of twitch_ptbr, random split" in out
    # The split is the seed's, on every machine.
    split = hashlib.sha256(Path("model/split.csv").read_bytes()).hexdigest()
    assert split.startswith("0f637eaf64620330")
    assert run("predict", "-m", "model", "twitch_ru", "-o", "out.csv")[0] == 0
    assert len(pd.read_csv("out.csv")) == 4385
    (tmp_path / "recipe.yaml").write_text("dataset: twitch_ptbr\nmax_epochs: 2\nsplit: random:80/10/10\n")
    code, out, _ = run("train", "--recipe", tmp_path / "recipe.yaml", "-o", "other")
    assert code == 0
    assert "mature of twitch_ptbr, random:80/10/10 split" in out
