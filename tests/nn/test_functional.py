"""`edge_attention`: a star worked out by hand, derivatives, and what it says to wrong arguments."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from gatlib.nn.functional import edge_attention

# A star: the nodes 1 and 2 point to node 0. One head.
STAR = tensor([[1, 2], [0, 0]])
LN2, LN3 = math.log(2), math.log(3)
SCORES = ("additive", "additive-dynamic", "dot")


def nodes(*rows: float | list[float]) -> Tensor:
    """[nodes, 1 head, channels] in double precision."""
    return tensor(rows, dtype=torch.float64).view(len(rows), 1, -1)


def test_additive_star_by_hand() -> None:
    # s_1 - s_2 = ln 3, so the weights are 3/4 and 1/4.
    out, weights = edge_attention(
        nodes(0.5, 0, 0), nodes(0, LN3, 0), nodes(0, 4, 8), STAR, score="additive", return_attention_weights=True
    )
    torch.testing.assert_close(weights.flatten().tolist(), [0.75, 0.25])
    torch.testing.assert_close(out.flatten().tolist(), [0.75 * 4 + 0.25 * 8, 0.0, 0.0])


def test_additive_star_by_hand_where_the_slope_counts() -> None:
    # LeakyReLU turns -5 ln 3 and 0 into -ln 3 and 0; the edge feature -1 times the weight 5 ln 3 is the only score.
    out = edge_attention(
        nodes(0, 0, 0), nodes(0, 0, 0), nodes(0, 4, 8), STAR, score="additive", negative_slope=0.2,
        edge_attr=tensor([[-1.0], [0.0]], dtype=torch.float64), edge_weight=tensor([[5 * LN3]], dtype=torch.float64),
    )  # fmt: skip
    torch.testing.assert_close(out[0].item(), 0.25 * 4 + 0.75 * 8)


def test_additive_dynamic_star_by_hand() -> None:
    # att . LeakyReLU(k): s_1 = ln 3, s_2 = 0.2 * (-5 ln 2) = -ln 2, apart by ln 6: weights 6/7 and 1/7.
    out = edge_attention(
        nodes([0, 0], [0, 0], [0, 0]), nodes([0, 0], [LN3, 0], [0, -5 * LN2]), nodes(0, 7, 14), STAR,
        score="additive-dynamic", att=tensor([[1.0, 1.0]], dtype=torch.float64),
    )  # fmt: skip
    torch.testing.assert_close(out.flatten().tolist(), [6 / 7 * 7 + 1 / 7 * 14, 0.0, 0.0])


def test_dot_star_by_hand() -> None:
    # q . k / sqrt(4): 2 ln 3 / 2 = ln 3 against 0. Then the second edge brings e = (ln 3, 0, 0, 0): ln 3 against ln 3,
    # and e is added to the value too.
    query, key = nodes([2, 0, 0, 0], [0] * 4, [0] * 4), nodes([0] * 4, [LN3, 0, 0, 0], [0] * 4)
    value = nodes([0] * 4, [4] * 4, [8] * 4)
    out = edge_attention(query, key, value, STAR, score="dot")
    torch.testing.assert_close(out[0, 0].tolist(), [5.0] * 4)
    out = edge_attention(
        query, key, value, STAR, score="dot",
        edge_attr=tensor([[0.0], [1.0]], dtype=torch.float64),
        edge_weight=tensor([[LN3], [0.0], [0.0], [0.0]], dtype=torch.float64),
    )  # fmt: skip
    torch.testing.assert_close(out[0, 0].tolist(), [6 + LN3 / 2, 6.0, 6.0, 6.0])


def arguments(score: str, num_nodes: int = 4, num_edges: int = 9) -> dict[str, Any]:
    """Valid arguments with edge features, two heads, three channels."""
    generator = torch.Generator().manual_seed(7)
    width = 1 if score == "additive" else 3

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {
        "query": draw(num_nodes, 2, width),
        "key": draw(num_nodes, 2, width),
        "value": draw(num_nodes, 2, 3),
        "edge_index": torch.randint(num_nodes - 1, (2, num_edges), generator=generator),
        "score": score,
        "att": draw(2, width) if score == "additive-dynamic" else None,
        "edge_attr": draw(num_edges, 5),
        "edge_weight": draw(2 * width, 5),
    }


@pytest.mark.parametrize("score", SCORES)
def test_gradcheck(score: str) -> None:
    given = arguments(score)
    names = [name for name, value in given.items() if isinstance(value, Tensor) and value.is_floating_point()]

    def attend(*leaves: Tensor) -> Any:
        return edge_attention(**given | dict(zip(names, leaves, strict=True)), return_attention_weights=True)

    leaves = [given[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(attend, leaves)
    assert torch.autograd.gradgradcheck(attend, leaves)


@pytest.mark.parametrize("score", SCORES)
def test_weights_come_in_the_order_of_the_edges(score: str) -> None:
    given = arguments(score)
    out, weights = edge_attention(**given, return_attention_weights=True)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    given |= {"edge_index": given["edge_index"][:, order], "edge_attr": given["edge_attr"][order]}
    permuted_out, permuted_weights = edge_attention(**given, return_attention_weights=True)
    torch.testing.assert_close(permuted_weights, weights[order])
    torch.testing.assert_close(permuted_out, out)


@pytest.mark.parametrize("score", SCORES)
def test_dropout_zeroes_weights_and_scales_the_rest(score: str) -> None:
    given = arguments(score)
    _, weights = edge_attention(**given, return_attention_weights=True)
    torch.manual_seed(0)
    out, dropped = edge_attention(**given, dropout=0.5, return_attention_weights=True)
    kept = dropped != 0
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(dropped[kept], 2 * weights[kept])
    torch.manual_seed(0)
    torch.testing.assert_close(edge_attention(**given, dropout=0.5), out, rtol=0, atol=0)


@pytest.mark.parametrize("score", SCORES)
def test_reference_is_what_auto_chooses(score: str) -> None:
    given = arguments(score)
    torch.testing.assert_close(edge_attention(**given, implementation="reference"), edge_attention(**given))


@pytest.mark.parametrize("score", SCORES)
def test_compiles_without_a_graph_break(score: str) -> None:
    given = arguments(score)
    compiled = torch.compile(edge_attention, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**given), edge_attention(**given))


def z(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


BAD = [
    ("dot", {"score": "cosine"}, "score must be one of additive, additive-dynamic, dot; found 'cosine'."),
    ("dot", {"implementation": "gpu"}, "implementation must be one of auto, reference; found 'gpu'."),
    ("dot", {"query": z(4, 6)}, "query must be floating point [nodes, heads, channels]; found float64 of shape [4, 6]"),
    ("dot", {"value": z(4, 2, 3).long()}, "value must be floating point [nodes, heads, channels]; found int64 of"),
    ("additive", {"query": z(4, 2, 3)}, "query must have shape [N_target, H, 1] for score='additive'; found [4, 2, 3]"),
    ("dot", {"key": z(4, 1, 3)}, "key must have shape [N_source, 2, 3], the heads and channels of query; found [4, 1,"),
    ("dot", {"value": z(5, 2, 3)}, "value must have shape [4, 2, C], the nodes and heads of key; found [5, 2, 3]."),
    ("dot", {"edge_index": z(2, 9)}, "edge_index must be int64 of shape [2, E]; found float64 of shape [2, 9]."),
    ("dot", {"edge_index": z(9, 2).long()}, "edge_index must be int64 of shape [2, E]; found int64 of shape [9, 2]."),
    ("dot", {"edge_index": z(2, 9).bool()}, "edge_index must be int64 of shape [2, E]; found bool of shape [2, 9]."),
    ("dot", {"edge_index": tensor([[-1, 2], [0, 0]])}, "source nodes from 0 to 3 in row 0; found -1 to 2."),
    ("dot", {"edge_index": tensor([[0, 1], [0, 4]])}, "target nodes from 0 to 3 in row 1; found 0 to 4."),
    ("dot", {"att": z(2, 3)}, "att must be None for score='dot'; found shape [2, 3]."),
    ("additive-dynamic", {"att": None}, "att must have shape [2, 3], the heads and channels of query; found None."),
    ("additive-dynamic", {"att": z(1, 2, 3)}, "the heads and channels of query; found [1, 2, 3]."),
    ("dot", {"edge_attr": z(8, 5)}, "edge_attr must have shape [9, D], a row per edge; found [8, 5]."),
    ("dot", {"edge_attr": z(9)}, "edge_attr must have shape [9, D], a row per edge; found [9]."),
    ("dot", {"edge_attr": None}, "edge_attr must be given together with edge_weight; found None."),
    ("dot", {"edge_weight": None}, "edge_weight must be given together with edge_attr; found None."),
    ("dot", {"edge_weight": z(6, 4)}, "edge_weight must have shape [6, 5], heads * channels of query by features of"),
    ("dot", {"value": z(4, 2, 7)}, "value must have 3 channels, as query has, because score='dot' adds the edge"),
    ("dot", {"value": z(4, 2, 3).to("meta")}, "value must be on cpu, where query is; found it on meta."),
    ("dot", {"dropout": 1.5}, "dropout probability has to be between 0 and 1, but got 1.5"),
]


@pytest.mark.parametrize(("score", "change", "message"), BAD, ids=[message for _, _, message in BAD])
def test_wrong_arguments_are_named(score: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        edge_attention(**arguments(score) | change)


@pytest.mark.parametrize("score", SCORES)
def test_graphs_of_almost_nothing(score: str) -> None:
    given = arguments(score) | {"edge_index": z(2, 0).long(), "edge_attr": z(0, 5)}
    out, weights = edge_attention(**given, return_attention_weights=True)
    assert out.shape == (4, 2, 3)
    assert not out.any()
    assert weights.shape == (0, 2)
    for name in ("query", "key", "value"):
        given[name] = given[name][:0]
    assert edge_attention(**given).shape == (0, 2, 3)
