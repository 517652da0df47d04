"""The ``gatlib`` command. Each command is one call into the library; heavy imports wait for that call."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gatlib.cli import experiment, network
from gatlib.cli.options import DataDir, Split, Task

app = typer.Typer(
    help="Graph attention for molecules and networks: predict, train, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(experiment.app, name="experiment")
app.add_typer(network.app, name="network")

SmilesColumn = Annotated[
    str | None,
    typer.Option(
        "-s", "--smiles-column", help="Column with the SMILES, if not smiles, canonical_smiles, mol or structure."
    ),
]
Model = Annotated[str, typer.Option("-m", "--model", help="Name of a bundled model, or folder of a trained one.")]


@app.command()
def predict(
    smiles: Annotated[list[str] | None, typer.Argument(help="Molecules; prints a table.", show_default=False)] = None,
    source: Annotated[
        str | None,
        typer.Option("-i", "--input", metavar="FILE", help="csv, smi or txt, also with .gz; - for standard input."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="CSV to write; - for standard output. Default: <FILE>_preds.csv."
        ),
    ] = None,
    model: Model = "tox21",
    smiles_column: SmilesColumn = None,
) -> None:
    """Predict properties of molecules: every row in, in order, with <task>_pred columns and an error column."""
    from gatlib.cli.commands import predict_command

    predict_command(smiles or [], source, output, model, smiles_column)


@app.command()
def train(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the new model.")],
    dataset: Annotated[
        str | None,
        typer.Argument(help="In place of a table: a set of molecules of 'gatlib datasets'.", show_default=False),
    ] = None,
    source: Annotated[
        str | None, typer.Option("-i", "--input", metavar="FILE", help="Table with SMILES and target columns.")
    ] = None,
    targets: Annotated[
        list[str] | None, typer.Option("--targets", metavar="COLUMN", help="Target column; repeat for several.")
    ] = None,
    task: Annotated[Task, typer.Option(help="Kind of the targets: 0/1 classes, or numbers.")] = Task.classification,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help=f"{', '.join(Split)}, folds:K, time:COLUMN (train on the oldest), file:PATH (a split.csv), or the "
            "COLUMN that holds train, valid and test. Default: scaffold.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order, dropout and random split. Default: 0.")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="At most this many epochs.")] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="Start from it: one that comes with gatlib, or a folder of 'pretrain'."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="YAML", help="All settings, and the data set unless -i is given.")
    ] = None,
    smiles_column: SmilesColumn = None,
    data_dir: DataDir = None,
) -> None:
    """Train a model on your table, or on a data set by its recipe. A run that was stopped goes on."""
    from gatlib.cli.commands import train_command

    changes = {"split": split, "seed": seed, "max_epochs": max_epochs, "pretrained": pretrained}
    train_command(output, dataset, source, targets or [], task.value, recipe, changes, smiles_column, data_dir)


@app.command()
def tune(
    recipe: Annotated[Path, typer.Option(metavar="YAML", help="What is not searched over, and the first trial.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the search.")],
    trials: Annotated[int, typer.Option(help="How many, those of earlier runs included.", min=1)] = 50,
    minutes: Annotated[float | None, typer.Option(help="Begin no trial after so long.")] = None,
    seeds: Annotated[int, typer.Option(help="A trial's score is the mean over so many.", min=1)] = 1,
    data_dir: DataDir = None,
) -> None:
    """Search for better settings of a recipe by its validation score; a search that was stopped goes on."""
    from gatlib.cli.commands import tune_command

    tune_command(recipe, output, trials, minutes, seeds, data_dir)


@app.command()
def pretrain(
    recipe: Annotated[Path, typer.Option(metavar="YAML", help="Which molecules, which network, how long.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the network.")],
    data_dir: DataDir = None,
) -> None:
    """Pretrain a network on unlabelled molecules; recipes name its folder under 'pretrained'."""
    from gatlib.cli.commands import pretrain_command

    pretrain_command(recipe, output, data_dir)


@app.command()
def evaluate(
    source: Annotated[
        str, typer.Option("-i", "--input", metavar="FILE", help="Table with SMILES and the model's target columns.")
    ],
    model: Model = "tox21",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="CSV of the metrics.")] = None,
    smiles_column: SmilesColumn = None,
) -> None:
    """Compare a model's predictions with the labels of a table."""
    from gatlib.cli.commands import evaluate_command

    evaluate_command(source, model, output, smiles_column)


@app.command()
def models() -> None:
    """List the models that come with gatlib."""
    from gatlib.cli.commands import models_command

    models_command()


@app.command()
def datasets(data_dir: DataDir = None) -> None:
    """List the data sets that gatlib has a card for."""
    from gatlib.cli.commands import datasets_command

    datasets_command(data_dir)


def _version(show: bool) -> None:
    if show:
        from gatlib import __version__

        typer.echo(f"gatlib {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; bad input ends it with one sentence and exit code 2."""
    from gatlib.errors import InputError

    # What the terminal cannot show must not stop a run.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("Stopped. A training goes on where it was when the same command is given again.", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, head say, has left
        sys.exit(0)


if __name__ == "__main__":
    main()
