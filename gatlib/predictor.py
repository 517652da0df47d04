"""From SMILES to predictions, with a trained model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gatlib.checkpoint import ModelDescription, load_model
from gatlib.chem import MoleculeGraphs, featurize
from gatlib.data.batches import GraphBatches
from gatlib.model_folder import model_folder
from gatlib.models import GraphAttentionNetwork
from gatlib.threads import one_thread_if_small

DEFAULT_MODEL = "tox21"
_ATOMS_PER_BATCH = 1_000  # small enough for the activations to stay in a CPU's cache


@dataclass(frozen=True)
class Predictions:
    """``values`` ``[inputs, tasks]``, NaN where there is an error; ``errors`` one reason or None per input."""

    values: NDArray[np.float32]
    errors: list[str | None]


class Predictor:
    """A trained model that predicts from SMILES; it knows its own featurisation.

    Example::

        >>> from gatlib import Predictor
        >>> Predictor.load("tox21").predict(["CCO", "not a molecule"])
    """

    def __init__(self, network: GraphAttentionNetwork, description: ModelDescription) -> None:
        self.network = network
        self.description = description

    @classmethod
    def load(cls, model: str | Path = DEFAULT_MODEL) -> "Predictor":
        """The predictor of a bundled model's name or of a folder that ``gatlib train`` wrote.

        Raises:
            gatlib.InputError: no such model, or a folder that is truncated, edited or from a newer gatlib.
        """
        return cls(*load_model(model_folder(model)))

    @property
    def columns(self) -> list[str]:
        """The names of the prediction columns: ``<task>_pred``."""
        return [f"{task}_pred" for task in self.description.tasks]

    def predict(self, smiles: Iterable[object]) -> pd.DataFrame:
        """Predict the properties of molecules.

        Args:
            smiles: any number of SMILES. What is no molecule keeps its row.

        Returns:
            One row per input, in order: ``smiles``, one ``<task>_pred`` per task (the probability of a class,
            or the value in :attr:`description`'s unit) and ``error``: the reason when there is no prediction,
            else empty.
        """
        inputs = [smiles] if isinstance(smiles, str) else list(smiles)
        predictions = self.predict_graphs(self.featurize(inputs))
        left = pd.DataFrame({"smiles": pd.Series(inputs, dtype=object)})
        right = pd.DataFrame({"error": pd.Series([error or "" for error in predictions.errors], dtype=object)})
        return pd.concat([left, pd.DataFrame(predictions.values, columns=self.columns), right], axis=1)

    def featurize(self, smiles: Iterable[object]) -> MoleculeGraphs:
        """The graphs of SMILES as this model wants them, with its side features."""
        settings = self.description.architecture
        return featurize(smiles, settings.side_features, canonical=settings.atom_order_matters)

    @torch.inference_mode()
    def predict_graphs(self, graphs: MoleculeGraphs) -> Predictions:
        """Predict from graphs that are already featurised, see :meth:`featurize`."""
        values = np.full((len(graphs), len(self.description.tasks)), np.nan, dtype=np.float32)
        rows = np.flatnonzero([error is None for error in graphs.errors])
        batches = GraphBatches(graphs, rows)
        with one_thread_if_small(graphs.atom_ptr[-1] + graphs.edge_ptr[-1]):
            for positions in batches_by_size(np.diff(graphs.atom_ptr)[rows]):
                values[rows[positions]] = self._scale(self.network(batches[positions])).numpy()
        return Predictions(values, list(graphs.errors))

    def _scale(self, outputs: torch.Tensor) -> torch.Tensor:
        if self.description.task_type == "classification":
            return outputs.sigmoid()
        std, mean = torch.tensor(self.description.target_std), torch.tensor(self.description.target_mean)
        return outputs * std + mean


def batches_by_size(
    num_atoms: NDArray[np.int64], atoms_per_batch: int = _ATOMS_PER_BATCH
) -> Iterator[NDArray[np.int64]]:
    """Consecutive positions in batches of about ``atoms_per_batch`` atoms, at least one molecule each."""
    if len(num_atoms) == 0:
        return
    batch_of = np.cumsum(num_atoms) // atoms_per_batch
    yield from np.split(np.arange(len(num_atoms)), np.flatnonzero(np.diff(batch_of)) + 1)
