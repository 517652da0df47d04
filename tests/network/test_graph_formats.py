"""GraphML, GEXF, GML, JSON node-link and networkx itself; what could harm a reader is refused."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import gatlib.data
from gatlib.errors import InputError
from gatlib.network import memory
from gatlib.network.formats import read_graph
from gatlib.network.network import Network


def write_node_link(graph: Any, path: Path) -> None:
    path.write_text(json.dumps(nx.node_link_data(graph, edges="links")), encoding="utf-8")


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "graphml": nx.write_graphml_xml,
    "xml": nx.write_graphml_xml,
    "gexf": nx.write_gexf,
    "gml": nx.write_gml,
    "json": write_node_link,
}


def karate() -> Any:
    graph = nx.relabel_nodes(nx.karate_club_graph(), lambda node: f"member {node}")
    for node in graph:
        graph.nodes[node]["age"] = 20 + len(node)
    return graph


def named_edges(network: Network) -> dict[tuple[str, str], float]:
    weight = np.ones(network.edge_index.shape[1]) if network.edge_weight is None else network.edge_weight
    ends = network.edge_index.T.tolist()
    return {(network.ids[a], network.ids[b]): float(w) for (a, b), w in zip(ends, weight, strict=True)}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_the_karate_club_is_read_back(suffix: str, packed: bool, tmp_path: Path) -> None:
    graph = karate()
    path = tmp_path / f"karate.{suffix}"
    WRITERS[suffix](graph, path)
    if packed:
        path = path.with_name(path.name + ".gz")
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    network, labels = read_graph(path, "club")
    expected, expected_labels = gatlib.data.from_networkx(graph, "club")
    assert network.ids == expected.ids == list(graph)
    assert labels == expected_labels == [graph.nodes[node]["club"] for node in graph]
    assert (network.num_nodes, network.edge_index.shape) == (34, (2, 156))
    assert named_edges(network) == named_edges(expected)
    assert network.edge_weight is not None
    assert network.attributes["age"].tolist() == [20 + len(node) for node in graph]
    assert "club" not in network.attributes


def test_attributes_keep_their_kind_and_weights_their_value() -> None:
    graph = nx.Graph()
    graph.add_node(1, tags=("b", "a"), age=np.float32(1.5), face={"x": 1}, ok=True)
    graph.add_node("two", tags={"c"}, y="")
    graph.add_node("three", y="yes")
    graph.add_edge(1, "two", weight=2)
    graph.add_edge("two", "three")
    graph.add_edge(1, 1)
    network, labels = gatlib.data.from_networkx(graph, "y")
    assert network.ids == ["1", "two", "three"]
    assert labels == [None, None, "yes"]
    assert network.attributes.to_dict("list") == {
        "tags": [["b", "a"], ["c"], None],
        "age": [1.5, None, None],
        "ok": [True, None, None],
    }
    assert named_edges(network) == {("1", "two"): 2, ("two", "1"): 2, ("two", "three"): 1, ("three", "two"): 1}
    assert network.notes == [
        "weight 1 for 2 edges without a weight",
        "node attribute 'face' left out: it is neither number, text nor list",
        "1 self-loop left out: attention adds one per node",
    ]


def test_directions_and_parallel_edges() -> None:
    graph = nx.MultiDiGraph([("a", "b"), ("a", "b"), ("b", "a"), ("b", "c")])
    network, labels = gatlib.data.from_networkx(graph)
    assert labels is None
    assert set(named_edges(network)) == {("a", "b"), ("b", "a"), ("b", "c")}
    assert network.notes == ["edges are directed", "1 repeated edge merged"]
    both, _ = gatlib.data.from_networkx(graph, directed=False)
    assert set(named_edges(both)) == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    one_way, _ = gatlib.data.from_networkx(nx.Graph([("a", "b")]), directed=True)
    assert set(named_edges(one_way)) == {("a", "b")}


@pytest.mark.parametrize(
    ("graph", "target", "reason"),
    [
        (nx.Graph([(1, "1")]), None, "node '1' is blank or stands twice when its name is taken as text"),
        (nx.empty_graph(1), None, "the graph has 1 node: it needs two or more"),
        (nx.empty_graph(0), None, "the graph has 0 nodes"),
        (nx.path_graph(3), "y", "the nodes have no attribute 'y'; their attributes are none"),
        (nx.Graph([("a", "b", {"weight": -1})]), None, "the edge from 'a' to 'b' has weight -1, which is not a finite"),
        (nx.Graph([("a", "b", {"weight": "x"})]), None, "has weight 'x'"),
        (nx.Graph([("a", "b", {"weight": float("nan")})]), None, "has weight nan"),
    ],
    ids=["same text", "one node", "no node", "no target", "negative", "text", "nan"],
)
def test_graphs_that_cannot_be_used_are_refused(graph: Any, target: str | None, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        gatlib.data.from_networkx(graph, target)


def test_a_target_without_labels_is_refused() -> None:
    graph = nx.path_graph(2)
    graph.nodes[0]["y"] = " "
    with pytest.raises(InputError, match="node attribute 'y' has no labels"):
        gatlib.data.from_networkx(graph, "y")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
GRAPHML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">'
    '<node id="a"/><node id="b"/>{}</graph></graphml>'
)


@pytest.mark.parametrize("suffix", ["graphml", "xml", "gexf"])
@pytest.mark.parametrize(
    "document_type",
    [
        f'<!DOCTYPE graphml [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE graphml [<!ENTITY secret SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE graphml SYSTEM "http://localhost/evil.dtd">',
        '<!DOCTYPE graphml [<!ENTITY % load SYSTEM "http://localhost/evil.dtd"> %load;]>',
    ],
    ids=["billion laughs", "external entity", "external type", "parameter entity"],
)
def test_entities_are_refused_before_anything_is_read(
    suffix: str, document_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        pytest.fail("networkx must not see it")

    monkeypatch.setattr(nx, "read_graphml", never)
    monkeypatch.setattr(nx, "read_gexf", never)
    path = tmp_path / f"g.{suffix}"
    path.write_text(f'<?xml version="1.0"?>\n{document_type}\n{GRAPHML.format("&l9;&secret;")}', encoding="utf-8")
    with pytest.raises(InputError, match="line 2 declares a document type or an entity, which is never read"):
        read_graph(path)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    for name in ("g.gpickle", "g.pkl", "g.pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(nx.path_graph(3)))
        with pytest.raises(InputError, match=r"cannot tell its format; name it \.graphml, \.xml, \.gexf"):
            read_graph(tmp_path / name)
    for suffix in WRITERS:
        (tmp_path / f"g.{suffix}").write_bytes(pickle.dumps(nx.path_graph(3)))
        with pytest.raises(InputError, match=rf"g\.{suffix} "):
            read_graph(tmp_path / f"g.{suffix}")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("g.graphml", GRAPHML.format('\n<edge source="a" target="q"/>'), "line 2: an edge names the node 'q', which"),
        ("g.graphml", GRAPHML.format("<edge"), "is not XML that can be read"),
        ("g.graphml", "", r"is not XML that can be read \(no element found"),
        ("g.graphml", "<html/>", r"g\.graphml cannot be read as graphml \("),
        ("g.gexf", "<html/>", r"g\.gexf cannot be read as gexf \("),
        ("g.gml", "graph [ node [ id 0 ]", r"g\.gml cannot be read as gml \("),
        ("g.gml", "hello", r"g\.gml cannot be read as gml \("),
        ("g.gml", 'graph [ node [ id 0 label "a" ] edge [ source 0 target 7 ] ]', r"cannot be read as gml \("),
        ("g.json", "{}", "is not a node-link graph: it needs lists 'nodes' and 'links'"),
        ("g.json", '{"nodes": []}', "is not a node-link graph: it has no list 'links' or 'edges'"),
        ("g.json", '{"nodes": [{"id": 1}, {"id": 1}], "links": []}', "two nodes have one 'id': rename one"),
        ("g.json", '{"nodes": [{"name": 1}], "links": []}', "node 1 has no 'id' that is text or a number"),
        ("g.json", '{"nodes": [{"id": [1]}], "links": []}', "node 1 has no 'id'"),
        (
            "g.json",
            '{"nodes": [{"id": 1}, {"id": 2}], "links": [{"source": 1, "target": 2}, {"source": 1, "target": 3}]}',
            "link 2 names the target 3, which is no node",
        ),
        ("g.json", '{"nodes": [{"id": 1}], "edges": [{"source": {}}]}', r"edge 1 names the source \{\}"),
        ("g.json", '{"nodes": [{"id": 1}], "edges": []}', r"g\.json: the graph has 1 node"),
        ("g.graphml", GRAPHML.format("").replace('<node id="b"/>', ""), r"g\.graphml: the graph has 1 node"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name: str, content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        read_graph(tmp_path / name)


def test_gml_without_names_with_repeated_edges_and_other_scripts(tmp_path: Path) -> None:
    path = tmp_path / "g.gml"
    path.write_text(
        'Creator "x [y]"\ngraph\n[\n node [ id 5 ]\n node [ id 7 ]\n edge [ source 5 target 7 ]\n'
        " edge [ source 5 target 7 ]\n]\n",
        encoding="utf-8",
    )
    network, _ = read_graph(path)
    assert (network.ids, network.notes) == (["5", "7"], ["1 repeated edge merged"])
    path.write_text('graph [ node [ id 0 label "Zoë" ] node [ id 1 label "李" ] ]', encoding="utf-8")
    assert read_graph(path)[0].ids == ["Zoë", "李"]


def test_a_missing_file_and_one_that_does_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_graph(tmp_path / "none.graphml")
    nx.write_gml(karate(), tmp_path / "g.gml")
    monkeypatch.setattr(memory, "free_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"g\.gml holds .* of text, which would take about"):
        read_graph(tmp_path / "g.gml")
