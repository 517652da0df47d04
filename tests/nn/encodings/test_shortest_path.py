"""The shortest path encoding: a row for each distance, one for no way, and its use as a bias."""

import pytest
import torch
from small_graphs import edges
from torch.func import functional_call

from gatlib.nn.encodings.shortest_path import ShortestPathEncoding
from gatlib.nn.functional import edge_attention


def test_one_row_for_each_distance() -> None:
    encoding = ShortestPathEncoding(heads=2, max_distance=3)
    found = encoding(torch.tensor([0, 1, 2, 3, 4, 1000, -1]))
    assert found.shape == (7, 2)
    assert found[:4].unique(dim=0).size(0) == 4
    assert torch.equal(found[4:6], found[[3, 3]])
    assert not (found[:4] == found[6]).all(dim=1).any()


def test_without_pairs() -> None:
    assert ShortestPathEncoding(2, 3)(torch.empty(0, dtype=torch.long)).shape == (0, 2)


def test_bias_turns_the_attention() -> None:
    encoding = ShortestPathEncoding(heads=1, max_distance=1)
    with torch.no_grad():
        encoding.bias.weight.copy_(torch.tensor([[-torch.inf], [0.0], [1.0]]))  # no way, itself, a neighbour
    pairs, distance = edges((0, 0), (1, 0), (2, 0)), torch.tensor([0, 1, -1])
    zeros, value = torch.zeros(3, 1, 1), torch.tensor([2.0, 4.0, 100.0]).view(3, 1, 1)
    bias = encoding(distance)
    out = edge_attention(zeros, zeros, value, pairs, score="dot", bias=bias, implementation="reference")
    e = torch.e
    torch.testing.assert_close(out[0, 0, 0], torch.tensor((2 + 4 * e) / (1 + e)))


def test_gradients() -> None:
    encoding = ShortestPathEncoding(2, 3).double()
    distance = torch.tensor([0, -1, 2, 7, 2])
    weight = encoding.bias.weight
    assert torch.autograd.gradcheck(
        lambda weight: functional_call(encoding, {"bias.weight": weight}, (distance,)), [weight]
    )


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="max_distance must be 0 or more; found -1"):
        ShortestPathEncoding(2, -1)
    encoding = ShortestPathEncoding(2, 3)
    with pytest.raises(ValueError, match=r"distance must be -1 \(no way\) or more; found -2"):
        encoding(torch.tensor([0, -2]))
    with pytest.raises(ValueError, match=r"distance must be int64 of shape \[P\]; found float32 of shape \[1\]"):
        encoding(torch.tensor([1.0]))
