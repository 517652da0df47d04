"""The neighbourhood of a node as a picture."""

import math
import warnings
from pathlib import Path

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatlib.network.explain.explanation import NodeExplanation
from gatlib.network.explain.neighbourhood import (
    Neighbourhood,
    captions,
    colour_of,
    has_rings,
    legend_classes,
    line_weights,
    short,
    sizes,
)

_FEW = 14  # nodes whose names stand upright
_WIDEST = 6.0  # points, of up to ten lines to the node
_SMALLEST, _LARGEST = 60.0, 450.0  # points squared
_MIDDLE = 1.5  # size of the explained node, where the largest of the others is 1


def draw_neighbourhood(explanation: NodeExplanation, shown: Neighbourhood, picture: Path) -> None:
    """Draw a node and its neighbours as PNG.

    The colour of a node is its predicted class, with a ring of its known class where that is another; its size is
    how much it matters, and a square speaks against the prediction. A line to the node is as wide as its attention,
    or where the model has none, as the importance of the neighbour.
    """
    figure = Figure(figsize=(11, 11), layout="constrained")
    axes = figure.subplots()
    _draw_edges(axes, explanation, shown)
    _draw_nodes(axes, explanation, shown)
    _write_names(axes, explanation, shown)
    _write_round(axes, explanation, shown)
    farthest = max((math.hypot(*place) for place in shown.position.values()), default=0.0) or 1.0
    limit = farthest + 0.75
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set_axis_off()
    with warnings.catch_warnings():
        # A box stands where the font lacks a letter.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(picture, format="png", dpi=130)


def _draw_edges(axes: Axes, explanation: NodeExplanation, shown: Neighbourhood) -> None:
    weights = line_weights(explanation, shown)
    others = [edge for edge in shown.graph.edges if explanation.node not in edge]
    central = [edge for edge in shown.graph.edges if explanation.node in edge]
    widest = _WIDEST / math.sqrt(max(1.0, len(central) / 10))

    def width(source: str, target: str) -> float:
        # Of a directed edge away from the node no weight is known.
        away = shown.graph.is_directed() and source == explanation.node
        return 0.6 if away else 0.6 + widest * weights.get(target if source == explanation.node else source, 0.0)

    widths = [width(*edge) for edge in central]
    # Arrows end at the nodes, which they have to know the sizes of.
    area = _areas(explanation, shown)
    style: dict[str, object] = {"arrows": True, "arrowstyle": "-|>" if shown.graph.is_directed() else "-", "ax": axes}
    style |= {"nodelist": list(area), "node_size": list(area.values())}
    nx.draw_networkx_edges(shown.graph, shown.position, others, width=0.5, edge_color="#c8c8c8", **style)
    nx.draw_networkx_edges(
        shown.graph, shown.position, central, width=widths, edge_color="#555555", arrowsize=25, **style
    )


def _areas(explanation: NodeExplanation, shown: Neighbourhood) -> dict[str, float]:
    """In points squared."""
    size = {explanation.node: _MIDDLE} | sizes(shown)
    return {name: _SMALLEST + (_LARGEST - _SMALLEST) * value for name, value in size.items()}


def _draw_nodes(axes: Axes, explanation: NodeExplanation, shown: Neighbourhood) -> None:
    area = _areas(explanation, shown)
    looks = {name: (neighbour.prediction, neighbour.known) for name, neighbour in shown.shown.items()}
    looks[explanation.node] = explanation.prediction, explanation.known
    against = [name for name, neighbour in shown.shown.items() if (neighbour.importance or 0.0) < 0]
    for shape, names in (("o", [name for name in looks if name not in against]), ("s", against)):
        rings = [looks[name][1] not in (None, looks[name][0]) for name in names]
        nx.draw_networkx_nodes(
            shown.graph,
            shown.position,
            names,
            node_size=[area[name] for name in names],
            node_color=[colour_of(looks[name][0], explanation) for name in names],
            edgecolors=[
                colour_of(looks[name][1], explanation) if ring else "white"
                for name, ring in zip(names, rings, strict=True)
            ],
            linewidths=[2.5 if ring else 1.0 for ring in rings],
            node_shape=shape,
            ax=axes,
        )


def _write_names(axes: Axes, explanation: NodeExplanation, shown: Neighbourhood) -> None:
    size = sizes(shown)
    for name in shown.shown:
        x, y = shown.position[name]
        angle = math.degrees(math.atan2(y, x))
        leftwards = abs(angle) > 90
        outwards = 9 + 10 * math.sqrt(size[name])  # points, past the node itself
        upright = len(shown.shown) <= _FEW
        axes.annotate(
            short(name),
            (x, y),
            xytext=(outwards * math.cos(math.radians(angle)), outwards * math.sin(math.radians(angle))),
            textcoords="offset points",
            rotation=0 if upright else angle - 180 if leftwards else angle,
            rotation_mode="anchor",
            horizontalalignment="right" if leftwards else "left",
            verticalalignment="center",
            fontsize=10 if upright else 8,
            parse_math=False,
        )
    axes.annotate(
        short(explanation.node),
        (0, 0),
        xytext=(0, -20),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="top",
        fontsize=11,
        fontweight="bold",
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        parse_math=False,
    )


def _write_round(axes: Axes, explanation: NodeExplanation, shown: Neighbourhood) -> None:
    """Title, legend, and what is not there."""
    title = f"{short(explanation.node, 40)}: {short(explanation.target)} {short(explanation.prediction, 40)}"
    title += f", probability {explanation.probability:.2f}"
    if explanation.known is not None:
        title += f" (known: {short(explanation.known, 40)})"
    axes.set_title(title, fontsize=13, parse_math=False)
    marks = [
        Line2D([], [], marker="o", linestyle="", markersize=9, color=colour_of(name, explanation))
        for name in legend_classes(explanation, shown)
    ]
    names = [short(name, 40) for name in legend_classes(explanation, shown)]
    if shown.shown:
        marks += [
            Line2D([], [], marker="o", linestyle="", markersize=9, color="#999999"),
            Line2D([], [], marker="s", linestyle="", markersize=8, color="#999999"),
        ]
        names += ["speaks for the prediction", "speaks against it"]
    if has_rings(explanation, shown):
        marks.append(Line2D([], [], marker="o", linestyle="", markersize=9, color="white", markeredgecolor="#999999"))
        names.append("ring: known class, where it is another")
    legend = axes.legend(marks, names, loc="upper left", fontsize=9, frameon=False, title="predicted class")
    for text in legend.get_texts():
        text.set_parse_math(False)
    texts = captions(shown)
    if shown.shown:
        has_attention = any(neighbour.attention for neighbour in shown.shown.values())
        wide = "attention, mean over layers and heads" if has_attention else "importance of the neighbour"
        texts.insert(1, f"width of a line to the node: {wide}")
    axes.annotate("; ".join(texts), (0.5, 0.0), xycoords="axes fraction", horizontalalignment="center", fontsize=9)
