"""Losses beyond those of PyTorch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AdditiveMarginSoftmax(nn.Module):
    r"""The loss of `"Additive Margin Softmax for Face Verification" <https://arxiv.org/abs/1801.05599>`_.

    .. math::
        \mathcal{L} = -\frac{1}{N} \sum_{n=1}^{N} \log \frac{e^{s (\cos \theta_{n, y_n} - m)}}
        {e^{s (\cos \theta_{n, y_n} - m)} + \sum_{k \neq y_n} e^{s \cos \theta_{nk}}}, \qquad
        \cos \theta_{nk} = \frac{\mathbf{w}_k^\top \mathbf{x}_n}{\lVert \mathbf{w}_k \rVert \lVert \mathbf{x}_n \rVert}

    where :math:`y_n` is the class of example :math:`n`. Only directions count, and each example has to lie nearer to
    its own class than to any other by the margin :math:`m`. The same loss is known as
    `CosFace <https://arxiv.org/abs/1801.09414>`_. A vector of zeros has no direction: its cosines are zero, and so is
    its gradient.

    Args:
        channels: Features per example.
        num_classes: Number of classes, 2 or more.
        scale: The scale :math:`s`. Default: 30.
        margin: The margin :math:`m`. Default: 0.35.

    Shapes:
        - **x:** :math:`(N, C)`, **target:** :math:`(N)` int64
        - **loss:** :math:`()`, **logits:** :math:`(N, K)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(self, channels: int, num_classes: int, scale: float = 30.0, margin: float = 0.35) -> None:
        super().__init__()
        for name, number, least in (("channels", channels, 1), ("num_classes", num_classes, 2)):
            if number < least:
                raise ValueError(f"{name} must be {least} or more; found {number}.")
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be a positive number; found {scale}.")
        if not 0 <= margin < math.inf:
            raise ValueError(f"margin must be 0 or a positive number; found {margin}.")
        self.channels, self.num_classes, self.scale, self.margin = channels, num_classes, scale, margin
        self.weight = nn.Parameter(torch.empty(num_classes, channels))
        nn.init.xavier_uniform_(self.weight)

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.num_classes}, scale={self.scale}, margin={self.margin}"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The mean loss.

        Args:
            x: A vector for each of one or more examples.
            target: The class of each.
        """
        logits = self.logits(x)
        self._check_target(target, x.size(0))
        margins = logits.new_full((x.size(0), 1), self.scale * self.margin)
        return F.cross_entropy(logits.scatter_add(1, target.unsqueeze(1), -margins), target)

    def logits(self, x: Tensor) -> Tensor:
        """The scaled cosines to every class, without the margin: what predictions are made of.

        Args:
            x: A vector for each example.
        """
        if x.dim() != 2 or x.size(1) != self.channels or not x.is_floating_point():
            raise ValueError(f"x must be floating point of shape [examples, {self.channels}]; found {_found(x)}.")
        return self.scale * F.linear(_directions(x), _directions(self.weight))

    def _check_target(self, target: Tensor, num_examples: int) -> None:
        if num_examples == 0:
            raise ValueError("x must hold at least one example, for there to be a mean loss; found 0.")
        if target.dtype != torch.int64 or list(target.shape) != [num_examples]:
            raise ValueError(f"target must be int64 of shape [{num_examples}]; found {_found(target)}.")
        if torch.compiler.is_compiling():  # what classes there are is data, which a graph compiler cannot look at
            return
        lowest, highest = (int(bound) for bound in target.aminmax())
        if lowest < 0 or highest >= self.num_classes:
            raise ValueError(f"target must hold classes from 0 to {self.num_classes - 1}; found {lowest} to {highest}.")


def _directions(x: Tensor) -> Tensor:
    """Rows of length 1. Divided by a tiny length instead, as usual, zeros would get a gigantic gradient."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length == 0, math.inf)


def _found(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
