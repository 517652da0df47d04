"""Compare a model with the labels of a table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatlib.data.tables import open_table, target_values
from gatlib.errors import InputError
from gatlib.metrics import metrics_with_mean
from gatlib.predictor import Predictor


@dataclass(frozen=True)
class Evaluation:
    """``metrics``: a row per task and one for the mean; the rows of the table, and how many had no prediction."""

    metrics: pd.DataFrame
    rows: int
    errors: int
    missing_tasks: list[str]


def evaluate_file(predictor: Predictor, source: str, smiles_column: str | None = None) -> Evaluation:
    """Metrics of a model on every labelled row of a table; rows without a molecule are counted, not scored.

    Raises:
        InputError: the table has none of the model's tasks as a column, or labels that are no labels; see also
            :func:`gatlib.data.tables.open_table`.
    """
    description = predictor.description
    with open_table(source, smiles_column) as table:
        tasks = [task for task in description.tasks if task in table.columns]
        if not tasks:
            raise InputError(
                f"{source} has no column named like a task of the model ({', '.join(map(repr, description.tasks))}); "
                f"its columns are {', '.join(map(repr, table.columns))}"
            )
        rows = list(table.rows)
        targets = target_values(
            [row.cells for row in rows], table, tasks, description.task_type, one_class_allowed=True
        )
        smiles = [row.cells[table.smiles_index] for row in rows]
    predictions = predictor.predict_graphs(predictor.featurize(smiles))
    scored = np.array([error is None for error in predictions.errors])
    scored &= np.array([row.problem is None for row in rows])
    columns = [description.tasks.index(task) for task in tasks]
    metrics = metrics_with_mean(targets[scored], predictions.values[scored][:, columns], tasks, description.task_type)
    missing = [task for task in description.tasks if task not in tasks]
    return Evaluation(metrics, len(rows), int((~scored).sum()), missing)
