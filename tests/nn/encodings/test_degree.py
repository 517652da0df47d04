"""The degree encoding, worked by hand."""

import pytest
import torch
from small_graphs import edges
from torch.func import functional_call

from gatlib.nn.encodings.degree import DegreeEncoding


def test_sum_of_the_vectors_of_both_degrees() -> None:
    encoding = DegreeEncoding(3, 2)
    # A self-loop at 0, parallel edges to 1, nothing at 3.
    edge_index = edges((0, 0), (0, 1), (0, 1), (2, 1))
    incoming, outgoing = encoding.in_degree.weight, encoding.out_degree.weight
    expected = torch.stack(
        [incoming[1] + outgoing[2], incoming[2] + outgoing[0], incoming[0] + outgoing[1], incoming[0] + outgoing[0]]
    )
    assert torch.equal(encoding(edge_index, num_nodes=4), expected)


def test_without_nodes() -> None:
    assert DegreeEncoding(3, 2)(edges(), num_nodes=0).shape == (0, 3)


def test_gradients() -> None:
    encoding = DegreeEncoding(2, 2).double()
    edge_index = edges((0, 1), (1, 2), (2, 1))
    names, weights = zip(*encoding.named_parameters(), strict=True)

    def call(*weights: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, weights, strict=True))
        return functional_call(encoding, given, (edge_index,), {"num_nodes": 3})

    assert torch.autograd.gradcheck(call, weights)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="max_degree must be 0 or more; found -1"):
        DegreeEncoding(3, -1)
    with pytest.raises(ValueError, match="edge_index must hold source nodes from 0 to 1 in row 0; found 2 to 2"):
        DegreeEncoding(3, 2)(edges((2, 0)), num_nodes=2)
