"""What was made of a tensor before, to be had again: the same graph comes to every layer and every step."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from gatlib.kernels.one_node import runs_now

Made = TypeVar("Made")

# Tensor to {function: (version of the tensor, what the function made of it)}
_MADE_BEFORE: Any = WeakTensorKeyDictionary()


def remembered(make: Callable[[Tensor], Made], tensor: Tensor) -> Made:
    """`make(tensor)`, which must not be a view: the same object again while `tensor` lives and does not change."""
    # An inference tensor does not tell of changes, a graph compiler cannot trace the look-up, and what is made under a
    # transform does not outlive it.
    if not runs_now(tensor) or tensor.is_inference():
        return make(tensor)
    made = _MADE_BEFORE.setdefault(tensor, {})
    version, result = made.get(make, (None, None))
    if version != tensor._version:
        with torch.inference_mode(False):  # training may come later
            result = make(tensor)
        made[make] = (tensor._version, result)
    return result
