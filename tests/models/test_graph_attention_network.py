"""Every setting of the network, on batches of random molecules."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch_geometric.data import Batch, Data

from gatlib.models import Architecture, GraphAttentionNetwork

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
    "gated": {"gated": True, "attention": "both", "norm": "layer", "pooling": "attention"},
    "graph norm": {"norm": "graph", "pooling": "sum", "drop_path": 0.2, "attention_dropout": 0.2},
    "no norm": {"norm": "none", "pooling": "max", "feed_forward": 0, "jumping_knowledge": False},
    "mean": {"pooling": "mean"},
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
        torch.testing.assert_close(model(Batch.from_data_list([data]))[0], together[i], rtol=0, atol=2e-6)


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
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


@every_setting
def test_every_weight_has_a_say(settings: dict[str, Any]) -> None:
    model = network(**settings).train()
    torch.manual_seed(1)
    model(Batch.from_data_list(MOLECULES * 3)).square().sum().backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


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
