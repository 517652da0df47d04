"""Every setting of the network, on batches of random molecules."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch_geometric.data import Batch, Data

from gatlib.chem.side_features import num_side_features
from gatlib.models import Architecture, GraphAttentionNetwork
from gatlib.models.graph_attention_network import SideInput

ATOMS, BONDS, TASKS = (5, 3), (4, 2), 3
SETTINGS: dict[str, dict[str, Any]] = {
    "gat": {"conv": "gat"},
    "gatv2": {"conv": "gatv2"},
    "transformer": {"conv": "transformer"},
    "full": {"attention": "full", "shortest_path": 4, "laplacian": 2},
    "gps": {"attention": "both", "random_walk": 5, "norm_first": False},
    "interleaved": {"attention": "interleaved", "shortest_path": 3},
    "edge-set attention": {"tokens": "edges", "attention": "interleaved", "pooling": "multihead"},
    "edge tokens": {"tokens": "edges", "conv": "transformer", "random_walk": 3},
    "heat kernels": {"heat_kernel": 4},
    "gated": {"gated": True, "attention": "both", "norm": "layer", "pooling": "attention"},
    "graph norm": {"norm": "graph", "pooling": "sum", "drop_path": 0.2, "attention_dropout": 0.2},
    "no norm": {"norm": "none", "pooling": "max", "feed_forward": 0, "jumping_knowledge": False},
    "mean": {"pooling": "mean"},
    "mean, max and sum": {"pooling": "mean_max_sum"},
}
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def network(**settings: Any) -> GraphAttentionNetwork:
    torch.manual_seed(0)
    small = {"hidden_channels": 8, "heads": 2, "num_layers": 3, "edge_channels": 4, **settings}
    return GraphAttentionNetwork(Architecture(**small), ATOMS, BONDS, TASKS).eval()


def molecule(num_atoms: int, seed: int) -> Data:
    """A ring of atoms with side chains; a single atom has no bond."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.arange(1, num_atoms)
    target = (source * torch.rand(num_atoms - 1, generator=generator)).long()
    bonds = torch.stack([torch.randint(n, (num_atoms - 1,), generator=generator) for n in BONDS], dim=1)
    return Data(
        x=torch.stack([torch.randint(n, (num_atoms,), generator=generator) for n in ATOMS], dim=1),
        edge_index=torch.stack([torch.cat([source, target]), torch.cat([target, source])]),
        edge_attr=torch.cat([bonds, bonds]),
    )


MOLECULES = [molecule(num_atoms, seed) for seed, num_atoms in enumerate([7, 1, 12, 2, 30])]


@every_setting
def test_company_changes_nothing(settings: dict[str, Any]) -> None:
    model = network(**settings)
    together = model(Batch.from_data_list(MOLECULES))
    assert together.shape == (len(MOLECULES), TASKS)
    for i, data in enumerate(MOLECULES):
        torch.testing.assert_close(model(Batch.from_data_list([data]))[0], together[i], rtol=0, atol=1e-5)


@every_setting
def test_renumbered_atoms(settings: dict[str, Any]) -> None:
    # A repeated eigenvalue has no eigenvectors of its own: the encodings say so, and offer others.
    model = network(**{**settings, "laplacian": 0})
    data = MOLECULES[2]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5))
    bonds = torch.randperm(22, generator=torch.Generator().manual_seed(6))
    renumbered = Data(
        x=data.x[order], edge_index=order.argsort()[data.edge_index][:, bonds], edge_attr=data.edge_attr[bonds]
    )
    a, b = (model(Batch.from_data_list([each])) for each in (data, renumbered))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@every_setting
def test_every_weight_has_a_say(settings: dict[str, Any]) -> None:
    model = network(**settings).train()
    torch.manual_seed(1)
    model(Batch.from_data_list(MOLECULES * 3)).square().sum().backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        ({"pooling": "mean_max"}, False),
        ({"pooling": "mean_max_sum"}, True),
        ({"pooling": "sum"}, True),
        ({"pooling": "mean_max", "heat_kernel": 8}, True),
    ],
)
def test_sums_and_heat_tell_how_many_atoms_there_are(settings: dict[str, Any], counts: bool) -> None:
    # Every atom of a ring of ones sees the same, however large the ring.
    def ring(size: int) -> Data:
        i = torch.arange(size)
        edge_index = torch.stack([torch.cat([i, (i + 1) % size]), torch.cat([(i + 1) % size, i])])
        ones = (torch.ones(n, 2, dtype=torch.long) for n in (size, 2 * size))
        return Data(x=next(ones), edge_index=edge_index, edge_attr=next(ones))

    six, twelve = network(**settings)(Batch.from_data_list([ring(6), ring(12)]))
    assert torch.allclose(six, twelve, rtol=0, atol=1e-5) != counts


