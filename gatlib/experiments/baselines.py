"""The baselines to beat: forests and boosted trees on fingerprints and descriptors."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from gatlib.chem.fingerprints import NUM_BITS, RADIUS
from gatlib.chem.side_features import morgan_counts, rdkit_descriptors
from gatlib.data.cards import TaskType
from gatlib.data.splits import Split
from gatlib.training.molecules import LabelledMolecules

NUM_TREES = 100
NUM_TREES_OF_LARGE = 1000
FOREST = f"Morgan counts radius {RADIUS}, {NUM_BITS} bits, {NUM_TREES} trees"
LARGE_FOREST = (
    f"Morgan counts radius {RADIUS}, {NUM_BITS} bits, and RDKit descriptors; {NUM_TREES_OF_LARGE} trees, at least 2 "
    "molecules in a leaf"
)
BOOSTING = f"Morgan counts radius {RADIUS}, {NUM_BITS} bits, and RDKit descriptors; histogram boosting"

Predictions = dict[str, NDArray[np.float64]]


def random_forest_predictions(molecules: LabelledMolecules, split: Split, seed: int) -> Predictions:
    """Predictions for valid and test of one forest per task on Morgan counts."""
    is_class = molecules.task_type == "classification"
    forest = RandomForestClassifier if is_class else RandomForestRegressor
    return _per_task(
        molecules,
        split,
        morgan_counts(_known_smiles(molecules)),
        lambda: forest(NUM_TREES, n_jobs=-1, random_state=seed),
    )


def large_forest_predictions(molecules: LabelledMolecules, split: Split, seed: int) -> Predictions:
    """Predictions for valid and test of a forest per task that sees what boosting sees, and is ten times as large.

    Entropy and two molecules in a leaf are what the best entries of fingerprints for ogbg-molhiv have.
    """
    features = _counts_and_descriptors(molecules, split)
    if molecules.task_type == "classification":
        return _per_task(
            molecules,
            split,
            features,
            lambda: RandomForestClassifier(
                NUM_TREES_OF_LARGE, criterion="entropy", min_samples_leaf=2, n_jobs=-1, random_state=seed
            ),
        )
    return _per_task(
        molecules,
        split,
        features,
        lambda: RandomForestRegressor(
            NUM_TREES_OF_LARGE, max_features=1 / 3, min_samples_leaf=2, n_jobs=-1, random_state=seed
        ),
    )


def gradient_boosting_predictions(molecules: LabelledMolecules, split: Split, seed: int) -> Predictions:
    """Predictions for valid and test of boosted trees per task on Morgan counts and RDKit descriptors."""
    is_class = molecules.task_type == "classification"
    boosting = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    features = _counts_and_descriptors(molecules, split)
    return _per_task(molecules, split, features, lambda: boosting(random_state=seed, learning_rate=0.05, max_iter=150))


def _counts_and_descriptors(molecules: LabelledMolecules, split: Split) -> NDArray[np.float32]:
    """Columns that are the same in nearly all of train are left out: they cost time and say nothing."""
    smiles = _known_smiles(molecules)
    counts = morgan_counts(smiles)
    often = (counts[split.train] > 0).sum(axis=0) >= min(10, len(split.train))
    return np.hstack([counts[:, often].astype(np.float32), _descriptors(tuple(smiles))])


@lru_cache(maxsize=1)
def _descriptors(smiles: tuple[str | None, ...]) -> NDArray[np.float32]:
    """Once for all seeds: 41,000 molecules take minutes."""
    return rdkit_descriptors(smiles)


def _known_smiles(molecules: LabelledMolecules) -> list[str | None]:
    """None for rows that are set aside; sets that come with graphs may have others that RDKit does not read."""
    errors = molecules.graphs.errors
    return [text if error is None else None for text, error in zip(molecules.smiles, errors, strict=True)]


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
