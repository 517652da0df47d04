"""Pictures and pages of neighbourhoods: what they show, what they leave out, and that no text does harm."""

import html.parser
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from gatlib.errors import InputError
from gatlib.network.explain import NodeExplanation
from gatlib.network.explain.drawing import draw_neighbourhood
from gatlib.network.explain.explanation import AttributeImportance, LayerAttention, Neighbour
from gatlib.network.explain.neighbourhood import MOST_NODES, captions, colour_of, neighbourhood, short, sizes
from gatlib.network.explain.page import neighbourhood_page
from gatlib.network.explain.write import FILES, write_explanation
from gatlib.network.formats import from_networkx
from gatlib.network.network import Network

EVIL = "</script><script>alert(1)"
HOSTILE = [
    '"><img src=x onerror=alert(2)>', "<!--", "$\\frac{1", "{{data}} {{script}} {{hash}}", "&amp;\u2028x",
    "line\nbreak", "caf\udce9", "日本語 😀", "__proto__",
]  # fmt: skip


def explained(graph: nx.Graph, node: str, layers: int = 2) -> tuple[NodeExplanation, Network]:
    """A made-up explanation: the lower the number of a node, the more it matters; every third speaks against."""
    hops = nx.single_source_shortest_path_length(graph.reverse() if graph.is_directed() else graph, node, cutoff=layers)
    network = from_networkx(graph)[0]
    neighbours = [
        Neighbour(
            node=name,
            hops=hops[name],
            importance=(-1 if place % 3 == 2 else 1) / (1 + place),
            probability_without=0.5,
            weight=None,
            attention=[LayerAttention(mean=1 / (layer + place), heads=[0.25, 0.5]) for layer in range(1, layers + 1)]
            if hops[name] == 1
            else [],
            prediction=("blue", "red")[place % 2],
            probability=0.75,
            known="red" if place == 0 else None,
        )
        for place, name in enumerate(name for name in network.ids if hops.get(name))
    ]
    explanation = NodeExplanation(
        model="model",
        target="colour",
        node=node,
        known="red",
        prediction="blue",
        probabilities={"blue": 0.8, "red": 0.2},
        neighbours=neighbours,
        num_direct=sum(each.hops == 1 for each in neighbours),
        num_within_reach=len(neighbours),
        self_attention=[LayerAttention(mean=0.5, heads=[0.5, 0.5])] * layers,
        attributes=[AttributeImportance(attribute="<b>job</b>", value="<i>", own=0.5, neighbourhood=-0.25)],
        probability_without_attributes=0.5,
        completeness_gap=0.0,
        notes=[],
    )
    return explanation, network


def hostile() -> tuple[NodeExplanation, Network]:
    graph = nx.Graph([(EVIL, name) for name in HOSTILE])
    for name in graph:
        graph.nodes[name].update({"<script>": "</script>&", "job": ["<b>", "teacher"], "colour": "red"})
    explanation, network = explained(graph, EVIL)
    classes = {EVIL: 0.8, "$red$": 0.2}
    changed = [each.model_copy(update={"prediction": EVIL, "known": "$red$"}) for each in explanation.neighbours]
    update = {"prediction": EVIL, "probabilities": classes, "neighbours": changed, "target": "<target>"}
    return explanation.model_copy(update=update), network


