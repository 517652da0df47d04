"""Which attention weights dropout zeroes: a function of (seed, edge, head) that every implementation computes alike.

Nothing need be kept for the backward pass, and neither the order of the edges nor the number of threads matters.
With `mix` the finaliser of MurmurHash3, and lo and hi the two halves of a 64-bit number, the weight number
n = edge * heads + head survives if

    mix(mix(lo(n) ^ lo(seed)) ^ hi(n) ^ hi(seed)) >= floor(dropout * 2**32)

and is divided by 1 - dropout.
"""

import torch
from torch import Tensor

_LOW_HALF = 0xFFFFFFFF


def keep_mask(seed: Tensor, num_edges: int, heads: int, dropout: float) -> Tensor:
    """[num_edges, heads], True where the weight survives."""
    numbers = torch.arange(num_edges * heads, device=seed.device)
    bits = mix((numbers & _LOW_HALF) ^ (seed & _LOW_HALF))
    bits = mix(bits ^ (numbers >> 32) ^ ((seed >> 32) & _LOW_HALF))
    return (bits >= threshold(dropout)).view(num_edges, heads)


def threshold(dropout: float) -> int:
    return int(dropout * 2**32)


def mix(bits: Tensor) -> Tensor:
    """The finaliser of MurmurHash3 on 32-bit numbers, held in int64."""
    bits = bits ^ (bits >> 16)
    bits = (bits * 0x85EBCA6B) & _LOW_HALF
    bits = bits ^ (bits >> 13)
    bits = (bits * 0xC2B2AE35) & _LOW_HALF
    return bits ^ (bits >> 16)
