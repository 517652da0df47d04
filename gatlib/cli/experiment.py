"""``gatlib experiment``: list, run, table."""

from pathlib import Path
from typing import Annotated

import typer

from gatlib.cli.options import DataDir

app = typer.Typer(help="Run the experiments of this repository.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Folder of the experiments.")]
EXPERIMENTS = Path("experiments")


@app.command("list")
def list_(folder: Folder = EXPERIMENTS) -> None:
    """List the experiments and how many runs each has."""
    from gatlib.cli.commands import experiments_command

    experiments_command(folder)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="Name of an experiment.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Of molecules: recipe; recipe with gat, gatv2, transformer or gps blocks; recipe with morgan, "
            "descriptors or both beside the graph; scratch, the recipe not pretrained; rf, forest, gb, chemprop; "
            "ensemble of what ran, chosen on valid. Default: recipe, rf. Of networks: recipe; mlp; "
            "gcn and gat of PyG; lr, gb, lp. Default: recipe, lr. Repeat for several.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.", min=1)] = 5,
    split: Annotated[str | None, typer.Option(help="Another split than the recipe's.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder for the trained models.")] = Path("runs"),
    folder: Folder = EXPERIMENTS,
    data_dir: DataDir = None,
) -> None:
    """Run models on a data set, on identical splits; what results.csv has already is not run again."""
    from gatlib.cli.commands import experiment_command

    experiment_command(folder, name, model or [], seeds, split, runs_dir, data_dir)


@app.command()
def bundle(
    name: Annotated[str, typer.Argument(help="Name of an experiment.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the new model.")],
    model: Annotated[
        str, typer.Option(help="recipe; recipe, gat, gatv2, transformer, gps, morgan, descriptors, both or scratch.")
    ] = "recipe",
    seeds: Annotated[int, typer.Option(help="How many seeds' figures are the card's.", min=1)] = 5,
    runs_dir: Annotated[Path, typer.Option(help="Folder of the trained models.")] = Path("runs"),
    folder: Folder = EXPERIMENTS,
    data_dir: DataDir = None,
) -> None:
    """Train a network on all molecules, none held out; the figures of its card are those of its seeds."""
    from gatlib.cli.commands import experiment_bundle_command

    experiment_bundle_command(folder, name, model, output, seeds, runs_dir, data_dir)


@app.command()
def table(folder: Folder = EXPERIMENTS) -> None:
    """Make README.md of the experiments, and their pictures, from the results."""
    from gatlib.cli.commands import experiment_tables_command

    experiment_tables_command(folder)
