"""Tox21: five seeds of the recipe, and five of a random forest on the same split.

    python experiments/tox21/run.py [--data-dir DIR]

Appends the figures of every run to results.csv beside this file and goes on where it was stopped. Settings were
chosen on the validation part only (LOG.md); the test part is scored once per run of the final recipe.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from gatlib.data.splits import Split
from gatlib.metrics import mean_metrics, metrics_per_task
from gatlib.training.fit import fit
from gatlib.training.molecules import LabelledMolecules, split_molecules
from gatlib.training.random_forest import NUM_BITS, NUM_TREES, RADIUS, random_forest_predictions
from gatlib.training.recipe import Recipe, load_recipe
from gatlib.training.results import append_results, read_results
from gatlib.training.train import read_dataset

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
FOREST = f"Morgan counts radius {RADIUS}, {NUM_BITS} bits, {NUM_TREES} trees"


def main(
    runs_dir: Annotated[Path, typer.Option(help="Folder for the trained models.")] = Path("runs/tox21"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files.")] = None,
    seeds: Annotated[list[int], typer.Option(help="Seed of a run; repeat for several.")] = [0, 1, 2, 3, 4],  # noqa: B006
) -> None:
    recipe = load_recipe(HERE / "recipe.yaml")
    molecules = read_dataset("tox21", data_dir)
    split = split_molecules(molecules, recipe.split, recipe.seed)
    for seed in seeds:
        run_network(molecules, split, recipe.model_copy(update={"seed": seed}), runs_dir / f"seed{seed}")
    for seed in seeds:
        run_forest(molecules, split, seed)
    print(summary())


def run_network(molecules: LabelledMolecules, split: Split, recipe: Recipe, folder: Path) -> None:
    name = recipe_id(recipe)
    if is_done(recipe.conv, name, recipe.seed):
        return
    trained = fit(molecules, split, recipe, folder, name="tox21", unit="probability of being active", progress=True)
    scores = {part: tasks["mean"] for part, tasks in trained.description.metrics.items()}
    append_results(RESULTS, recipe.conv, name, recipe.seed, recipe.split, scores, trained.seconds, device())


def run_forest(molecules: LabelledMolecules, split: Split, seed: int) -> None:
    if is_done("random forest", FOREST, seed):
        return
    started = time.perf_counter()
    predictions = random_forest_predictions(molecules, split, seed)
    seconds = time.perf_counter() - started
    rows = split.parts()
    scores = {
        part: mean_metrics(
            metrics_per_task(molecules.targets[rows[part]], values, molecules.tasks, molecules.task_type),
            molecules.task_type,
        )
        for part, values in predictions.items()
    }
    append_results(RESULTS, "random forest", FOREST, seed, "scaffold", scores, seconds, device())


def recipe_id(recipe: Recipe) -> str:
    """Eight digits that change with every setting but the seed."""
    return hashlib.sha256(recipe.model_dump_json(exclude={"seed"}).encode()).hexdigest()[:8]


def is_done(model: str, recipe: str, seed: int) -> bool:
    results = read_results(RESULTS)
    return bool(((results["model"] == model) & (results["recipe"] == recipe) & (results["seed"] == seed)).any())


def device() -> str:
    return f"{os.cpu_count()} CPU cores"


def summary() -> str:
    results = read_results(RESULTS)
    grouped = results.groupby(["model", "recipe", "split", "part", "metric"])
    table = grouped.agg(
        mean=("value", "mean"), std=("value", "std"), seeds=("seed", "nunique"), seconds=("seconds", "mean")
    )
    return table.round(4).to_string()


if __name__ == "__main__":
    typer.run(main)
