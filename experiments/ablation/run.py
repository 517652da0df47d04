"""What raises quality on small sets: one change at a time, cross-validated, the molecules of test left out.

    python experiments/ablation/run.py [--dataset esol --dataset bbbp] [--change "virtual node"] [--folds 5]

The molecules outside the test part of the scaffold split are cut into folds of whole scaffolds; each change of
changes.py learns from all folds but one and is scored on that one. Scores are appended to results.csv as they come, and
what is there already is not run again; README.md and folds.png are made from it.
"""

import datetime as dt
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import lightning
import numpy as np
import pandas as pd
import typer
from changes import CHANGES, Change
from report import write_report

from gatlib.chem import canonical_smiles, murcko_scaffold
from gatlib.data.files import atomic_path
from gatlib.data.splits import Split, k_folds
from gatlib.errors import InputError
from gatlib.experiments.results import commit
from gatlib.metrics import METRICS
from gatlib.training.fit import target_scale, train_network
from gatlib.training.molecules import LabelledMolecules, split_molecules
from gatlib.training.recipe import Recipe, load_recipe, make_recipe
from gatlib.training.run_folder import library_versions
from gatlib.training.train import read_dataset

HERE = Path(__file__).parent
TABLE = HERE / "results.csv"
#: With how many epochs: on BBBP it knows the training folds by heart sooner.
DATASETS = {"esol": 40, "freesolv": 40, "bbbp": 20}
KEY = ["dataset", "change", "folds", "fold"]


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Data sets; all of them by default.")] = None,
    change: Annotated[list[str] | None, typer.Option(help="Changes; all of them by default.")] = None,
    folds: Annotated[int, typer.Option(min=3, help="Folds of the cross-validation.")] = 5,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data sets are.")] = None,
) -> None:
    """Cross-validate one change of base.yaml after the other."""
    if unknown := [name for name in change or () if name not in CHANGES]:
        raise typer.BadParameter(f"there is no change {unknown[0]!r}; there are: {', '.join(CHANGES)}")
    if unknown := [name for name in dataset or () if name not in DATASETS]:
        raise typer.BadParameter(f"there is no data set {unknown[0]!r} here; there are: {', '.join(DATASETS)}")
    for name in dataset or DATASETS:
        base = load_recipe(HERE / "base.yaml").model_copy(update={"max_epochs": DATASETS[name]})
        try:
            molecules, splits = without_test(read_dataset(name, data_dir, base.split), folds)
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
        featurised = {kind: molecules.with_side_features(kind) for kind in ("none", "morgan", "descriptors")}
        for fold, split in enumerate(splits):  # fold by fold, so that the changes can be compared early
            for asked in change or CHANGES:
                if is_done(TABLE, (name, asked, folds, fold)):
                    continue
                recipe = changed(base, CHANGES[asked], seed=fold)
                row = train_fold(featurised[recipe.side_features], split, recipe, CHANGES[asked].callbacks())
                append(TABLE, {"dataset": name, "change": asked, "folds": folds, "fold": fold, **row})
                print(f"{name}, fold {fold}, {asked}: {row['metric']} {row['best']:.4f}", flush=True)
    write_report(TABLE)


def without_test(molecules: LabelledMolecules, num_folds: int) -> tuple[LabelledMolecules, list[Split]]:
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
    return make_recipe(base.model_dump() | dict(change.keys) | {"seed": seed}, f"a change of {HERE / 'base.yaml'}")


def train_fold(
    molecules: LabelledMolecules, split: Split, recipe: Recipe, callbacks: list[lightning.Callback]
) -> dict[str, object]:
    """The score on the fold that was left out, in the best epoch and in the last, and what the training cost."""
    metric = METRICS[molecules.task_type][0]
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trained = train_network(molecules, split, recipe, target_scale(molecules, split), Path(folder), callbacks)
        log = pd.read_csv(Path(folder) / "training_log.csv")
    return {
        "metric": metric,
        "best": trained.valid_score,
        "last": float(log[f"valid_{metric}"].iloc[-1]),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def is_done(table: Path, key: tuple[str, str, int, int]) -> bool:
    return table.exists() and key in set(pd.read_csv(table)[KEY].itertuples(index=False, name=None))


def append(table: Path, row: dict[str, object]) -> None:
    versions = " ".join(f"{package}={version}" for package, version in library_versions().items())
    full = {"date": dt.date.today().isoformat(), "commit": commit(), **row, "versions": versions}
    new = pd.DataFrame([full]).round({"best": 6, "last": 6})
    before = [pd.read_csv(table)] if table.exists() else []
    with atomic_path(table) as partial:
        pd.concat([*before, new], ignore_index=True).to_csv(partial, index=False)


if __name__ == "__main__":
    typer.run(main)
