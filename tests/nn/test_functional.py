"""`edge_attention`: a star worked out by hand, and what it says to wrong arguments."""

import math
import re
from functools import partial
from typing import Any

import pytest
import torch
from attention_problems import every_implementation, every_score, problem
from torch import Tensor, tensor

from gatlib.nn.functional import choose_implementation, edge_attention

# A star: the nodes 1 and 2 point to node 0. One head.
STAR = tensor([[1, 2], [0, 0]])
LN2, LN3 = math.log(2), math.log(3)


def nodes(*rows: float | list[float]) -> Tensor:
    """[nodes, 1 head, channels] in double precision."""
    return tensor(rows, dtype=torch.float64).view(len(rows), 1, -1)


@every_implementation
def test_additive_star_by_hand(implementation: Any) -> None:
    # s_1 - s_2 = ln 3, so the weights are 3/4 and 1/4.
    out, weights = edge_attention(
        nodes(0.5, 0, 0), nodes(0, LN3, 0), nodes(0, 4, 8), STAR, score="additive", return_attention_weights=True,
        implementation=implementation,
    )  # fmt: skip
    torch.testing.assert_close(weights.flatten().tolist(), [0.75, 0.25])
    torch.testing.assert_close(out.flatten().tolist(), [0.75 * 4 + 0.25 * 8, 0.0, 0.0])


@every_implementation
def test_additive_star_by_hand_where_the_slope_counts(implementation: Any) -> None:
    # LeakyReLU turns -5 ln 3 and 0 into -ln 3 and 0; the edge feature -1 times the weight 5 ln 3 is the only score.
    out = edge_attention(
        nodes(0, 0, 0), nodes(0, 0, 0), nodes(0, 4, 8), STAR, score="additive", negative_slope=0.2,
        edge_attr=tensor([[-1.0], [0.0]], dtype=torch.float64), edge_weight=tensor([[5 * LN3]], dtype=torch.float64),
        implementation=implementation,
    )  # fmt: skip
    torch.testing.assert_close(out[0].item(), 0.25 * 4 + 0.75 * 8)


@every_implementation
def test_additive_dynamic_star_by_hand(implementation: Any) -> None:
    # att . LeakyReLU(k): s_1 = ln 3, s_2 = 0.2 * (-5 ln 2) = -ln 2, apart by ln 6: weights 6/7 and 1/7.
    out = edge_attention(
        nodes([0, 0], [0, 0], [0, 0]), nodes([0, 0], [LN3, 0], [0, -5 * LN2]), nodes(0, 7, 14), STAR,
        score="additive-dynamic", att=tensor([[1.0, 1.0]], dtype=torch.float64), implementation=implementation,
    )  # fmt: skip
    torch.testing.assert_close(out.flatten().tolist(), [6 / 7 * 7 + 1 / 7 * 14, 0.0, 0.0])


@every_implementation
def test_dot_star_by_hand(implementation: Any) -> None:
    # q . k / sqrt(4): 2 ln 3 / 2 = ln 3 against 0. Then the second edge brings e = (ln 3, 0, 0, 0): ln 3 against ln 3,
    # and e is added to the value too.
    query, key = nodes([2, 0, 0, 0], [0] * 4, [0] * 4), nodes([0] * 4, [LN3, 0, 0, 0], [0] * 4)
    value = nodes([0] * 4, [4] * 4, [8] * 4)
    out = edge_attention(query, key, value, STAR, score="dot", implementation=implementation)
    torch.testing.assert_close(out[0, 0].tolist(), [5.0] * 4)
    out = edge_attention(
        query, key, value, STAR, score="dot",
        edge_attr=tensor([[0.0], [1.0]], dtype=torch.float64),
        edge_weight=tensor([[LN3], [0.0], [0.0], [0.0]], dtype=torch.float64), implementation=implementation,
    )  # fmt: skip
    torch.testing.assert_close(out[0, 0].tolist(), [6 + LN3 / 2, 6.0, 6.0, 6.0])


