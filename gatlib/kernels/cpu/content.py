"""The sums of `gatlib.kernels.content` on the CPU, about as fast as memory is read."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatlib.kernels.cpu.compiled import compiled
from gatlib.kernels.cpu.lanes import pointer
from gatlib.kernels.cpu.spans import for_each_span

_BLOCKS_PER_SPAN = 256


def block_sums(tensor: Tensor, keys: Tensor) -> NDArray[np.uint64]:
    """What `gatlib.kernels.content.block_sums` gives, of a contiguous tensor."""
    block, num_bytes = keys.size(1), tensor.numel() * tensor.element_size()
    num_blocks = -(-num_bytes // (8 * block))
    sums = np.empty((num_blocks, 2), dtype=np.uint64)
    given = (num_bytes, tensor.data_ptr(), block, keys.data_ptr(), sums)
    if num_blocks <= _BLOCKS_PER_SPAN:
        _sum_blocks(0, num_blocks, *given)
        return sums
    firsts = range(0, num_blocks, _BLOCKS_PER_SPAN)
    spans = [(first, min(first + _BLOCKS_PER_SPAN, num_blocks)) for first in firsts]
    for_each_span(lambda _, first, last: _sum_blocks(first, last, *given), spans)
    return sums


@compiled
def _sum_blocks(first, last, num_bytes, data, block, keys, sums):
    zero, half, low = np.uint64(0), np.uint64(32), np.uint64(0xFFFFFFFF)
    words, octets = pointer(data, zero), pointer(data, np.uint8(0))
    keys = pointer(keys, zero)
    num_words = num_bytes // 8
    for b in range(first, last):
        begin = b * block
        count = min(block, num_words - begin)
        one, two = zero, zero
        for w in range(count):
            word = words[begin + w]
            x, y = word + keys[w], word + keys[block + w]
            one += (x & low) * (x >> half)
            two += (y & low) * (y >> half)
        if count < block and 8 * num_words < num_bytes:  # the last word is not whole
            word = zero
            for octet in range(8 * num_words, num_bytes):
                word |= np.uint64(octets[octet]) << np.uint64(8 * (octet - 8 * num_words))
            x, y = word + keys[count], word + keys[block + count]
            one += (x & low) * (x >> half)
            two += (y & low) * (y >> half)
        sums[b, 0], sums[b, 1] = one, two
