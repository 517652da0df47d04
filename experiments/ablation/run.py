"""What raises quality on small sets: one change at a time, cross-validated, the molecules of test left out.

    python experiments/ablation/run.py [--dataset esol --dataset bbbp] [--change "virtual node"]

The molecules outside the test part of the scaffold split are cut into five folds of whole scaffolds; each change of
changes.py learns from four of them and is scored on the fifth. Scores are appended to DATASET.csv, in the form of the
experiments' results.csv, as they come; what is there already is not run again. README.md and folds.png are made from
them.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import lightning
import numpy as np
import pandas as pd
import typer
from changes import CHANGES, Change
from report import write_report

from gatlib.checkpoint import FEATURIZATION
from gatlib.chem import canonical_smiles, murcko_scaffold
from gatlib.data.splits import Split, k_folds
from gatlib.errors import InputError
from gatlib.experiments.experiment import recipe_id
from gatlib.experiments.results import Run, append_results, is_done
from gatlib.experiments.scores import Cost
from gatlib.metrics import METRICS
from gatlib.training.fit import target_scale, train_network
from gatlib.training.molecules import LabelledMolecules, split_molecules
from gatlib.training.recipe import Recipe, load_recipe, make_recipe
from gatlib.training.train import read_dataset

HERE = Path(__file__).parent
#: With how many epochs: fewer where a training takes longer.
DATASETS = {"esol": 40, "freesolv": 40, "bbbp": 20}
FOLDS = 5
SPLIT = f"{FOLDS} folds by scaffold, without test"


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Data sets; all of them by default.")] = None,
    change: Annotated[list[str] | None, typer.Option(help="Changes; all of them by default.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data sets are.")] = None,
) -> None:
    """Cross-validate one change of base.yaml after the other."""
    for given, known in ((change, CHANGES), (dataset, DATASETS)):
        if unknown := [name for name in given or () if name not in known]:
            raise typer.BadParameter(f"{unknown[0]!r} is none of: {', '.join(known)}")
    try:
        for name in dataset or DATASETS:
            run_dataset(name, change or list(CHANGES), HERE / f"{name}.csv", data_dir)
        write_report(sorted(HERE.glob("*.csv")))
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def run_dataset(name: str, changes: list[str], table: Path, data_dir: Path | None) -> None:
    """Append the folds that the table does not have yet, fold by fold, so that the changes can be compared early."""
    base = load_recipe(HERE / "base.yaml").model_copy(update={"max_epochs": DATASETS[name]})
    molecules, splits = without_test(read_dataset(name, data_dir, base.split))
    recipes = [changed(base, CHANGES[change], 0) for change in changes]
    featurised = {(it.side_features, it.atom_order_matters): molecules.featurized_for(it) for it in recipes}
    for fold, split in enumerate(splits):
        for change in changes:
            recipe = changed(base, CHANGES[change], seed=fold)
            run = Run(change, recipe_id(recipe), fold, SPLIT, FEATURIZATION)
            if is_done(table, run):
                continue
            start = Cost.now()
            scores = train_fold(
                featurised[recipe.side_features, recipe.atom_order_matters], split, recipe, CHANGES[change].callbacks()
            )
            append_results(table, run, {"valid": scores}, Cost.now().since(start), f"{os.cpu_count()} CPU cores")
            found = ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items())
            print(f"{name}, fold {fold}, {change}: {found}", flush=True)


def without_test(molecules: LabelledMolecules, num_folds: int = FOLDS) -> tuple[LabelledMolecules, list[Split]]:
    """The molecules without the labels of the scaffold split's test part, and splits of the others by scaffold.

    A split has all folds but one in train and that one in valid; its test is empty. Molecules without a ring, which
    would be one scaffold and more than a fold, are on any side.
    """
    test = split_molecules(molecules, "scaffold", 0).test
    targets = molecules.targets.copy()
    targets[test] = np.nan
    usable = np.array([error is None for error in molecules.graphs.errors])
    usable[test] = False
    keys = [
        (murcko_scaffold(smiles) or canonical_smiles(smiles)) if is_usable else None
        for smiles, is_usable in zip(molecules.smiles, usable, strict=True)
    ]
    nothing = np.empty(0, dtype=np.int64)
    rows = np.flatnonzero(usable)
    return replace(molecules, targets=targets), [
        Split(np.setdiff1d(rows, fold.test), fold.test, nothing) for fold in k_folds(keys, num_folds, seed=0)
    ]


def changed(base: Recipe, change: Change, seed: int) -> Recipe:
    return make_recipe(base.model_dump() | change.keys | {"seed": seed}, f"a change of {HERE / 'base.yaml'}")


def train_fold(
    molecules: LabelledMolecules, split: Split, recipe: Recipe, callbacks: list[lightning.Callback]
) -> dict[str, float | None]:
    """The score on the fold that was left out, in the best epoch and in the last."""
    metric = METRICS[molecules.task_type][0]
    with tempfile.TemporaryDirectory() as folder:
        trained = train_network(molecules, split, recipe, target_scale(molecules, split), Path(folder), callbacks)
        log = pd.read_csv(Path(folder) / "training_log.csv")
    return {metric: trained.valid_score, f"{metric}, last epoch": float(log[f"valid_{metric}"].iloc[-1])}


if __name__ == "__main__":
    typer.run(main)
