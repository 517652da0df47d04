"""The baselines to beat: forests and boosted trees on fingerprints and descriptors."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from gatlib.chem import InvalidMolecule, parse
from gatlib.data.cards import TaskType
from gatlib.data.splits import Split
from gatlib.training.molecules import LabelledMolecules

RADIUS, NUM_BITS, NUM_TREES = 2, 2048, 100
#: Above it a descriptor is cut off: single molecules reach 1e40 (Ipc).
LARGEST_DESCRIPTOR = 1e6

FOREST = f"Morgan counts radius {RADIUS}, {NUM_BITS} bits, {NUM_TREES} trees"
BOOSTING = f"Morgan counts radius {RADIUS}, {NUM_BITS} bits, and RDKit descriptors; histogram boosting"

Predictions = dict[str, NDArray[np.float64]]


def random_forest_predictions(molecules: LabelledMolecules, split: Split, seed: int) -> Predictions:
    """Predictions for valid and test of one forest per task on Morgan counts."""
    is_class = molecules.task_type == "classification"
    forest = RandomForestClassifier if is_class else RandomForestRegressor
    return _per_task(
        molecules, split, morgan_counts(molecules), lambda: forest(NUM_TREES, n_jobs=-1, random_state=seed)
    )


def gradient_boosting_predictions(molecules: LabelledMolecules, split: Split, seed: int) -> Predictions:
    """Predictions for valid and test of boosted trees per task on Morgan counts and RDKit descriptors.

    Columns that are the same in nearly all of train are left out: they cost time and say nothing.
    """
    is_class = molecules.task_type == "classification"
    boosting = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    counts = morgan_counts(molecules)
    often = (counts[split.train] > 0).sum(axis=0) >= min(10, len(split.train))
    features = np.hstack([counts[:, often].astype(np.float32), rdkit_descriptors(molecules)])
    return _per_task(molecules, split, features, lambda: boosting(random_state=seed, learning_rate=0.05, max_iter=150))


def morgan_counts(molecules: LabelledMolecules) -> NDArray[np.uint16]:
    """Counts of circular substructures, ``[rows, 2048]``; zeros for rows without a molecule.

    Source: Rogers and Hahn, "Extended-connectivity fingerprints", J. Chem. Inf. Model. 2010.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=NUM_BITS)
    counts = np.zeros((len(molecules.smiles), NUM_BITS), dtype=np.uint16)
    for row, molecule in _parsed(molecules):
        counts[row] = generator.GetCountFingerprintAsNumPy(molecule)
    return counts


def rdkit_descriptors(molecules: LabelledMolecules) -> NDArray[np.float32]:
    """RDKit's 2D descriptors, ``[rows, descriptors]``; NaN where RDKit has none, and for rows without a molecule."""
    names = [name for name, _ in Descriptors.descList]
    values = np.full((len(molecules.smiles), len(names)), np.nan)
    for row, molecule in _parsed(molecules):
        found = Descriptors.CalcMolDescriptors(molecule, missingVal=np.nan, silent=True)
        values[row] = [found[name] for name in names]
    return np.clip(values, -LARGEST_DESCRIPTOR, LARGEST_DESCRIPTOR).astype(np.float32)


def _parsed(molecules: LabelledMolecules) -> Iterator[tuple[int, Chem.Mol]]:
    """The rows whose SMILES RDKit reads; sets that come with graphs may have others."""
    for row, error in enumerate(molecules.graphs.errors):
        if error is None:
            with suppress(InvalidMolecule), rdBase.BlockLogs():
                yield row, parse(molecules.smiles[row])


def _per_task(
    molecules: LabelledMolecules, split: Split, features: NDArray[Any], make_model: Callable[[], Any]
) -> Predictions:
    """One model per task, trained on the known labels of train.

    A task with one class in train is predicted as that class, one without labels as 0.
    """
    parts = {"valid": split.valid, "test": split.test}
    predictions = {part: np.zeros((len(rows), len(molecules.tasks))) for part, rows in parts.items()}
    for task in range(len(molecules.tasks)):
        rows = split.train[~np.isnan(molecules.targets[split.train, task])]
        if len(rows) == 0:
            continue
        labels = molecules.targets[rows, task]
        if molecules.task_type == "classification" and len(np.unique(labels)) == 1:
            for part in parts:
                predictions[part][:, task] = labels[0]
            continue
        model = make_model()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # descriptors that are NaN for all molecules of a task
            model.fit(features[rows], labels)
        for part, part_rows in parts.items():
            predictions[part][:, task] = _predicted(model, features[part_rows], molecules.task_type)
    return predictions


def _predicted(model: Any, features: NDArray[Any], task_type: TaskType) -> NDArray[np.float64]:
    if task_type == "regression":
        values: NDArray[np.float64] = model.predict(features)
        return values
    probabilities: NDArray[np.float64] = model.predict_proba(features)[:, list(model.classes_).index(1.0)]
    return probabilities
