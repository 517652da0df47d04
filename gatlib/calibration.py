"""Probabilities that mean what they say."""

import math

from torch import Tensor

from gatlib.errors import InputError

# Beyond these every probability is as good as 0, 1 or the same for all classes.
COLDEST, HOTTEST = 0.01, 100.0


def fit_temperature(logits: Tensor, y: Tensor) -> float:
    r"""The temperature of `"On Calibration of Modern Neural Networks" <https://arxiv.org/abs/1706.04599>`_.

    .. math::
        \hat{T} = \underset{T}{\mathrm{argmin}} \; -\sum_i \log \mathrm{softmax}(\mathbf{z}_i / T)_{y_i}

    The sum is convex in :math:`1 / T`: its slope, the mean logit that the probabilities expect less that of the true
    class, only rises, and is bisected for its zero. Dividing by :math:`T` leaves the order of the classes as it is.

    Args:
        logits: of nodes or molecules that the network did not learn from.
        y: their classes as int64, -1 where unknown.

    Shapes:
        - **logits:** :math:`(N, C)`, **y:** :math:`(N)`

    Returns:
        A number from 0.01 to 100; ``(logits / temperature).softmax(dim=1)`` are the calibrated probabilities.

    Raises:
        InputError: no class is known, or a logit is no number.
    """
    known = y >= 0
    logits, y = logits[known].double(), y[known]
    if not len(y):
        raise InputError("no class is known to fit a temperature to: give labelled rows that were not trained on")
    if not bool(logits.isfinite().all()):
        raise InputError("the temperature cannot be fitted to logits that are no finite numbers: train the model again")
    of_truth = logits.gather(1, y.unsqueeze(1)).mean()
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)  # of 1 / T
    for _ in range(50):
        middle = (low + high) / 2
        expected = ((logits * math.exp(middle)).softmax(dim=1) * logits).sum(dim=1).mean()
        low, high = (low, middle) if expected > of_truth else (middle, high)
    return math.exp(-(low + high) / 2)
