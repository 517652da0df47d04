"""Dropout whose random numbers cost less on a CPU."""

import torch
from torch import Tensor, nn

_RATES = 2**16  # that 16 bits of a random number tell apart


class Dropout(nn.Dropout):
    r"""`torch.nn.Dropout`, which on a CPU decides about two elements by each random number.

    .. math::
        y_i = \frac{m_i x_i}{1 - p}, \qquad m_i \sim \mathrm{Bernoulli}(1 - p)

    as in `"Dropout: A Simple Way to Prevent Neural Networks from Overfitting"
    <https://jmlr.org/papers/v15/srivastava14a.html>`_, with :math:`p` rounded to the nearest of 65,536 rates. Drawing
    random numbers is a large part of a training step on a CPU.

    Args:
        p: Probability of zeroing an element. Default: 0.5.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """The function that :class:`Dropout` is.

    Args:
        x: Any tensor of floats.
        p: Probability of zeroing an element.
        training: Else `x` is given back as it is.
    """
    dropped = round(p * _RATES)
    if not training or x.device.type != "cpu" or not 0 < dropped < _RATES:
        return nn.functional.dropout(x, p, training)
    numbers = torch.randint(-(2**31), 2**31, ((x.numel() + 1) // 2,), dtype=torch.int32)
    kept = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - _RATES // 2
    return x * kept.to(x.dtype).mul_(_RATES / (_RATES - dropped))
