"""``gatlib network``: train, predict, explain."""

from pathlib import Path
from typing import Annotated

import typer

from gatlib.cli.options import DataDir, NetworkTask

app = typer.Typer(
    help="Classes of the nodes of a network, or its missing edges: train, predict, explain.", no_args_is_help=True
)

Example = Annotated[
    str | None,
    typer.Argument(
        help="In place of files: karate, davis, les-miserables, or a network of 'gatlib datasets'.", show_default=False
    ),
]
Edges = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="List of edges: csv, tsv or txt, also .gz; a column weight is used."),
]
Features = Annotated[
    Path | None, typer.Option(metavar="FILE", help="What is known of the nodes, beside --edges: csv, json or npz.")
]
Graph = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Nodes and edges in one file: GraphML, GEXF, GML or JSON node-link."),
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column of the node ids, if not id, node, node_id or new_id."),
]
KnownLabels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Of a model that sees labels (label_reuse in its recipe): table of those that are known."
    ),
]


@app.command()
def train(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the new model.")],
    example: Example = None,
    edges: Edges = None,
    features: Features = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of the labels, beside --edges; blank: unlabelled.")
    ] = None,
    graph: Graph = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What to learn: column of --labels, attribute of --graph.")
    ] = None,
    id_column: IdColumn = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="random, random:48/32/20, the COLUMN that holds train, valid and test, or a csv FILE with node and "
            "split; public or given, of a data set. Default: that of the data set, else random.",
        ),
    ] = None,
    directed: Annotated[bool, typer.Option("--directed", help="The edges of --edges lead one way.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of weights, dropout and random split. Default: 0.")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="At most this many epochs.")] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            help="GPUs, or processes on a CPU, that train together; needs batch_nodes in --recipe. Default: 1."
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="YAML", help="All other settings, and the data set unless one is given.")
    ] = None,
    task: Annotated[
        NetworkTask, typer.Option(help="Classes of nodes, or edges, some of which are held out at random.")
    ] = NetworkTask.node,
    data_dir: DataDir = None,
) -> None:
    """Train a model on the labelled nodes of a network, or on its edges. A run that was stopped goes on."""
    from gatlib.cli.network_commands import train_link_command, train_network_command
    from gatlib.network.sources import NetworkSource

    source = NetworkSource(example, graph, edges, features, id_column, data_dir)
    changes: dict[str, object] = {"seed": seed, "max_epochs": max_epochs, "devices": devices}
    if task is NetworkTask.link:
        about_labels = {"--labels": labels, "--target": target, "--split": split}
        train_link_command(source, about_labels, directed, recipe, changes, output)
        return
    changes["split"] = split
    train_network_command(source, labels, target, directed, recipe, changes, output)


@app.command()
def predict(
    model: Annotated[Path, typer.Option("-m", "--model", metavar="DIR", help="Folder of a trained model.")],
    example: Example = None,
    edges: Edges = None,
    features: Features = None,
    graph: Graph = None,
    id_column: IdColumn = None,
    labels: KnownLabels = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="CSV to write; - for standard output.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="K", help="Of a model of edges: how many missing ones. Default: 1000.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of a model of edges: score these pairs of nodes, in place of --top."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Predict the class of every node, or the most likely missing edges, of the network of the training or another."""
    from gatlib.cli.network_commands import predict_network_command
    from gatlib.network.sources import NetworkSource

    source = NetworkSource(example, graph, edges, features, id_column, data_dir)
    predict_network_command(model, source, labels, output, top, pairs)


@app.command()
def explain(
    model: Annotated[Path, typer.Option("-m", "--model", metavar="DIR", help="Folder of a trained model.")],
    node: Annotated[list[str], typer.Option("--node", metavar="ID", help="The node to explain.")],
    example: Example = None,
    edges: Edges = None,
    features: Features = None,
    graph: Graph = None,
    id_column: IdColumn = None,
    labels: KnownLabels = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for json, tables, a picture and a page to explore."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Explain the class of one node: the neighbours and attributes that mattered, and the attention of each layer."""
    from gatlib.cli.network_commands import explain_network_command
    from gatlib.network.sources import NetworkSource

    source = NetworkSource(example, graph, edges, features, id_column, data_dir)
    explain_network_command(model, source, labels, node, output)
