"""The baseline to beat: a random forest on Morgan count fingerprints."""

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from gatlib.chem import parse
from gatlib.data.splits import Split
from gatlib.training.molecules import LabelledMolecules

RADIUS, NUM_BITS, NUM_TREES = 2, 2048, 100


def morgan_counts(molecules: LabelledMolecules) -> NDArray[np.uint16]:
    """Counts of circular substructures, ``[rows, 2048]``; zeros for rows without a molecule.

    Source: Rogers and Hahn, "Extended-connectivity fingerprints", J. Chem. Inf. Model. 2010.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=NUM_BITS)
    counts = np.zeros((len(molecules.smiles), NUM_BITS), dtype=np.uint16)
    for row, error in enumerate(molecules.graphs.errors):
        if error is None:
            counts[row] = generator.GetCountFingerprintAsNumPy(parse(molecules.smiles[row]))
    return counts


def random_forest_predictions(molecules: LabelledMolecules, split: Split, seed: int) -> dict[str, NDArray[np.float64]]:
    """Predictions for valid and test of one forest per task, trained on the known labels of train.

    A task with one class in train is predicted as that class.
    """
    counts = morgan_counts(molecules)
    parts = {"valid": split.valid, "test": split.test}
    predictions = {part: np.zeros((len(rows), len(molecules.tasks))) for part, rows in parts.items()}
    for task in range(len(molecules.tasks)):
        rows = split.train[~np.isnan(molecules.targets[split.train, task])]
        if molecules.task_type == "classification":
            forest = RandomForestClassifier(NUM_TREES, n_jobs=-1, random_state=seed)
            forest.fit(counts[rows], molecules.targets[rows, task])
            active = list(forest.classes_).index(1.0) if 1.0 in forest.classes_ else None
            for part, part_rows in parts.items():
                if active is not None:
                    predictions[part][:, task] = forest.predict_proba(counts[part_rows])[:, active]
        else:
            model = RandomForestRegressor(NUM_TREES, n_jobs=-1, random_state=seed)
            model.fit(counts[rows], molecules.targets[rows, task])
            for part, part_rows in parts.items():
                predictions[part][:, task] = model.predict(counts[part_rows])
    return predictions
