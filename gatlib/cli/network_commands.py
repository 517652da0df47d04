"""What the commands on networks print around the library's calls."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gatlib.cli.tables import metrics_table, plain_table
from gatlib.errors import InputError
from gatlib.model_files import LINKS, model_kind
from gatlib.network.network import Network, cell_text
from gatlib.network.sources import (
    NetworkSource,
    read_known_source,
    read_labelled_source,
    read_source,
    read_unlabelled_source,
)

if TYPE_CHECKING:
    from gatlib.network.node_model import NodeModel

# A pipe or a file has no width of its own, and a table must not be folded for it.
_out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True, highlight=False)
_PREVIEW_ROWS = 10
_PREVIEW_COLUMNS = 8
_TOP = 6  # neighbours, and attributes, of an explanation


def train_network_command(
    source: NetworkSource,
    labels: Path | None,
    target: str | None,
    directed: bool,
    recipe_file: Path | None,
    changes: Mapping[str, object],
    output: Path,
) -> None:
    """``gatlib network train``: an example, a data set or a user's files."""
    from gatlib.training.network_train import network_recipe, split_labelled, train_network_model
    from gatlib.training.node_recipe import NodeRecipe
    from gatlib.training.recipe import read_recipe

    if recipe_file is not None and not source.name:
        source = replace(source, example=read_recipe(recipe_file, NodeRecipe).dataset)
    recipe = network_recipe(recipe_file, changes, source.example)
    labelled = read_labelled_source(source, labels, target, recipe.split, directed)
    split, notes = split_labelled(labelled, recipe)
    for note in [*labelled.network.notes, *notes]:
        _say(f"note: {note}")
    trained = train_network_model(
        labelled.network,
        labelled.labels,
        split,
        recipe,
        output,
        name=output.resolve().name,
        target=labelled.target,
        source=labelled.source,
        progress=True,
    )
    for note in trained.notes:
        _say(f"note: {note}")
    training = trained.model.description.training
    _out.print(metrics_table(trained.metrics, f"{labelled.target} of {training.network}, {training.split} split"))
    sizes = ", ".join(f"{count:,} {part}" for part, count in training.labelled.items())
    _say(f"{training.nodes:,} nodes, {training.edges:,} edges; labelled: {sizes}")
    _say(f"{trained.epochs} epochs in {trained.seconds:.0f} s; model in {output}")


def train_link_command(
    source: NetworkSource,
    about_labels: Mapping[str, object],
    directed: bool,
    recipe_file: Path | None,
    changes: Mapping[str, object],
    output: Path,
) -> None:
    """``gatlib network train --task link``: edges of an example or of a user's files."""
    from gatlib.training.link_train import link_recipe, train_link_model

    recipe = link_recipe(recipe_file, changes)
    network = read_unlabelled_source(source, about_labels, directed)
    for note in network.notes:
        _say(f"note: {note}")
    trained = train_link_model(network, recipe, output, output.resolve().name, source.name, progress=True)
    for note in trained.notes:
        _say(f"note: {note}")
    training = trained.model.description.training
    _out.print(metrics_table(trained.metrics, f"edges of {source.name}, held out at random"))
    sizes = ", ".join(f"{count:,} {part}" for part, count in training.edges.items())
    _say(f"{training.nodes:,} nodes; edges: {sizes}")
    _say(f"{trained.epochs} epochs in {trained.seconds:.0f} s; model in {output}")


def predict_network_command(
    folder: Path, source: NetworkSource, labels: Path | None, output: str | None, top: int | None, pairs: Path | None
) -> None:
    """``gatlib network predict``: a row for each node, for each of the likeliest missing edges, or for each pair."""
    if model_kind(folder) == LINKS:
        if labels is not None:
            raise InputError(f"--labels is for a model of nodes, and {folder} is one of edges: leave it out")
        table, name, what = _predict_links(folder, source, top, pairs)
    elif top is not None or pairs is not None:
        raise InputError(f"--top and --pairs are for a model of edges (train --task link), and {folder} is none")
    else:
        table, name, what = _predict_nodes(folder, source, labels)
    from gatlib.network.predict import write_table

    if output == "-":
        write_table(table, _out.file)
        return
    if output is not None:
        write_table(table, Path(output))
    _print_preview(table, name)
    _say(f"{len(table):,} {what} written to {output}" if output else f"{len(table):,} {what}; -o FILE writes them all")