@every_implementation
def test_bias_by_hand(implementation: Any) -> None:
    # LeakyReLU(-5) = -1, and the bias comes after it: -1 + 1 + ln 3 against -1 + 1. Then one edge has no say at all.
    attend = partial(
        edge_attention, nodes(0, 0, 0), nodes(0, -5, -5), nodes(0, 4, 8), STAR, score="additive",
        implementation=implementation,
    )  # fmt: skip
    assert attend(bias=tensor([[1 + LN3], [1.0]], dtype=torch.float64))[0].item() == pytest.approx(5.0)
    assert attend(bias=tensor([[-math.inf], [1.0]], dtype=torch.float64))[0].item() == pytest.approx(8.0)


@every_implementation
@every_score
def test_weights_come_in_the_order_of_the_edges(score: str, implementation: Any) -> None:
    given = problem(score, edge_features=True, bias=True) | {"implementation": implementation}
    out, weights = edge_attention(**given, return_attention_weights=True)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    given |= {"edge_index": given["edge_index"][:, order]}
    given |= {name: given[name][order] for name in ("edge_attr", "bias")}
    permuted_out, permuted_weights = edge_attention(**given, return_attention_weights=True)
    torch.testing.assert_close(permuted_weights, weights[order])
    torch.testing.assert_close(permuted_out, out)


def test_what_auto_chooses() -> None:
    query = z(4, 2, 3)
    assert choose_implementation(query, "softmax") == "cpu"
    assert choose_implementation(query.bfloat16(), "relu") == "cpu"
    assert choose_implementation(query, "sparsemax") == "reference"
    assert choose_implementation(query.to(torch.float8_e5m2), "softmax") == "reference"
    assert choose_implementation(query.to("meta"), "softmax") == "reference"


@every_score
def test_auto_gives_what_the_reference_gives(score: str) -> None:
    given = problem(score, edge_features=True)
    torch.testing.assert_close(edge_attention(**given), edge_attention(**given, implementation="reference"))


