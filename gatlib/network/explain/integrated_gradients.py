"""What an input matters: integrated gradients, with as many steps as completeness asks for."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_POINTS = 3
_TOLERANCE = 1e-3  # of the change, or of 1 where it is smaller
_LEAST_SHARE = 0.1  # of that, for a part of the path however short
_MOST_GRADIENTS = 300


@dataclass(frozen=True)
class PathIntegral:
    """The mean gradient between an input of zeros and the input."""

    mean_gradient: Tensor  # [n, C], float64; times the input it is the attribution
    at_zero: float  # the value for an input of zeros
    at_input: float
    gap: float  # the sum of the attributions minus (at_input - at_zero)


def path_integral(value: Callable[[Tensor], Tensor], x: Tensor) -> PathIntegral:
    r"""The integral of `Integrated Gradients <https://arxiv.org/abs/1703.01365>`_ (Sundararajan et al., ICML 2017).

    .. math::
        \phi_{if} = x_{if} \int_0^1 \frac{\partial F(t \mathbf{X})}{\partial x_{if}} \, dt, \qquad
        \sum_{i, f} \phi_{if} = F(\mathbf{X}) - F(\mathbf{0})

    The second equation, completeness, also says how good a sum in place of the integral is, on any part
    :math:`[a, b]` of the path: it must give :math:`F(b \mathbf{X}) - F(a \mathbf{X})`. A part for which it does not is
    halved. A network with layer normalisation needs this: close to zero it changes within a hundredth of the path.

    Args:
        value: :math:`F`, of an input to one number.
        x: the input.

    Shapes:
        - **x:** ``[n, C]``
    """
    points, shares = np.polynomial.legendre.leggauss(_POINTS)

    def at(t: float) -> float:
        with torch.no_grad():
            return float(value(t * x))

    def gradient(t: float) -> Tensor:
        scaled = (t * x).requires_grad_()
        (found,) = torch.autograd.grad(value(scaled), scaled)
        return found

    total = torch.zeros(x.shape, dtype=torch.float64)
    ends = {0.0: at(0.0), 1.0: at(1.0)}
    tolerance = _TOLERANCE * max(1.0, abs(ends[1.0] - ends[0.0]))
    parts = deque([(0.0, 1.0)])  # those of equal length one after the other: what cannot be finished is so everywhere
    num_gradients, gap = 0, 0.0
    while parts:
        start, stop = parts.popleft()
        half = (stop - start) / 2
        part = torch.zeros_like(total)
        for point, share in zip(points.tolist(), shares.tolist(), strict=True):
            part += half * share * gradient(start + half * (1 + point))
        num_gradients += _POINTS
        missed = float((part * x).sum()) - (ends[stop] - ends[start])
        if abs(missed) <= tolerance * max(stop - start, _LEAST_SHARE) or num_gradients >= _MOST_GRADIENTS:
            total, gap = total + part, gap + missed
            continue
        middle = start + half
        ends[middle] = at(middle)
        parts += [(start, middle), (middle, stop)]
    return PathIntegral(total, ends[0.0], ends[1.0], gap)