def _predict_nodes(folder: Path, source: NetworkSource, labels: Path | None) -> tuple[Any, str, str]:
    from gatlib.network.predict import NodePredictor

    predictor = NodePredictor.load(folder)
    network = _with_known_labels(read_source(source, predictor.description.directed), labels, source, predictor.model)
    return predictor.predict(network), predictor.description.name, "nodes"


def _with_known_labels(network: Network, labels: Path | None, source: NetworkSource, model: "NodeModel") -> Network:
    """The network with the labels that the model may see, where it was made to see some."""
    from gatlib.network.labels import read_known_labels

    rule = model.description.rule.known_labels
    if rule is None:
        if labels is not None:
            raise InputError("this model sees no labels (label_reuse in its recipe): leave --labels out")
        return network
    known = None
    if labels is not None:
        known = read_known_labels(labels, rule.target, network.ids, source.id_column)
    elif rule.target in network.attributes.columns:
        known = [cell_text(cell) for cell in network.attributes[rule.target]]
    else:
        _say(f"note: the model was made to see the {rule.target} of labelled nodes and is given none: see --labels")
    return replace(network, known_labels=known)


def _predict_links(folder: Path, source: NetworkSource, top: int | None, pairs: Path | None) -> tuple[Any, str, str]:
    from gatlib.network.edges import read_pairs
    from gatlib.network.link_predict import DEFAULT_TOP, LinkPredictor

    if top is not None and pairs is not None:
        raise InputError("--top ranks all pairs and --pairs names them: give one of the two")
    predictor = LinkPredictor.load(folder)
    network = read_source(source, predictor.description.directed)
    if pairs is not None:
        table = predictor.score(network, read_pairs(pairs, set(network.ids)))
        return table, predictor.description.name, "pairs"
    table = predictor.rank(network, DEFAULT_TOP if top is None else top, progress=True)
    return table, predictor.description.name, "missing edges"


def explain_network_command(
    folder: Path, source: NetworkSource, labels: Path | None, nodes: Sequence[str], output: Path | None
) -> None:
    """``gatlib network explain``: one node, its neighbours and its attributes."""
    from gatlib.network.explain import explain_node
    from gatlib.network.explain.write import FILES, write_explanation
    from gatlib.network.node_model import load_node_model

    if len(nodes) > 1:
        raise InputError(f"--node is given {len(nodes)} times: explain one node at a time")
    model = load_node_model(folder)
    network, known = read_known_source(source, model.description.directed, model.description.target)
    network = _with_known_labels(network, labels, source, model)
    explanation = explain_node(model, network, nodes[0].strip(), known or network.known_labels)
    if output is not None:
        write_explanation(explanation, network, output)
    _print_explanation(explanation)
    _say(
        f"{', '.join(FILES)} in {output}" if output else "-o DIR writes all of it, with a picture and a page to explore"
    )


def _print_explanation(explanation: Any) -> None:
    known = "" if explanation.known is None else f" (known: {explanation.known})"
    found = f"{explanation.target} {explanation.prediction}, probability {explanation.probability:.2f}{known}"
    _say(f"{explanation.node}: {found}")
    if explanation.neighbours:
        rows = [
            (each.node, str(each.hops), _signed(each.importance), _number(each.probability_without),
             _number(each.mean_attention), f"{each.prediction} {each.probability:.2f}")
            for each in explanation.neighbours[:_TOP]
        ]  # fmt: skip
        columns = ("neighbour", "hops", "importance", "p without it", "attention", "predicted")
        _out.print(plain_table(columns, rows))
    if explanation.attributes:
        mattered = [
            (each.label, _signed(each.importance), _signed(each.own), _signed(each.neighbourhood))
            for each in explanation.attributes[:_TOP]
        ]
        _out.print(plain_table(("attribute", "importance", "its own", "others'"), mattered))
    for note in explanation.notes:
        _say(f"note: {note}")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _print_preview(table: Any, name: str) -> None:
    columns = [str(column) for column in table.columns]
    shown = len(columns) if len(columns) <= _PREVIEW_COLUMNS else 2
    rows = [
        [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row[:shown]]
        for row in table.head(_PREVIEW_ROWS).values.tolist()
    ]
    _out.print(plain_table(columns[:shown], rows, name))


def _say(line: str) -> None:
    _out.print(line, soft_wrap=True, markup=False)
