"""The mean of the predictions of several runs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd


def write_mean_predictions(
    members: Sequence[Path], folder: Path, mean_of: Callable[[Sequence[Path]], pd.DataFrame | None]
) -> bool:
    """Write ``test_predictions.csv`` with the means of those of the members, and ``valid_predictions.csv`` likewise.

    Args:
        members: folders of runs.
        folder: of the result; made if need be.
        mean_of: the mean of several tables, None where they are of different rows.

    Returns:
        False, and nothing is written, where the members were not tested on the same rows. Where only their valid rows
        differ, there is no table of valid.
    """
    means = {part: mean_of([member / f"{part}_predictions.csv" for member in members]) for part in ("valid", "test")}
    if means["test"] is None:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for part, mean in means.items():
        if mean is not None:
            mean.to_csv(folder / f"{part}_predictions.csv", index=False, float_format="%.6g")
    return True
