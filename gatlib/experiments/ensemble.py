"""The mean of the predictions of several runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gatlib.experiments.scores import PREDICTED, predicted_tasks


def write_mean_predictions(members: Sequence[Path], folder: Path) -> bool:
    """Write ``valid_predictions.csv`` and ``test_predictions.csv`` with the means of those of the members.

    Args:
        members: folders of runs.
        folder: of the result; made if need be.

    Returns:
        False, and nothing is written, where the members did not predict the same molecules.
    """
    means = {}
    for part in ("valid", "test"):
        tables = [pd.read_csv(member / f"{part}_predictions.csv") for member in members]
        if any(not table["row"].equals(tables[0]["row"]) for table in tables):
            return False
        mean = tables[0]
        columns = [task + PREDICTED for task in predicted_tasks(mean)]
        mean[columns] = np.mean([table[columns].to_numpy() for table in tables], axis=0)
        means[part] = mean
    folder.mkdir(parents=True, exist_ok=True)
    for part, mean in means.items():
        mean.to_csv(folder / f"{part}_predictions.csv", index=False, float_format="%.6g")
    return True
