"""Layers projected together against the layers one by one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import Linear

import gatlib.nn.projection as projection
from gatlib.kernels.columns import table_of
from gatlib.nn.projection import project

Layers = tuple[torch.nn.Module, ...]


@pytest.fixture(autouse=True)
def _no_input_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "SMALL", 0)


def layers(bias: bool = True, dtype: torch.dtype = torch.float64) -> Layers:
    torch.manual_seed(0)
    return tuple(Linear(5, width, bias=bias).to(dtype) for width in (6, 6, 3))


def outputs_and_gradients(apply: Callable[..., list[Tensor]], x: Tensor, of: Layers) -> list[Tensor]:
    parameters = [parameter for layer in of for parameter in layer.parameters()]
    outputs = apply(x, *of)
    loss = sum((output * torch.arange(output.numel()).view_as(output).cos()).sum() for output in outputs)
    return [*outputs, *torch.autograd.grad(loss, [x, *parameters])]


def one_by_one(x: Tensor, *of: torch.nn.Module) -> list[Tensor]:
    return [layer(x) for layer in of]


@pytest.mark.parametrize("num_nodes", [0, 1, 7])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_same_as_one_by_one(bias: bool, count: int, num_nodes: int) -> None:
    of, x = layers(bias)[:count], torch.randn(num_nodes, 5, dtype=torch.float64, requires_grad=True)
    found, expected = (outputs_and_gradients(apply, x, of) for apply in (project, one_by_one))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_results_are_the_columns_of_one_table() -> None:
    results = project(torch.randn(4, 5, dtype=torch.float64), *layers())
    table = table_of(results)
    assert table is not None
    assert torch.equal(table, torch.cat(results, dim=1))


def test_second_derivatives() -> None:
    of = layers()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tuple(project(x, *of)), [x])
    assert torch.autograd.gradgradcheck(lambda x: tuple(project(x, *of)), [x])


def test_gradients_that_lie_beside_each_other_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    of, x = layers(), torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    grads = torch.randn(4, 15, dtype=torch.float64).split([6, 6, 3], dim=1)
    expected = torch.autograd.grad(one_by_one(x, *of), [x], grads)
    results = project(x, *of)
    monkeypatch.setattr(torch, "cat", None)
    found = torch.autograd.grad(results, [x], grads)
    torch.testing.assert_close(found, expected)


class Doubled(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def hooked() -> Layers:
    of = layers()
    of[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    return of


def hooked_before() -> Layers:
    of = layers()
    of[0].register_forward_pre_hook(lambda module, inputs: 2 * inputs[0])
    return of


def subclass() -> Layers:
    return Doubled(5, 6).double(), *layers()[1:]


def parametrized() -> Layers:
    of = layers()
    torch.nn.utils.parametrizations.weight_norm(of[0])
    return of


def mixed_biases() -> Layers:
    return layers(bias=False)[0], *layers()[1:]


@pytest.mark.parametrize("make", [hooked, hooked_before, subclass, parametrized, mixed_biases])
def test_layers_that_are_more_than_a_weight_are_called(make: Callable[[], Layers]) -> None:
    of, x = make(), torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert table_of(project(x, *of)) is None
    for found, expected in zip(project(x, *of), one_by_one(x, *of), strict=True):
        assert torch.equal(found, expected)


def test_lazy_layers_are_initialised() -> None:
    of = [Linear(-1, 6), Linear(-1, 4)]
    results = project(torch.randn(3, 5), *of)
    assert [tuple(result.shape) for result in results] == [(3, 6), (3, 4)]


def test_autocast() -> None:
    of, x = layers(dtype=torch.float32), torch.randn(4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(result.dtype == torch.bfloat16 for result in project(x, *of))


def test_transforms_of_functions() -> None:
    of, x = layers(), torch.randn(2, 4, 5, dtype=torch.float64)
    found = torch.vmap(lambda x: tuple(project(x, *of)))(x)
    for a, b in zip(found, one_by_one(x, *of), strict=True):
        torch.testing.assert_close(a, b)


def test_inputs_that_do_not_fit_are_refused_by_the_layer() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        project(torch.randn(4, 6, dtype=torch.float64), *layers())
    with pytest.raises(RuntimeError, match="dtype"):
        project(torch.randn(4, 5), *layers())
