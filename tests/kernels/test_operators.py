"""The fused kernels as PyTorch operators: what autograd, autocast, `torch.compile` and `torch.export` make of them."""

import shutil
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from gatlib.nn import GATConv, GATv2Conv, TransformerConv
from gatlib.nn.functional import edge_attention

SCORES = ("additive", "additive-dynamic", "dot")
NORMALISERS = ("softmax", "sigmoid", "relu")
HEADS, CHANNELS, FEATURES = 4, 4, 4
NUM_SOURCES, NUM_TARGETS = 6, 5
# With self-loops, parallel edges, and target 4 without an edge.
EDGES = torch.tensor([[0, 0, 1, 1, 3, 2, 5, 5, 4, 2, 3], [0, 1, 2, 2, 3, 2, 0, 1, 1, 3, 0]])

every_score = pytest.mark.parametrize("score", SCORES)
every_normaliser = pytest.mark.parametrize("normaliser", NORMALISERS)
every_half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
edge_features_or_not = pytest.mark.parametrize("edge_features", [False, True], ids=["plain", "edge features"])


def problem(
    score: str,
    dtype: torch.dtype = torch.float64,
    *,
    edge_features: bool = True,
    bias: bool = True,
    loops: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Arguments of `edge_attention`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    width = 1 if score == "additive" else CHANNELS
    num_edges = EDGES.size(1) + (min(NUM_SOURCES, NUM_TARGETS) if loops else 0)
    return {
        "query": draw(NUM_TARGETS, HEADS, width),
        "key": draw(NUM_SOURCES, HEADS, width),
        "value": draw(NUM_SOURCES, HEADS, CHANNELS),
        "att": draw(HEADS, width) if score == "additive-dynamic" else None,
        "edge_attr": draw(num_edges, FEATURES) if edge_features else None,
        "edge_weight": draw(HEADS * width, FEATURES) if edge_features else None,
        "bias": draw(num_edges, HEADS) if bias else None,
        "edge_index": EDGES,
        "score": score,
        "add_self_loops": loops,
    }


def leaves_of(given: dict[str, Any]) -> dict[str, Tensor]:
    return {k: v.requires_grad_() for k, v in given.items() if isinstance(v, Tensor) and v.is_floating_point()}


def run(given: dict[str, Any], **options: Any) -> list[Tensor]:
    """Output, weights, and gradients of all that may have one."""
    leaves = leaves_of(given)
    out, weights = edge_attention(**given | {"return_attention_weights": True} | options)
    loss = (out.double() ** 2).sum() + weights.double().sin().sum()
    return [out, weights, *torch.autograd.grad(loss, list(leaves.values()))]


class Calls(TorchDispatchMode):
    """Records the calls of our operators."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "gatlib":
            self.made.append((func, args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("one_tensor", [False, True], ids=["key and value", "key is value"])
@edge_features_or_not
@every_score
def test_operators_are_as_pytorch_wants_them(score: str, edge_features: bool, one_tensor: bool) -> None:
    given = problem(score, edge_features=edge_features, bias=edge_features, loops=True)
    if one_tensor:
        given |= {"key": given["value"][..., : given["key"].size(2)].contiguous()}
        given |= {"value": given["key"]}
    options = {"dropout": 0.4, "return_attention_weights": edge_features, "implementation": "cpu"}
    with Calls() as calls:
        leaves = leaves_of(given)
        out = edge_attention(**given, **options)
        torch.autograd.grad([tensor.sin().sum() for tensor in (out if edge_features else [out])], list(leaves.values()))
    assert [func for func, _ in calls.made] == [
        torch.ops.gatlib.edge_attention.default,
        torch.ops.gatlib.edge_attention_backward.default,
    ]
    for func, args in calls.made:
        arguments = [arg.detach() if isinstance(arg, Tensor) else arg for arg in args]
        if func is torch.ops.gatlib.edge_attention.default:
            for arg in arguments:
                if isinstance(arg, Tensor) and arg.is_floating_point():
                    arg.requires_grad_()
        torch.library.opcheck(func, tuple(arguments))


@edge_features_or_not
@every_normaliser
@every_score
def test_operators_give_what_the_way_around_them_does(score: str, normaliser: Any, edge_features: bool) -> None:
    options = {"normaliser": normaliser, "dropout": 0.3, "implementation": "cpu"}
    found = []
    for mode in (nullcontext(), Calls()):
        torch.manual_seed(0)
        with mode:
            found.append(run(problem(score, edge_features=edge_features, loops=True), **options))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("loops", [False, True], ids=["own loops", "self-loops"])
@edge_features_or_not
@every_normaliser
@every_score
def test_gradcheck(score: str, normaliser: Any, edge_features: bool, loops: bool) -> None:
    given = problem(score, edge_features=edge_features, bias=edge_features, loops=loops, seed=1)
    leaves = leaves_of(given)

    def attend(*tensors: Tensor) -> Any:
        arguments = given | dict(zip(leaves, tensors, strict=True)) | {"normaliser": normaliser}
        return edge_attention(**arguments, return_attention_weights=True, implementation="cpu")

    assert torch.autograd.gradcheck(attend, list(leaves.values()), fast_mode=True)


@every_score
def test_gradients_of_some_inputs_only(score: str) -> None:
    given = problem(score)
    all_gradients = dict(zip(leaves_of(given), run(given, implementation="cpu")[2:], strict=True))
    names = list(all_gradients)
    for chosen in [[name] for name in names] + [["value", "bias"], ["query", "edge_attr"]]:
        for name in names:
            given[name] = given[name].detach().requires_grad_(name in chosen)
        out, weights = edge_attention(**given, return_attention_weights=True, implementation="cpu")
        ((out**2).sum() + weights.sin().sum()).backward()
        for name in names:
            if name in chosen:
                torch.testing.assert_close(given[name].grad, all_gradients[name])
            else:
                assert given[name].grad is None


@every_score
def test_second_derivatives_point_to_the_reference(score: str) -> None:
    given = problem(score)
    value = given["value"].requires_grad_()
    key = given["key"].requires_grad_()
    out = edge_attention(**given, implementation="cpu")
    (gradient,) = torch.autograd.grad(out.sin().sum(), [key], create_graph=True)
    with pytest.raises(RuntimeError, match='implementation="reference"'):
        torch.autograd.grad(gradient.sum(), [value])


@every_half
@every_normaliser
@every_score
def test_half_precision(score: str, normaliser: Any, dtype: torch.dtype) -> None:
    rounded = problem(score, dtype)
    rounded |= {name: leaf.detach().float() for name, leaf in leaves_of(rounded).items()}
    found = run(problem(score, dtype), normaliser=normaliser, implementation="cpu")
    assert {tensor.dtype for tensor in found} == {dtype}
    assert_near(found, run(rounded, normaliser=normaliser, implementation="cpu"), 8 * torch.finfo(dtype).eps)


def assert_near(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a.double() - b).abs().max() <= tolerance * b.abs().max()


@every_score
def test_mixed_dtypes(score: str) -> None:
    kinds = [torch.float32, torch.bfloat16, torch.float64, torch.float16]
    for shift in range(len(kinds)):
        given = problem(score)
        for number, name in enumerate(leaves_of(problem(score))):
            given[name] = given[name].to(kinds[(number + shift) % len(kinds)])
        given["edge_weight"] = given["edge_weight"].to(given["edge_attr"].dtype)
        found, expected = (run(dict(given), implementation=implementation) for implementation in ("cpu", "reference"))
        assert [tensor.dtype for tensor in found] == [tensor.dtype for tensor in expected]
        assert_near(found, expected, 0.06)


def tangent(function: Any, x: Tensor) -> Tensor:
    """Along x itself, by dual numbers."""
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(x, x))).tangent


TRANSFORMS = {
    "grad": lambda function, x: torch.func.grad(function)(x),
    "hessian": lambda function, x: torch.func.hessian(function)(x),
    "jvp": lambda function, x: torch.func.jvp(function, (x,), (x,))[1],
    "dual numbers": tangent,
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_of_functions(transform: Any) -> None:
    given = problem("dot", edge_features=False)

    def loss(key: Tensor, implementation: Any = "auto") -> Tensor:
        return edge_attention(**given | {"key": key}, implementation=implementation).sin().sum()

    expected = transform(partial(loss, implementation="reference"), given["key"])
    torch.testing.assert_close(transform(loss, given["key"]), expected)


def test_forward_derivatives_are_not_silently_zero() -> None:
    given = problem("dot")
    with pytest.raises(RuntimeError, match='implementation="reference"'):
        tangent(lambda key: edge_attention(**given | {"key": key}, implementation="cpu"), given["key"])


class ThreeLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gat = GATConv(3, CHANNELS, heads=HEADS)
        self.gatv2 = GATv2Conv(HEADS * CHANNELS, CHANNELS, heads=HEADS)
        self.transformer = TransformerConv(HEADS * CHANNELS, CHANNELS, heads=HEADS, edge_dim=FEATURES)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        x = self.gatv2(self.gat(x, edge_index).relu(), edge_index).relu()
        return self.transformer(x, edge_index, edge_attr)


def graph(num_nodes: int, num_edges: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_nodes)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
    return (
        torch.randn(num_nodes, 3, generator=generator),
        edge_index,
        torch.randn(num_edges, FEATURES, generator=generator),
    )


def outputs_and_gradients(model: Any, parameters: list[Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    out = model(*inputs)
    return [out, *torch.autograd.grad(out.sin().sum(), parameters)]


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_model(backend: str) -> None:
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    torch.compiler.reset()
    model = ThreeLayers()
    parameters = list(model.parameters())
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    for sizes in ((10, 30), (17, 60), (12, 90)):
        inputs = graph(*sizes)
        found, expected = (outputs_and_gradients(f, parameters, inputs) for f in (compiled, model))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    torch.compiler.reset()


@pytest.mark.parametrize("strict", [False, True])
def test_exported_model(strict: bool) -> None:
    model, inputs, others = ThreeLayers().eval(), graph(10, 30), graph(17, 60)
    nodes, edges = torch.export.Dim("nodes", min=2), torch.export.Dim("edges", min=2)
    shapes = ({0: nodes}, {1: edges}, {0: edges})
    exported = torch.export.export(model, inputs, dynamic_shapes=shapes, strict=strict).module()
    for given in (inputs, others):
        torch.testing.assert_close(exported(*given), model(*given))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("needs_gradients", [False, True])
def test_traced_model(needs_gradients: bool) -> None:
    model = ThreeLayers().eval().requires_grad_(needs_gradients)
    traced = torch.jit.trace(model, graph(10, 30))
    for sizes in ((10, 30), (17, 60)):
        torch.testing.assert_close(traced(*graph(*sizes)), model(*graph(*sizes)))


def test_autocast() -> None:
    model, inputs = ThreeLayers(), graph(20, 80)
    parameters = list(model.parameters())
    expected = outputs_and_gradients(model, parameters, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(*inputs)
    gradients = torch.autograd.grad(out.double().sin().sum(), parameters)
    assert_near([out], expected[:1], 0.05)
    # All together: some are zero, but for rounding.
    flat, expected_flat = (torch.cat([g.flatten() for g in given]) for given in (gradients, expected[1:]))
    assert_near([flat], [expected_flat], 0.05)


@every_score
def test_autocast_of_attention_itself(score: str) -> None:
    given = problem(score, torch.float32)
    expected = run(given, implementation="cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run(given, implementation="cpu")
    assert {tensor.dtype for tensor in found} == {torch.float32}
    assert_near(found, expected, 0.05)
