"""Encodings of a position in a sequence, or of any other number."""

import torch
from torch import Tensor, nn


def sinusoidal_encoding(position: Tensor, channels: int) -> Tensor:
    r"""The waves of `"Attention Is All You Need" <https://arxiv.org/abs/1706.03762>`_.

    .. math::
        p_{2k} = \sin \left( x / 10000^{2k / C} \right), \qquad p_{2k + 1} = \cos \left( x / 10000^{2k / C} \right)

    Args:
        position: :math:`x`: integers or not, of any size.
        channels: :math:`C`, even.

    Shapes:
        - **position:** :math:`(\ldots)`
        - **output:** :math:`(\ldots, C)`, of the dtype of `position`, or PyTorch's default for integers

    Raises:
        ValueError: `channels` is not an even number of 2 or more.
    """
    if channels < 2 or channels % 2:
        raise ValueError(f"channels must be even, and 2 or more; found {channels}.")
    # In float64, because what matters of a large angle is what is left after many turns.
    exponent = torch.arange(0, channels, 2, dtype=torch.float64, device=position.device) / channels
    angle = position.double().unsqueeze(-1) * 10_000.0**-exponent
    dtype = position.dtype if position.is_floating_point() else torch.get_default_dtype()
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).to(dtype)


class LearnedEncoding(nn.Module):
    r"""One learned vector for each position.

    Args:
        num_positions: :math:`M`; positions count from 0.
        channels: :math:`C`.

    Shapes:
        - **position:** :math:`(\ldots)`, int64
        - **output:** :math:`(\ldots, C)`

    Raises:
        ValueError: A position is negative, :math:`M` or more, or not an int64.
    """

    def __init__(self, num_positions: int, channels: int) -> None:
        super().__init__()
        if num_positions < 1:
            raise ValueError(f"num_positions must be 1 or more; found {num_positions}.")
        self.num_positions = num_positions
        self.embedding = nn.Embedding(num_positions, channels)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, position: Tensor) -> Tensor:
        if position.dtype != torch.int64:
            raise ValueError(f"position must be int64; found {str(position.dtype).removeprefix('torch.')}.")
        if not torch.compiler.is_compiling() and position.numel() > 0:
            lowest, highest = (int(bound) for bound in position.aminmax())
            if lowest < 0 or highest >= self.num_positions:
                raise ValueError(
                    f"position must be from 0 to {self.num_positions - 1}, the positions that were learned; "
                    f"found {lowest} to {highest}."
                )
        return self.embedding(position)
