"""RDKit descriptors as further things to learn, so that a few thousand labels teach more chemistry."""

import numpy as np
import torch
from numpy.typing import NDArray

from gatlib.chem import descriptors
from gatlib.data.splits import Split
from gatlib.training.molecules import LabelledMolecules

_TAIL = 1e-3  # quantiles are cut here: normal scores lie within ±3.1


def descriptor_targets(molecules: LabelledMolecules, split: Split) -> NDArray[np.float64]:
    """Normal scores of the descriptors of every train row, ``[rows, descriptors]``, NaN elsewhere and where undefined.

    A value becomes the standard normal deviate of its rank among the train rows: descriptors have heavy tails,
    and squared errors must not be spent on these. Descriptors that are the same for all train rows, or undefined
    for more than a tenth of them, are left out.
    """
    values = descriptors(molecules.smiles[row] for row in split.train)
    known = np.isfinite(values)
    spread = np.where(known, values, -np.inf).max(axis=0) > np.where(known, values, np.inf).min(axis=0)
    values = values[:, spread & (known.mean(axis=0) > 0.9)]
    scores = np.full((len(molecules.smiles), values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        scores[split.train, column] = _normal_scores(values[:, column])
    return scores


def _normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranked = np.sort(values[np.isfinite(values)])
    middle = (np.searchsorted(ranked, values, "left") + np.searchsorted(ranked, values, "right")) / 2
    quantiles = np.clip(middle / len(ranked), _TAIL, 1 - _TAIL)
    scores = torch.special.ndtri(torch.from_numpy(quantiles)).numpy()
    return np.where(np.isfinite(values), scores, np.nan)
