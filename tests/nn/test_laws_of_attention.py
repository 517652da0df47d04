"""Laws of `edge_attention` for every score and normaliser, whatever the graph and however large the scores."""

from typing import Any

import pytest
import torch
from attention_problems import HEADS, by_loops, every_normaliser, every_score, leaves_of, problem
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlib.nn.functional import edge_attention

few = settings(max_examples=15, deadline=None, derandomize=True)
SUM_TO_ONE = ("softmax", "sparsemax")


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """All but the score: up to six nodes, a dozen edges; parallel edges, self-loops and nodes apart are all likely."""
    num_nodes = draw(st.integers(1, 6))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=12))
    return {
        "edge_index": torch.tensor(edges, dtype=torch.long).view(-1, 2).t(),
        "num_nodes": num_nodes,
        "edge_features": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "add_self_loops": draw(st.booleans()),
        "seed": draw(st.integers(0, 99)),
    }


def attend(arguments: dict[str, Any], normaliser: Any, implementation: Any) -> tuple[Tensor, Tensor]:
    return edge_attention(
        **arguments, normaliser=normaliser, implementation=implementation, return_attention_weights=True
    )


@every_normaliser
@every_score
@few
@given(choices=problems())
def test_equations(score: str, normaliser: Any, implementation: Any, choices: dict[str, Any]) -> None:
    arguments = problem(score, **choices)
    leaves = leaves_of(arguments)
    found, expected = attend(arguments, normaliser, implementation), by_loops(arguments, normaliser)
    torch.testing.assert_close(found, expected)
    gradients = []
    for out, weights in (found, expected):
        # The leaves are there so that each has a gradient, even in a graph without edges.
        loss = out.sin().sum() + weights.cos().sum() + sum(leaf.sum() for leaf in leaves.values())
        gradients.append(torch.autograd.grad(loss, list(leaves.values())))
    for name, gradient, expected_gradient in zip(leaves, *gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, msg=name)


@every_normaliser
@every_score
@few
@given(choices=problems(), seed=st.integers(0, 99))
def test_renumbered_nodes_and_edges(
    score: str, normaliser: Any, implementation: Any, choices: dict[str, Any], seed: int
) -> None:
    arguments = problem(score, **choices)
    edge_index, num_nodes = arguments["edge_index"], choices["num_nodes"]
    out, weights = attend(arguments, normaliser, implementation)
    generator = torch.Generator().manual_seed(seed)
    old_of_new = torch.randperm(num_nodes, generator=generator)
    order = torch.randperm(edge_index.size(1), generator=generator)
    rows = torch.cat([order, edge_index.size(1) + old_of_new]) if choices["add_self_loops"] else order
    renumbered = arguments | {"edge_index": old_of_new.argsort()[edge_index][:, order]}
    renumbered |= {name: arguments[name][old_of_new] for name in ("query", "key", "value")}
    for name in ("edge_attr", "bias"):
        renumbered[name] = None if arguments[name] is None else arguments[name][rows]
    torch.testing.assert_close(attend(renumbered, normaliser, implementation), (out[old_of_new], weights[rows]))


@every_normaliser
@every_score
@few
@given(choices=problems())
def test_batching_changes_nothing(score: str, normaliser: Any, implementation: Any, choices: dict[str, Any]) -> None:
    choices |= {"add_self_loops": False}  # those of two graphs would come at the end together
    parts = [problem(score, **choices), problem(score, **choices | {"seed": choices["seed"] + 1})]
    together = parts[0] | {
        name: torch.cat([part[name] for part in parts])
        for name in ("query", "key", "value", "edge_attr", "bias")
        if parts[0][name] is not None
    }
    for name in ("att", "edge_weight"):
        parts[1][name] = parts[0][name]
    edges = [part["edge_index"] + number * choices["num_nodes"] for number, part in enumerate(parts)]
    together["edge_index"] = torch.cat(edges, dim=1)
    outs, weights = zip(*(attend(part, normaliser, implementation) for part in parts), strict=True)
    torch.testing.assert_close(attend(together, normaliser, implementation), (torch.cat(outs), torch.cat(weights)))


@every_normaliser
@every_score
@few
@given(choices=problems())
def test_who_is_no_neighbour_has_no_influence(
    score: str, normaliser: Any, implementation: Any, choices: dict[str, Any]
) -> None:
    arguments = problem(score, **choices)
    num_nodes = choices["num_nodes"]
    out, _ = attend(arguments, normaliser, implementation)
    is_neighbour = torch.zeros(num_nodes, num_nodes, dtype=torch.bool)  # [target, source]
    is_neighbour[arguments["edge_index"][1], arguments["edge_index"][0]] = True
    is_neighbour |= torch.eye(num_nodes, dtype=torch.bool) & choices["add_self_loops"]
    for source in range(num_nodes):
        changed = arguments | {name: arguments[name].clone() for name in ("key", "value")}
        changed["key"][source] = changed["value"][source] = float("nan")
        others = ~is_neighbour[:, source]
        # Bit by bit, and whatever the stranger holds.
        assert torch.equal(attend(changed, normaliser, implementation)[0][others], out[others])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@every_normaliser
@every_score
@few
@given(choices=problems(), data=st.data())
def test_enormous_scores(
    score: Any, normaliser: Any, implementation: Any, dtype: torch.dtype, choices: dict[str, Any], data: st.DataObject
) -> None:
    arguments = problem(score, **choices | {"edge_features": False, "bias": False})
    num_nodes, edge_index = choices["num_nodes"], arguments["edge_index"]
    extremes = st.lists(st.sampled_from([-1e4, -1.0, 0.0, 1.0, 1e4]), min_size=num_nodes, max_size=num_nodes)
    width = arguments["key"].size(2)
    key = torch.tensor(data.draw(extremes), dtype=dtype).view(-1, 1, 1).repeat(1, HEADS, width).requires_grad_()
    att = None if arguments["att"] is None else torch.ones(HEADS, width, dtype=dtype)
    query = torch.ones(num_nodes, HEADS, width, dtype=dtype)
    arguments |= {"query": query, "key": key, "value": arguments["value"].to(dtype), "att": att}
    out, weights = attend(arguments, normaliser, implementation)
    (out.sum() + weights.square().sum()).backward()
    for tensor in (out, weights, key.grad):
        assert tensor is not None
        assert tensor.isfinite().all()
    assert (weights >= 0).all()
    if normaliser in SUM_TO_ONE:
        target = torch.cat([edge_index[1], torch.arange(num_nodes if choices["add_self_loops"] else 0)])
        sums = torch.zeros(num_nodes, HEADS, dtype=dtype).index_add(0, target, weights)
        # The fused kernels know a softmax by the log of its sum, which for such scores float32 rounds to 1/1000.
        tolerance = 1e-3 if dtype == torch.float32 else 1e-9
        torch.testing.assert_close(sums[target], torch.ones_like(weights), rtol=0, atol=tolerance)
