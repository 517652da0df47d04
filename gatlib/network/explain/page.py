"""The neighbourhood of a node as a page to explore: one file, which asks nothing of the network."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from gatlib.network.explain.attributes import shown_cell
from gatlib.network.explain.explanation import LayerAttention, Neighbour, NodeExplanation
from gatlib.network.explain.neighbourhood import (
    Neighbourhood,
    captions,
    colour_of,
    has_rings,
    legend_classes,
    line_weights,
    relative,
    short,
    sizes,
)
from gatlib.network.network import Network

_MOST_ATTRIBUTES = 20
_LONGEST = 200  # letters of an attribute


def neighbourhood_page(explanation: NodeExplanation, shown: Neighbourhood, network: Network) -> str:
    """An HTML page with a node and its neighbours, to be dragged and zoomed.

    Everything that comes from the network stands in one block of JSON, in which no ``<`` is left, and is shown as text
    only. Beyond that, the page forbids every script but its own, by its hash, and every connection.
    """
    template, script = ((files(__package__) / name).read_text(encoding="utf-8") for name in ("page.html", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = template.replace("{{hash}}", f"sha256-{digest}").replace("{{script}}", script)
    return page.replace("{{data}}", _json_in_html(_content(explanation, shown, network)))


def _json_in_html(content: dict[str, Any]) -> str:
    # Plain ASCII without a character that HTML knows; half of a surrogate pair stays harmless too.
    text = json.dumps(content)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _content(explanation: NodeExplanation, shown: Neighbourhood, network: Network) -> dict[str, Any]:
    size = sizes(shown)
    names = [explanation.node, *shown.shown]
    number = {name: place for place, name in enumerate(names)}
    row = {node: place for place, node in enumerate(network.ids) if node in number}
    known = "" if explanation.known is None else f" (known: {explanation.known})"
    return {
        "title": f"{explanation.node}: {explanation.target} {explanation.prediction}, "
        f"probability {explanation.probability:.2f}{known}",
        "caption": f"{'; '.join(captions(shown))}. Drag nodes or the background; turn the wheel to zoom.",
        "directed": shown.graph.is_directed(),
        "legend": _legend(explanation, shown),
        "widths": _widths(explanation, shown),
        "nodes": [
            _node(explanation, shown, name, size.get(name, 1.3), _attributes(network, row[name], explanation.target))
            for name in names
        ],
        "edges": [[number[a], number[b]] for a, b in shown.graph.edges],
    }


def _node(
    explanation: NodeExplanation, shown: Neighbourhood, name: str, size: float, attributes: list[list[str]]
) -> dict[str, Any]:
    neighbour = shown.shown.get(name)
    look = explanation if neighbour is None else neighbour
    x, y = shown.position[name]
    facts = _facts_of_node(explanation) if neighbour is None else _facts_of_neighbour(explanation, neighbour)
    return {
        "id": name,
        "label": short(name),
        "x": x,
        "y": y,
        "size": size,
        "square": neighbour is not None and (neighbour.importance or 0.0) < 0,
        "colour": colour_of(look.prediction, explanation),
        "ring": None if look.known in (None, look.prediction) else colour_of(look.known, explanation),
        "facts": [*facts, *([{"heading": "attributes", "rows": attributes}] if attributes else [])],
    }


def _facts_of_node(explanation: NodeExplanation) -> list[dict[str, Any]]:
    rows = [[f"p {name}", f"{value:.3f}"] for name, value in explanation.probabilities.items()]
    rows += [["known", explanation.known]] if explanation.known is not None else []
    important = [[each.label, f"{each.importance:+.3g}"] for each in explanation.attributes[:_MOST_ATTRIBUTES]]
    return [
        {"heading": "", "rows": rows},
        *_attention("attention to itself", explanation.self_attention),
        *([{"heading": "attributes that mattered, here and around", "rows": important}] if important else []),
    ]


def _facts_of_neighbour(explanation: NodeExplanation, neighbour: Neighbour) -> list[dict[str, Any]]:
    rows = [[explanation.target, f"{neighbour.prediction}, probability {neighbour.probability:.3f}"]]
    rows += [["known", neighbour.known]] if neighbour.known is not None else []
    rows += [["hops", str(neighbour.hops)]]
    if neighbour.importance is not None:
        rows += [["importance", f"{neighbour.importance:+.3g}"]]
        rows += [["probability without it", f"{neighbour.probability_without:.3f}"]]
    rows += [["weight of the edge", f"{neighbour.weight:g}"]] if neighbour.weight is not None else []
    return [{"heading": "", "rows": rows}, *_attention("attention of the node to it", neighbour.attention)]


def _attention(heading: str, layers: Sequence[LayerAttention]) -> list[dict[str, Any]]:
    rows = []
    for number, layer in enumerate(layers, start=1):
        heads = f" (heads {min(layer.heads):.2f} to {max(layer.heads):.2f})" if len(layer.heads) > 1 else ""
        rows.append([f"layer {number}", f"{layer.mean:.3f}{heads}"])
    return [{"heading": heading, "rows": rows}] if rows else []


def _attributes(network: Network, row: int, target: str) -> list[list[str]]:
    """What the network says of a node, as text."""
    found = []
    for name in network.attributes.columns:
        cell = network.attributes[name].iloc[row]
        text = shown_cell(cell)
        if text and name != target:
            found.append([str(name), short(text, _LONGEST)])
    if network.active is not None:
        columns = network.active[[row]].indices.tolist()
        names = [str(column) if network.active_names is None else network.active_names[column] for column in columns]
        found += [["features", short(", ".join(names), _LONGEST)]] if names else []
    more = [["and more", f"{len(found) - _MOST_ATTRIBUTES:,}"]] if len(found) > _MOST_ATTRIBUTES else []
    return found[:_MOST_ATTRIBUTES] + more


def _legend(explanation: NodeExplanation, shown: Neighbourhood) -> list[dict[str, Any]]:
    classes = [{"name": name, "colour": colour_of(name, explanation)} for name in legend_classes(explanation, shown)]
    signs: list[dict[str, Any]] = [
        {"name": "speaks for the prediction", "colour": "#999999"},
        {"name": "speaks against it", "colour": "#999999", "square": True},
    ]
    ring = {"name": "ring: known class, where it is another", "colour": "#999999", "ring": True}
    return [*classes, *signs * bool(shown.shown), *[ring] * has_rings(explanation, shown)]


def _widths(explanation: NodeExplanation, shown: Neighbourhood) -> list[dict[str, Any]]:
    """What the lines to the node can show: a number from 0 to 1 for each node."""
    names = [explanation.node, *shown.shown]
    direct = {name: neighbour for name, neighbour in shown.shown.items() if neighbour.hops == 1}
    found = {}
    if any(neighbour.attention for neighbour in direct.values()):
        found["attention, mean of the layers"] = line_weights(explanation, shown)
        for layer in range(max(len(neighbour.attention) for neighbour in direct.values())):
            of_layer = {name: neighbour.attention[layer].mean for name, neighbour in direct.items()}
            found[f"attention, layer {layer + 1}"] = relative(of_layer)
    found["importance"] = relative({name: abs(neighbour.importance or 0.0) for name, neighbour in direct.items()})
    return [{"name": name, "of": [values.get(each, 0.0) for each in names]} for name, values in found.items()]
