"""chemprop (https://github.com/chemprop/chemprop), driven through its own command line on our split."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.training.molecules import LabelledMolecules

_CHEMPROP_PARTS = {"train": "train", "valid": "val", "test": "test"}


def find_chemprop() -> str:
    """The ``chemprop`` command of this environment, else the first on ``PATH``.

    chemprop 2.3.1 wants an older RDKit than gatlib may have here, and is then better off on its own.

    Raises:
        InputError: it is not installed.
    """
    command = shutil.which("chemprop", path=str(Path(sys.executable).parent)) or shutil.which("chemprop")
    if command is None:
        raise InputError(
            "chemprop is not installed: pip install 'gatlib[bench]', or put a chemprop of another environment on PATH"
        )
    return command


def chemprop_settings() -> str:
    """The version of chemprop, and the settings it is run with.

    Raises:
        InputError: it is not installed, or cannot say its version.
    """
    return f"{_version(find_chemprop())}, default settings, 50 epochs"


@cache
def _version(command: str) -> str:
    ended = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise InputError(f"{command} --version ended with an error: {ended.stderr.strip().splitlines()[-1:]}")
    return ended.stdout.strip()


def chemprop_predictions(
    molecules: LabelledMolecules, split: Split, seed: int, folder: Path
) -> dict[str, NDArray[np.float64]]:
    """Predictions for valid and test of one network with chemprop's default settings.

    Its files stay in ``folder / "chemprop"``.

    Raises:
        InputError: chemprop is not installed, or ends with an error, of which the last line is given.
    """
    command, work = find_chemprop(), folder / "chemprop"
    shutil.rmtree(work, ignore_errors=True)  # it does not go on where it was stopped
    work.mkdir(parents=True)
    _write_table(molecules, split, work / "data.csv")
    _run(
        [
            *(command, "train", "-i", "data.csv", "-s", "smiles", "--splits-column", "split"),
            *("--target-columns", *molecules.tasks, "-t", molecules.task_type, "--accelerator", "cpu"),
            *("--metrics", "roc" if molecules.task_type == "classification" else "rmse"),
            *("--pytorch-seed", str(seed), "-o", "model"),
        ],
        work,
    )
    predictions = {}
    for part, rows in (("valid", split.valid), ("test", split.test)):
        pd.DataFrame({"smiles": [molecules.smiles[row] for row in rows]}).to_csv(work / f"{part}.csv", index=False)
        options = [
            "-i",
            f"{part}.csv",
            "-s",
            "smiles",
            "--model-paths",
            "model/model_0/best.pt",
            "--accelerator",
            "cpu",
        ]
        _run([command, "predict", *options, "-o", f"{part}_preds.csv"], work)
        predictions[part] = pd.read_csv(work / f"{part}_preds.csv")[molecules.tasks].to_numpy(dtype=np.float64)
    return predictions


def _write_table(molecules: LabelledMolecules, split: Split, path: Path) -> None:
    """The usable rows alone: chemprop refuses a file with one SMILES that RDKit does not read."""
    parts = [
        pd.DataFrame({"row": rows, "split": _CHEMPROP_PARTS[part]}) for part, rows in split.parts().items() if len(rows)
    ]
    table = pd.concat(parts).sort_values("row")
    rows = table["row"].to_numpy()
    table["smiles"] = [molecules.smiles[row] for row in rows]
    targets = pd.DataFrame(molecules.targets[rows], columns=molecules.tasks, index=table.index)
    pd.concat([table[["smiles", "split"]], targets], axis=1).to_csv(path, index=False)


def _run(command: list[str], folder: Path) -> None:
    with (folder / "chemprop.log").open("a", encoding="utf-8") as log:
        ended = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
    if ended.returncode != 0:
        lines = (folder / "chemprop.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise InputError(f"chemprop {command[1]} ended with an error, see {folder / 'chemprop.log'}: {lines[-1:]}")
