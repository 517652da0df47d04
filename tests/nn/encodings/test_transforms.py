"""The transforms on a graph and on a batch, and PyG's virtual node under a layer of ours."""

import pytest
import torch
from small_graphs import both_ways, edges, random_edges
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform, Compose, VirtualNode

from gatlib.nn import GATv2Conv
from gatlib.nn.encodings.laplacian import heat_kernel_encoding, laplacian_encoding
from gatlib.nn.encodings.random_walk import random_walk_encoding
from gatlib.nn.encodings.transforms import AddHeatKernelEncoding, AddLaplacianEncoding, AddRandomWalkEncoding

TRANSFORMS = [
    (AddRandomWalkEncoding(4), "random_walk", lambda *graph, **n: random_walk_encoding(graph[0], 4, *graph[1:], **n)),
    (AddLaplacianEncoding(3), "laplacian", lambda *graph, **n: laplacian_encoding(graph[0], 3, *graph[1:], **n)[0]),
    (
        AddHeatKernelEncoding([1, 5]),
        "heat_kernel",
        lambda *graph, **n: heat_kernel_encoding(graph[0], [1, 5], *graph[1:], **n),
    ),
]
every_transform = pytest.mark.parametrize(("transform", "name", "encode"), TRANSFORMS, ids=[t[1] for t in TRANSFORMS])


def graphs() -> list[Data]:
    sizes = (5, 1, 12, 5)
    return [Data(x=torch.randn(size, 2), edge_index=random_edges(size, 2 * size - 2)) for size in sizes]


@every_transform
def test_single_graph(transform: BaseTransform, name: str, encode) -> None:
    for data in graphs():
        found = transform(data)
        assert torch.equal(found[name], encode(data.edge_index, num_nodes=data.num_nodes))
        assert name not in data
        assert set(found.keys()) == {*data.keys(), name}


@every_transform
def test_batch(transform: BaseTransform, name: str, encode) -> None:
    batch = Batch.from_data_list(graphs())
    found = transform(batch)
    assert isinstance(found, Batch)
    assert name not in batch
    assert torch.equal(found[name], encode(batch.edge_index, batch.batch, num_nodes=batch.num_nodes))
    one_by_one = torch.cat([transform(data)[name] for data in graphs()])
    torch.testing.assert_close(found[name], one_by_one, rtol=0, atol=1e-6)


@every_transform
def test_batched_after_the_transform(transform: BaseTransform, name: str, encode) -> None:
    batch = Batch.from_data_list([transform(data) for data in graphs()])
    torch.testing.assert_close(transform(batch)[name], batch[name], rtol=0, atol=1e-6)


def test_graph_without_features_or_edges() -> None:
    data = Compose([transform for transform, _, _ in TRANSFORMS])(Data(edge_index=edges(), num_nodes=2))
    assert data.random_walk.tolist() == [[0] * 4] * 2
    assert data.laplacian.shape == (2, 3)
    assert data.heat_kernel.tolist() == [[1, 1]] * 2


def test_own_names() -> None:
    data = Data(edge_index=both_ways((0, 1)), num_nodes=2)
    for transform in (
        AddRandomWalkEncoding(2, attr_name="pe"),
        AddLaplacianEncoding(2, attr_name="pe"),
        AddHeatKernelEncoding((1.0, 2.0), attr_name="pe"),
    ):
        assert transform(data).pe.shape == (2, 2)


def test_virtual_node_under_gatv2() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3)
    data = VirtualNode()(Data(x=x, edge_index=both_ways((0, 1)), edge_attr=torch.randn(2, 2)))
    conv = GATv2Conv(3, 4, heads=2, edge_dim=2)

    def after_two_layers(x: Tensor) -> Tensor:
        hidden = conv(torch.cat([x, data.x[4:]]), data.edge_index, data.edge_attr)
        return conv(hidden[:, :3], data.edge_index, data.edge_attr)

    out = after_two_layers(x)
    assert out.shape == (5, 8)
    # Node 3 has no neighbour but the virtual one, by which it hears of node 0 in two steps.
    changed = torch.cat([x[:1] + 1, x[1:]])
    assert not torch.allclose(after_two_layers(changed)[3], out[3])