class Elements(html.parser.HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag == "script"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts.append(data)
            self.inside = False


def content_of(page: str) -> dict:
    return json.loads(Elements(page).scripts[0])


def test_the_most_important_are_shown_with_a_path_to_the_node() -> None:
    graph = nx.Graph([("me", f"friend {number}") for number in range(50)])
    graph = nx.relabel_nodes(graph, {"friend 49": "a bridge"})
    graph.add_edges_from([("a bridge", f"far {number}") for number in range(30)])
    explanation, network = explained(graph, "me")
    # The farther ones matter most, and the bridge to them least.
    order = sorted(explanation.neighbours, key=lambda each: (each.node == "a bridge", -each.hops))
    shown = neighbourhood(explanation.model_copy(update={"neighbours": order}), network)
    assert len(shown.graph) == MOST_NODES == 40
    assert set(shown.shown) == {"a bridge", *(f"far {number}" for number in range(30))} | {
        each.node for each in order[30:38]
    }
    assert shown.left_out == 80 - 39
    assert nx.is_connected(shown.graph)
    assert captions(shown)[-1] == "41 further nodes left out"


def test_nodes_lie_on_a_ring_for_each_hop_and_in_places_of_their_own() -> None:
    explanation, network = explained(nx.relabel_nodes(nx.karate_club_graph(), str), "0", layers=3)
    shown = neighbourhood(explanation, network)
    assert shown.position["0"] == (0, 0)
    assert (len(shown.shown), shown.left_out) == (33, 0)
    angles = []
    for name, neighbour in shown.shown.items():
        x, y = shown.position[name]
        assert np.hypot(x, y) == pytest.approx(1 + 0.8 * (neighbour.hops - 1))
        angles.append(np.arctan2(y, x) % (2 * np.pi))
    assert np.diff(sorted(angles)).min() > 0.08


def test_a_directed_network_stays_directed() -> None:
    graph = nx.DiGraph([("b", "a"), ("c", "b"), ("a", "d"), ("d", "c")])
    explanation, network = explained(graph, "a")
    shown = neighbourhood(explanation, network)
    assert set(shown.graph.edges) == {("b", "a"), ("c", "b")}
    content = content_of(neighbourhood_page(explanation, shown, network))
    assert content["directed"] is True
    assert [[content["nodes"][end]["id"] for end in edge] for edge in content["edges"]] == [["b", "a"], ["c", "b"]]


def test_names_are_shortened_and_made_printable() -> None:
    assert short("a" * 24) == "a" * 24
    assert short("a" * 25) == "a" * 23 + "…"
    assert short("a\nb\x00\udce9") == "a�b��"


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    explanation, network = explained(nx.relabel_nodes(nx.karate_club_graph(), str), "8")
    page = neighbourhood_page(explanation, neighbourhood(explanation, network), network)
    elements = Elements(page)
    assert [tag for tag, _ in elements.tags if tag in ("script", "link", "img", "iframe")] == ["script", "script"]
    assert not any(name in attributes for _, attributes in elements.tags for name in ("src", "href", "onload", "style"))
    assert set(re.findall(r"https?://[^\"'\s]*", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|@import|url\((?!#)|innerHTML|eval\(", page)
    policy = next(attributes["content"] for tag, attributes in elements.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "{{" not in page


def test_the_page_knows_what_it_shows() -> None:
    explanation, network = explained(nx.relabel_nodes(nx.karate_club_graph(), str), "8")
    shown = neighbourhood(explanation, network)
    content = content_of(neighbourhood_page(explanation, shown, network))
    ids = [node["id"] for node in content["nodes"]]
    assert ids == ["8", *shown.shown]
    assert len(content["edges"]) == shown.graph.number_of_edges()
    assert [width["name"] for width in content["widths"]] == [
        "attention, mean of the layers", "attention, layer 1", "attention, layer 2", "importance",
    ]  # fmt: skip
    second = dict(zip(ids, content["widths"][2]["of"], strict=True))
    direct = {name: each.attention[1].mean for name, each in shown.shown.items() if each.hops == 1}
    highest = max(direct.values())
    assert {name: value for name, value in second.items() if value} == {
        name: pytest.approx(value / highest) for name, value in direct.items()
    }
    first = content["nodes"][ids.index(explanation.neighbours[0].node)]
    assert (first["square"], first["size"], first["ring"]) == (False, 1.0, colour_of("red", explanation))
    facts = dict(row for block in first["facts"] for row in block["rows"])
    assert facts["importance"] == "+1"
    assert facts["layer 2"] == "0.500 (heads 0.25 to 0.50)"
    assert facts["club"] == "Mr. Hi"  # an attribute of networkx


def test_no_text_of_the_network_becomes_html() -> None:
    explanation, network = hostile()
    page = neighbourhood_page(explanation, neighbourhood(explanation, network), network)
    page.encode("ascii")  # what is not, is escaped
    elements = Elements(page)
    assert [tag for tag, _ in elements.tags if tag in ("script", "img", "b", "i")] == ["script", "script"]
    assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)
    content = json.loads(elements.scripts[0])
    assert {node["id"] for node in content["nodes"]} == {EVIL, *HOSTILE}
    facts = dict(row for block in content["nodes"][0]["facts"] for row in block["rows"])
    assert facts["<b>job</b> = <i>"] == "+0.25"
    assert facts["<script>"] == "</script>&"
    assert facts["job"] == "<b>, teacher"
    assert "colour" in facts  # an attribute like another, as the target is called otherwise


def test_the_script_of_the_page_is_whole(tmp_path: Path) -> None:
    if which("node") is None:
        pytest.skip("needs node to read JavaScript")
    explanation, network = hostile()
    script = Elements(neighbourhood_page(explanation, neighbourhood(explanation, network), network)).scripts[1]
    (tmp_path / "page.js").write_text(script)
    subprocess.run(["node", "--check", tmp_path / "page.js"], check=True)


@pytest.mark.parametrize(
    "make", [hostile, lambda: explained(nx.Graph([("b", "c"), ("a", "b")]), "a")], ids=["hostile", "path"]
)
def test_the_picture_is_drawn(make, tmp_path: Path) -> None:
    explanation, network = make()
    draw_neighbourhood(explanation, neighbourhood(explanation, network), tmp_path / "picture")
    pixels = imread(tmp_path / "picture", format="png")
    assert pixels.shape[:2] == (1430, 1430)
    code = colour_of(explanation.prediction, explanation)
    colour = np.array([int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    middle = pixels[650:780, 650:780, :3]
    assert (np.abs(middle - colour).max(axis=2) < 0.01).sum() > 500  # pixels of the node itself


def test_sizes_are_relative_to_the_most_important() -> None:
    explanation, network = explained(nx.star_graph(["me", "a", "b"]), "me")
    assert sizes(neighbourhood(explanation, network)) == {"a": 1.0, "b": 0.5}
    flat = [each.model_copy(update={"importance": None}) for each in explanation.neighbours]
    shown = neighbourhood(explanation.model_copy(update={"neighbours": flat}), network)
    assert sizes(shown) == {"a": 0.0, "b": 0.0}


def test_all_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explanation, network = hostile()
    write_explanation(explanation, network, tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(FILES)
    content = json.loads((tmp_path / "new/folder/explanation.json").read_text(encoding="utf-8"))
    assert (content["schema_version"], content["node"]) == (1, EVIL)
    assert NodeExplanation.model_validate(content) == explanation
    table = pd.read_csv(tmp_path / "new/folder/neighbours.csv", encoding_errors="surrogateescape")
    assert list(table["node"]) == [each.node for each in explanation.neighbours]

    def fail(*_: object) -> str:
        raise InputError("no page")

    monkeypatch.setattr("gatlib.network.explain.write.neighbourhood_page", fail)
    with pytest.raises(InputError, match="no page"):
        write_explanation(explanation, network, tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    explanation, network = explained(nx.Graph([("a", "b")]), "a")
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(InputError, match=r"cannot write to the folder .*file"):
            write_explanation(explanation, network, place)


def test_features_are_named_on_the_page() -> None:
    explanation, network = explained(nx.Graph([("a", "b")]), "a")
    from scipy.sparse import csr_matrix

    network = replace(network, active=csr_matrix(np.array([[1, 0, 1], [0, 0, 0]])), active_names=["x", "y", "z"])
    content = content_of(neighbourhood_page(explanation, neighbourhood(explanation, network), network))
    assert ["features", "x, z"] in content["nodes"][0]["facts"][-1]["rows"]
