import pytest
import torch
from torch import Tensor

from gatlib.kernels import cpu
from gatlib.kernels.columns import columns_of, node_columns, table_of
from gatlib.nn.functional import edge_attention


def columns(*widths: int, num_nodes: int = 4) -> list[Tensor]:
    return list(torch.randn(num_nodes, sum(widths)).split(widths, dim=1))


def test_table_of_its_columns() -> None:
    given = columns(6, 3, 6)
    table = table_of(given)
    assert table is not None
    assert table.data_ptr() == given[0].data_ptr()
    assert torch.equal(table, torch.cat(given, dim=1))
    for found, expected in zip(columns_of(table, like=given), given, strict=True):
        assert found.data_ptr() == expected.data_ptr()
        assert torch.equal(found, expected)


def test_columns_with_heads() -> None:
    given = [column.view(4, 3, -1) for column in columns(6, 6)]
    table = table_of(given)
    assert table is not None
    assert torch.equal(table, torch.cat([column.flatten(1) for column in given], dim=1))


@pytest.mark.parametrize(
    "given",
    [
        columns(6, 6)[::-1],
        columns(6, 6, 6)[:2],
        columns(6, 6, 6)[1:],
        columns(6, 6, 6)[::2],
        columns(12)[:1] * 2,
        [torch.randn(4, 6), torch.randn(4, 6)],
        [columns(6, 6)[0], columns(6, 6)[1]],
        [columns(6, 6)[0][:3], columns(6, 6)[1]],
        [columns(6, 6)[0].t()[:4], columns(6, 6)[1]],
        [torch.randn(1, 6).expand(4, -1)] * 2,
        columns(6, 6, num_nodes=0),
    ],
    ids=[
        "other order",
        "not the last",
        "not the first",
        "gap",
        "same twice",
        "two tensors",
        "two tables",
        "fewer rows",
        "transposed",
        "expanded",
        "no nodes",
    ],
)
def test_no_table(given: list[Tensor]) -> None:
    assert table_of(given) is None


@pytest.mark.parametrize("add_self_loops", [False, True])
@pytest.mark.parametrize("edge_dim", [0, 3])
@pytest.mark.parametrize("score", ["additive-dynamic", "dot"])
def test_attention_over_columns(
    score: str, edge_dim: int, add_self_loops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits as over tensors of their own, and gradients that lie beside each other."""
    torch.manual_seed(0)
    num_nodes, heads, channels, num_edges = 9, 2, 8, 30
    edge_index = torch.randint(num_nodes, (2, num_edges))
    options = {"add_self_loops": add_self_loops}
    if edge_dim > 0:
        rows = num_edges + (num_nodes if add_self_loops else 0)
        options |= {"edge_attr": torch.randn(rows, edge_dim), "edge_weight": torch.randn(heads * channels, edge_dim)}
    if score == "additive-dynamic":
        options["att"] = torch.randn(heads, channels)
    together = columns(*[heads * channels] * (2 if score == "additive-dynamic" else 3), num_nodes=num_nodes)

    def attend(nodes: list[Tensor]) -> list[Tensor]:
        nodes = [column.view(num_nodes, heads, channels).detach().requires_grad_() for column in nodes]
        key, query, value = (*nodes, nodes[0]) if len(nodes) == 2 else (nodes[1], nodes[0], nodes[2])
        assert node_columns(query, key, value) == nodes
        out = edge_attention(query, key, value, edge_index, score=score, implementation="cpu", **options)
        return [out, *torch.autograd.grad(out.square().sum(), nodes)]

    layouts = []
    laid_out_like = cpu._laid_out_like

    def watched(nodes: list[Tensor]) -> list[Tensor]:
        layouts.append(table_of(laid_out_like(nodes)) is not None)
        return laid_out_like(nodes)

    monkeypatch.setattr(cpu, "_laid_out_like", watched)
    found, expected = attend(together), attend([column.contiguous() for column in together])
    assert layouts == [True, False]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
