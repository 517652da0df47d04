"""Integrated gradients: answers worked by hand, and completeness where the path is steep."""

import pytest
import torch
from torch import Tensor

from gatlib.network.explain.integrated_gradients import path_integral
from tests.network.explain.small_networks import KINDS, graph_of, input_of, network_of


def test_a_product_worked_by_hand() -> None:
    # F = a^2 b: its gradient on the way to (a, b) is t^2 (2 a b, a^2), whose mean is a third of it.
    found = path_integral(lambda x: x[0, 0] ** 2 * x[0, 1], torch.tensor([[3.0, 2.0]]))
    torch.testing.assert_close(found.mean_gradient, torch.tensor([[12 / 3, 9 / 3]], dtype=torch.float64))
    assert (found.at_zero, found.at_input) == (0.0, 18.0)
    assert abs(found.gap) < 1e-5


def test_what_does_not_count_gets_nothing() -> None:
    found = path_integral(lambda x: torch.sin(x[0, 0]), torch.tensor([[2.0, 5.0], [1.0, 1.0]]))
    attribution = found.mean_gradient * torch.tensor([[2.0, 5.0], [1.0, 1.0]])
    assert attribution.flatten()[1:].tolist() == [0, 0, 0]
    assert float(attribution[0, 0]) == pytest.approx(torch.sin(torch.tensor(2.0)).item(), abs=1e-3)


@pytest.mark.parametrize("steepness", [1.0, 30.0, 1000.0])
def test_a_rise_close_to_zero_is_found(steepness: float) -> None:
    found = path_integral(lambda x: torch.tanh(steepness * x.sum()), torch.tensor([[0.25, 0.75]]))
    shares = (found.mean_gradient * torch.tensor([[0.25, 0.75]])).flatten()
    height = torch.tanh(torch.tensor(steepness)).item()
    assert shares.tolist() == pytest.approx([0.25 * height, 0.75 * height], abs=3e-3)
    assert float(shares.sum()) - height == pytest.approx(found.gap, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_importances_of_a_network_are_complete(kind: str) -> None:
    network = network_of(kind, seed=1).requires_grad_(False)
    edges, nodes = graph_of(seed=5)
    x, edge_index, attr = input_of(network, edges, nodes)

    def log_probabilities(x: Tensor) -> Tensor:
        return network(x, edge_index, attr).log_softmax(dim=1).flatten()

    changes = log_probabilities(x) - log_probabilities(torch.zeros_like(x))
    one = int(changes.abs().argmax())  # a class of a node
    assert abs(float(changes[one])) > 0.1
    found = path_integral(lambda x: log_probabilities(x)[one], x)
    assert float((found.mean_gradient * x).sum()) == pytest.approx(float(changes[one]), abs=5e-3)


def test_a_step_that_no_sum_can_follow_ends_and_says_what_is_missing() -> None:
    found = path_integral(lambda x: (x.sum() > 0.3).float() + 0 * x.sum(), torch.tensor([[1.0]]))
    assert found.gap == pytest.approx(-1.0)
