"""What the layers ask of their arguments, in one sentence each."""

from torch import Tensor


def check_nodes(x: Tensor, channels: int) -> None:
    """Raises ValueError unless `x` is floating point [nodes, channels]."""
    if x.dim() != 2 or x.size(1) != channels or not x.is_floating_point():
        raise ValueError(f"x must be floating point of shape [nodes, {channels}]; found {describe(x)}.")


def check_heads(channels: int, heads: int) -> None:
    """Raises ValueError unless the channels can be shared among the heads."""
    if heads < 1 or channels % heads:
        raise ValueError(f"heads must divide channels={channels}; found {heads}.")


def describe(tensor: Tensor) -> str:
    """A tensor as error messages name it."""
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
