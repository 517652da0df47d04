"""Which of several models to take the mean of, and with which weights: chosen on valid."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.errors import InputError
from gatlib.experiments.scores import PREDICTED, predicted_tasks
from gatlib.metrics import HIGHER_IS_BETTER, TaskType, metrics_with_mean

#: At most so many members, of which some are the same: weights in steps of a tenth.
MOST_MEMBERS = 10
#: Samples of valid that are selected on; experiments/ablation/ensembles compares it with one selection on all of valid.
BOOTSTRAPS = 20

#: Of targets and predictions, ``[rows, tasks]`` each, the higher the better; NaN where there is none.
Score = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def score_by(metric: str, task_type: TaskType) -> Score:
    """The mean over tasks of a metric, with the sign that makes more the better."""
    sign = 1.0 if metric in HIGHER_IS_BETTER else -1.0

    def score(targets: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
        tasks = [str(column) for column in range(targets.shape[1])]
        return sign * float(metrics_with_mean(targets, predictions, tasks, task_type)[metric].iloc[-1])

    return score


def select_weights(predictions: NDArray[np.float64], targets: NDArray[np.float64], score: Score) -> NDArray[np.float64]:
    """The weight of each model: the mean over bootstrap samples of valid of its share of :func:`select_members`.

    Valid is small, so that one selection on all of it takes the model that happens to be ahead there; samples share
    the weight among those that are about as good. Samples on which nothing can be scored are passed over.

    Args:
        predictions: of each model for the molecules of valid, ``[models, rows, tasks]``.
        targets: of these molecules, ``[rows, tasks]``.
        score: what to choose by, on some of the rows.

    Returns:
        ``[models]``, which sum to one.

    Raises:
        InputError: no model has a score on any sample.

    Source: Breiman, "Bagging predictors", Machine Learning 24, 1996, of the selection of Caruana et al., ICML 2004.
    """
    samples = np.random.default_rng(0).integers(len(targets) or 1, size=(BOOTSTRAPS, len(targets)))
    shares = []
    for rows in samples:
        members = select_members(list(predictions[:, rows]), partial(score, targets[rows]))
        if members:
            shares.append(np.bincount(members, minlength=len(predictions)) / len(members))
    if not shares:
        raise InputError("no model can be scored on valid: it needs known labels, of both classes where there are two")
    return np.mean(shares, axis=0)


def select_members(
    predictions: Sequence[NDArray[np.float64]], score: Callable[[NDArray[np.float64]], float]
) -> list[int]:
    """Start from the best model and add, again and again, that with which the mean is best; stop when none helps.

    A model that is added several times has a larger weight.

    Args:
        predictions: of each model for the same molecules of valid, ``[rows, tasks]`` each.
        score: of predictions, the higher the better.

    Returns:
        Positions in ``predictions``, in the order of the selection, with repetition; at most ten. None where no model
        has a score.

    Source: Caruana et al., "Ensemble selection from libraries of models", ICML 2004.
    """
    members: list[int] = []
    total, best = np.zeros_like(predictions[0]), -np.inf
    while len(members) < MOST_MEMBERS:
        scores = [score((total + added) / (len(members) + 1)) for added in predictions]
        if np.isnan(scores).all():
            break
        chosen = int(np.nanargmax(scores))
        if not scores[chosen] > best:
            break
        members.append(chosen)
        total, best = total + predictions[chosen], scores[chosen]
    return members


def write_selected(
    members: Mapping[str, Sequence[Path]], folder: Path, metric: str, task_type: TaskType
) -> dict[str, float]:
    """Write ``valid_predictions.csv`` and ``test_predictions.csv`` of the ensemble that is selected on valid.

    Args:
        members: folders of the runs of each model, one for each seed; a model's predictions are the mean over them.
        folder: of the result; made if need be, with ``members.csv`` in it too.
        metric: that chooses, the mean over tasks.
        task_type: of the tasks.

    Returns:
        The weight of each model that was selected; see :func:`select_weights`.

    Raises:
        InputError: the runs are not of the same molecules; nothing can be scored on valid.
    """
    names = list(members)
    tables = {part: [_mean_over_seeds(members[name], part) for name in names] for part in ("valid", "test")}
    for part, of_models in tables.items():
        for name, table in zip(names, of_models, strict=True):
            if not table["row"].equals(of_models[0]["row"]):
                raise InputError(
                    f"the {part} molecules of {name!r} are not those of {names[0]!r}: one of them ran on other data; "
                    f"remove {members[name][0].parent} or {members[names[0]][0].parent}"
                )
    tasks = predicted_tasks(tables["valid"][0])
    columns = [task + PREDICTED for task in tasks]
    targets = tables["valid"][0][tasks].to_numpy(dtype=np.float64)
    predictions = {part: np.stack([table[columns].to_numpy(np.float64) for table in tables[part]]) for part in tables}
    found = select_weights(predictions["valid"], targets, score_by(metric, task_type))
    weights = {name: float(weight) for name, weight in zip(names, found, strict=True) if weight > 0}
    folder.mkdir(parents=True, exist_ok=True)
    for part, of_models in tables.items():
        mean = of_models[0].copy()
        mean[columns] = np.tensordot(found, predictions[part], axes=1)
        mean.to_csv(folder / f"{part}_predictions.csv", index=False, float_format="%.6g")
    pd.DataFrame(weights.items(), columns=["model", "weight"]).to_csv(folder / "members.csv", index=False)
    return weights


def _mean_over_seeds(folders: Sequence[Path], part: str) -> pd.DataFrame:
    mean = mean_predictions([folder / f"{part}_predictions.csv" for folder in folders])
    if mean is None:
        raise InputError(f"the {part} molecules of the runs in {folders[0].parent} differ: remove those on other data")
    return mean


def mean_predictions(members: Sequence[Path]) -> pd.DataFrame | None:
    """The mean of several tables of predictions, None where they are of different molecules."""
    tables = [pd.read_csv(member) for member in members]
    if any(not table["row"].equals(tables[0]["row"]) for table in tables):
        return None
    mean = tables[0]
    columns = [task + PREDICTED for task in predicted_tasks(mean)]
    mean[columns] = np.mean([table[columns].to_numpy() for table in tables], axis=0)
    return mean