def test_two_spellings_of_a_ring_get_the_same_with_heat_kernels() -> None:
    # A ring's eigenvalues are repeated: its eigenvectors would depend on the numbering.
    i = torch.arange(6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    edges = torch.stack([torch.cat([i, (i + 1) % 6]), torch.cat([(i + 1) % 6, i])])
    x = torch.tensor([[1, 0], [0, 1], [2, 2], [3, 0], [4, 1], [0, 0]])
    bonds = torch.zeros(12, 2, dtype=torch.long)
    ring = Data(x=x, edge_index=edges, edge_attr=bonds)
    renumbered = Data(x=x[order], edge_index=order.argsort()[edges], edge_attr=bonds)
    model = network(heat_kernel=8)
    a, b = (model(Batch.from_data_list([each])) for each in (ring, renumbered))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_heat_by_hand() -> None:
    # Of a bond between two atoms, after time t: (1 + exp(-2 t)) / 2 at each. A lone atom keeps all of it.
    model = network(heat_kernel=2)
    assert model.heat_kernel is not None
    torch.nn.init.ones_(model.heat_kernel.weight)
    torch.nn.init.zeros_(model.heat_kernel.bias)
    bond = Data(
        x=torch.zeros(3, 2, dtype=torch.long),
        edge_index=torch.tensor([[0, 1], [1, 0]]),
        edge_attr=torch.zeros(2, 2, dtype=torch.long),
    )
    batch = Batch.from_data_list([bond])
    (x, *_), _ = model.states(batch)
    expected = math.log((1 + math.exp(-2)) / 2) + math.log((1 + math.exp(-4)) / 2)
    added = x - model.atom_embedding(batch.x)
    torch.testing.assert_close(added, torch.tensor([expected, expected, 0.0])[:, None].expand(3, 8), rtol=0, atol=1e-6)


def test_mean_max_and_sum_by_hand() -> None:
    h, batch = torch.tensor([[1.0, -2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([0, 0, 2])
    model = network(pooling="mean_max_sum")
    assert model._pool(h, model.poolings[0], batch, 3).tolist() == [
        pytest.approx([2, 1, 3, 4, 0.4, 0.2]),
        [0, 0, 0, 0, 0, 0],
        pytest.approx([5, 6, 5, 6, 0.5, 0.6]),
    ]


def test_edge_tokens_by_hand() -> None:
    #   0 - 1   2: bond tokens 0 -> 1 and 1 -> 0, and a loop for each atom
    model = network(tokens="edges")
    data = Data(
        x=torch.zeros(3, 2, dtype=torch.long),
        edge_index=torch.tensor([[0, 1], [1, 0]]),
        edge_attr=torch.zeros(2, 2, dtype=torch.long),
    )
    x, edge_attr = model.atom_embedding(data.x), model.bond_embedding(data.edge_attr)
    tokens, adjacency, batch = model._edge_tokens(x, data.edge_index, edge_attr, torch.zeros(3, dtype=torch.long))
    assert tokens.shape == (5, 8)
    assert batch.tolist() == [0] * 5
    neighbours = {e: adjacency[0][adjacency[1] == e].tolist() for e in range(5)}
    assert neighbours == {0: [0, 1, 2, 3], 1: [0, 1, 2, 3], 2: [0, 1, 2], 3: [0, 1, 3], 4: [4]}


def test_interleaved_blocks_begin_with_the_edges() -> None:
    blocks = network(attention="interleaved").blocks
    assert [(block.local is not None, block.full is not None) for block in blocks] == [
        (True, False),
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 5}, "must be a multiple of heads"),
        ({"shortest_path": 2}, "shortest_path is a bias of full attention"),
        ({"attention": "full", "tokens": "edges", "shortest_path": 2}, "shortest_path is a bias of full attention"),
        ({"attention": "everything"}, "attention"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture(**settings)


def with_side(data: Data, seed: int) -> Data:
    side = torch.randn(1, num_side_features("both"), generator=torch.Generator().manual_seed(seed))
    return Data(x=data.x, edge_index=data.edge_index, edge_attr=data.edge_attr, side=side)


def test_side_features_of_each_molecule_reach_it_alone() -> None:
    model = network(side_features="both")
    molecules = [with_side(data, seed) for seed, data in enumerate(MOLECULES)]
    together = model(Batch.from_data_list(molecules))
    for i, data in enumerate(molecules):
        torch.testing.assert_close(model(Batch.from_data_list([data]))[0], together[i], rtol=0, atol=1e-5)
    others = model(Batch.from_data_list([with_side(molecules[0], 9), *molecules[1:]]))
    assert (others[0] - together[0]).abs().max() > 1e-3
    torch.testing.assert_close(others[1:], together[1:], rtol=0, atol=1e-5)
    model.train()(Batch.from_data_list(molecules)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_without_side_features_there_is_nothing_of_them() -> None:
    model = network()
    assert not [name for name in model.state_dict() if name.startswith("side")]
    given = Batch.from_data_list([with_side(data, 0) for data in MOLECULES])
    assert torch.equal(model(given), model(Batch.from_data_list(MOLECULES)))


@pytest.mark.parametrize(
    "molecules", [MOLECULES, [Data(**data.to_dict(), side=torch.ones(1, 3)) for data in MOLECULES]]
)
def test_a_batch_without_the_side_features_is_refused(molecules: list[Data]) -> None:
    with pytest.raises(ValueError, match="this network wants side features: featurise with side_features='morgan'"):
        network(side_features="morgan")(Batch.from_data_list(molecules))


def test_side_features_are_standardised_by_hand() -> None:
    nan = float("nan")
    module = SideInput(5, 4)
    #                                  varies, has gaps, the same for all (twice), never known
    known = np.array([[1, 10, 0.3, 0, nan], [3, nan, 0.3, 0, nan], [5, 30, 0.3, 0, nan]], dtype=np.float32)
    module.standardize_by(known)
    torch.testing.assert_close(module.mean, torch.tensor([3, 20, 0.3, 0, 0]))
    torch.testing.assert_close(module.std, torch.tensor([(8 / 3) ** 0.5, 10, 1, 1, 1]))
    seen: list[torch.Tensor] = []
    module.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    out = module(torch.tensor([[3.0, 1e6, 1.3, 0, nan], [nan, -1e6, 0.3, 2, 1]]))
    torch.testing.assert_close(seen[0], torch.tensor([[0.0, 5, 1, 0, 0], [0, -5, 0, 2, 1]]))
    assert out.shape == (2, 4)
    assert out.isfinite().all()