def z(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


BAD = [
    ("dot", {"score": "cosine"}, "score must be one of additive, additive-dynamic, dot; found 'cosine'."),
    ("dot", {"query": z(4, 6)}, "query must be floating point [nodes, heads, channels]; found float64 of shape [4, 6]"),
    ("dot", {"value": z(4, 2, 3).long()}, "value must be floating point [nodes, heads, channels]; found int64 of"),
    ("additive", {"query": z(4, 2, 3)}, "query must have shape [N_target, H, 1] for score='additive'; found [4, 2, 3]"),
    ("dot", {"key": z(4, 1, 3)}, "key must have shape [N_source, 2, 3], the heads and channels of query; found [4, 1,"),
    ("dot", {"value": z(5, 2, 3)}, "value must have shape [4, 2, C], the nodes and heads of key; found [5, 2, 3]."),
    ("dot", {"edge_index": z(2, 9)}, "edge_index must be int64 of shape [2, E]; found float64 of shape [2, 9]."),
    ("dot", {"edge_index": z(9, 2).long()}, "edge_index must be int64 of shape [2, E]; found int64 of shape [9, 2]."),
    ("dot", {"edge_index": z(2, 9).bool()}, "edge_index must be int64 of shape [2, E]; found bool of shape [2, 9]."),
    ("dot", {"att": z(2, 3)}, "att must be None for score='dot'; found shape [2, 3]."),
    ("additive-dynamic", {"att": None}, "att must be floating point of shape [2, 3], the heads and channels of query;"),
    ("additive-dynamic", {"att": z(1, 2, 3)}, "channels of query; found float64 of shape [1, 2, 3]."),
    ("additive-dynamic", {"att": z(2, 3).long()}, "channels of query; found int64 of shape [2, 3]."),
    ("dot", {"edge_attr": z(8, 5)}, "edge_attr must be floating point of shape [9, D], a row per edge and added self-"),
    ("dot", {"edge_attr": z(9)}, "a row per edge and added self-loop; found float64 of shape [9]."),
    ("dot", {"edge_attr": z(9, 5).int()}, "a row per edge and added self-loop; found int32 of shape [9, 5]."),
    ("dot", {"add_self_loops": True}, "edge_attr must be floating point of shape [13, D], a row per edge and added"),
    ("dot", {"edge_attr": None}, "edge_attr must be given together with edge_weight; found None."),
    ("dot", {"edge_weight": None}, "edge_weight must be given together with edge_attr; found None."),
    ("dot", {"edge_weight": z(6, 4)}, "edge_weight must be floating point of shape [6, 5], heads * channels of query"),
    ("dot", {"edge_weight": z(6, 5).long()}, "by features of edge_attr; found int64 of shape [6, 5]."),
    ("dot", {"value": z(4, 2, 7)}, "value must have 3 channels, as query has, because score='dot' adds the edge"),
    ("dot", {"bias": z(9, 1)}, "bias must be floating point of shape [9, 2], a row per edge and added self-loop by"),
    ("dot", {"bias": z(9, 2).long()}, "by heads of query; found int64 of shape [9, 2]."),
    ("dot", {"normaliser": "entmax"}, "normaliser must be one of softmax, sigmoid, relu, sparsemax; found 'entmax'."),
    ("dot", {"dropout": 1.5}, "dropout must be a probability from 0 to 1; found 1.5."),
    ("dot", {"dropout": math.nan}, "dropout must be a probability from 0 to 1; found nan."),
    ("dot", {"implementation": "tpu"}, "implementation must be one of auto, reference, cpu, gpu; found 'tpu'."),
    (
        "dot",
        {"implementation": "cpu", "normaliser": "sparsemax"},
        "implementation must be 'reference' (or 'auto') for normaliser='sparsemax'; found 'cpu'.",
    ),
    ("dot", {"implementation": "gpu"}, "query must be on a CUDA device for implementation='gpu'; found it on cpu."),
    ("dot", {"value": z(4, 2, 3).to("meta")}, "value must be on cpu, where query is; found it on meta."),
    ("dot", {"bias": z(9, 2).to("meta")}, "bias must be on cpu, where query is; found it on meta."),
]


@pytest.mark.parametrize(("score", "change", "message"), BAD, ids=[message for _, _, message in BAD])
def test_wrong_arguments_are_named(
    monkeypatch: pytest.MonkeyPatch, score: str, change: dict[str, Any], message: str
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match=re.escape(message)):
        edge_attention(**problem(score, edge_features=True) | change)


def test_fused_kernels_want_tensors_where_they_can_read_them() -> None:
    given = {name: x.to("meta") if isinstance(x, Tensor) else x for name, x in problem("dot").items()}
    with pytest.raises(ValueError, match="query must be on the CPU for implementation='cpu'; found it on meta"):
        edge_attention(**given, implementation="cpu")


@every_implementation
@pytest.mark.parametrize("add_self_loops", [False, True])
@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[-1, 2], [0, 0]], "edge_index must hold source nodes from 0 to 4 in row 0; found -1 to 2."),
        ([[0, 5], [0, 0]], "edge_index must hold source nodes from 0 to 4 in row 0; found 0 to 5."),
        ([[0, 1], [0, 4]], "edge_index must hold target nodes from 0 to 3 in row 1; found 0 to 4."),
        ([[0, 1], [3, -7]], "edge_index must hold target nodes from 0 to 3 in row 1; found -7 to 3."),
    ],
)
def test_edges_beyond_the_nodes_are_named(
    edges: list[list[int]], message: str, add_self_loops: bool, implementation: Any
) -> None:
    given = problem("dot", tensor(edges), num_nodes=4, num_sources=5, add_self_loops=add_self_loops)
    with pytest.raises(ValueError, match=re.escape(message)):
        edge_attention(**given, implementation=implementation)


@every_implementation
@every_score
@pytest.mark.parametrize("add_self_loops", [False, True])
def test_graphs_of_almost_nothing(score: str, add_self_loops: bool, implementation: Any) -> None:
    given = problem(score, z(2, 0).long(), edge_features=True, add_self_loops=add_self_loops)
    given["implementation"] = implementation
    out, weights = edge_attention(**given, return_attention_weights=True)
    if add_self_loops:
        assert weights.shape == (4, 2)
        torch.testing.assert_close(weights, torch.ones_like(weights))
    else:
        assert out.shape == (4, 2, 3)
        assert not out.any()
        assert weights.shape == (0, 2)
    given |= {name: given[name][:0] for name in ("query", "key", "value", "edge_attr")}
    out, weights = edge_attention(**given, return_attention_weights=True)
    assert out.shape == (0, 2, 3)
    assert weights.shape == (0, 2)
