"""Graph to SMILES: what the network is given, that it knows no order of the atoms, and a whole run in small."""

import sys
from importlib import import_module, util
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from gatlib.chem.ogb_tables import ogb_element
from gatlib.errors import InputError

FOLDER = Path(__file__).parents[2] / "experiments" / "sequence"
sys.path.append(str(FOLDER))

smiles_data = import_module("smiles_data")
smiles_evaluation = import_module("smiles_evaluation")
smiles_network = import_module("smiles_network")
_spec = util.spec_from_file_location("sequence_train", FOLDER / "train.py")  # other experiments may have a train.py
sequence_train = util.module_from_spec(_spec)
_spec.loader.exec_module(sequence_train)

SMILES = ["CC(=O)Nc1ccc(Cl)cc1[N+](=O)[O-]", "C", "CCO.[NaH]", "c1ccc2[nH]ccc2c1", "BrC1CC1", "CC1(C)CC2CC2C1=O"]


@pytest.fixture(scope="module")
def vocabulary():
    return smiles_data.make_vocabulary(SMILES)


@pytest.fixture(scope="module")
def molecules(vocabulary):
    return smiles_data.make_molecules(SMILES, vocabulary)


def small_recipe(**changes):
    return sequence_train.load_recipe(FOLDER / "recipe.yaml", sequence_train.SMALL | changes)


def make_network(vocabulary):
    torch.manual_seed(0)
    return smiles_network.GraphToSmiles(small_recipe(encoder_layers=2), vocabulary)


def test_tokens_by_hand():
    assert smiles_data.tokenize("C[C@H]1%10ClBrBc[nH]%11") == [
        "C",
        "[C@H]",
        "1",
        "%10",
        "Cl",
        "Br",
        "B",
        "c",
        "[nH]",
        "%11",
    ]
    assert [token for token in smiles_data.tokenize("[Na+].C=C(*)n1#%10Cl") if smiles_data.is_atom(token)] == [
        "[Na+]",
        "C",
        "C",
        "*",
        "n",
        "Cl",
    ]


def test_a_sequence_is_its_smiles(vocabulary, molecules):
    data, tokens = molecules.batch(np.arange(len(SMILES)))
    assert data.num_graphs == len(SMILES)
    for smiles, sequence in zip(SMILES, tokens, strict=True):
        assert sequence[sequence != smiles_data.PAD][-1] == smiles_data.END
        assert smiles_data.to_smiles(sequence[sequence != smiles_data.PAD], vocabulary) == smiles
    (unseen,) = smiles_data.make_molecules(["CI"], vocabulary).sequences
    assert unseen.tolist() == [vocabulary.index("C"), smiles_data.UNKNOWN, smiles_data.END]


def test_the_atoms_of_a_graph_lie_in_the_order_of_its_smiles(molecules):
    x, ptr = molecules.graphs.x, molecules.graphs.atom_ptr
    for row, smiles in enumerate(SMILES):
        named = [token for token in smiles_data.tokenize(smiles) if smiles_data.is_atom(token)]
        elements = [ogb_element(int(index)) for index in x[ptr[row] : ptr[row + 1], 0]]
        assert [token.strip("[]+-0123456789").removesuffix("H").capitalize() for token in named] == elements


def test_stereo_marks_and_isotopes_are_left_out():
    assert smiles_data.flat_smiles(smiles_data.parse("OC(=O)[C@@H](N)C/C=C/[13CH3]")) == "CC=CCC(N)C(=O)O"


def test_pieces_by_hand():
    # The ring is not cut, nor are a double bond and a bond of an atom with a charge.
    cuts = smiles_data.cut_into_pieces(["O=C(CC1CC1)[N+](C)(C)C"] * 50, range(1, 9), seed=0)
    assert cuts == {"C", "C1CC1", "CC1CC1", "C[N+](C)(C)C=O", "CC(=O)[N+](C)(C)C"}
    assert smiles_data.cut_into_pieces(["c1ccccc1", "C=C", "C"], range(1, 9), seed=0) == set()
    assert smiles_data.cut_into_pieces(["CCCCO"] * 50, range(4, 5), seed=0) == {"CCCC", "CCCO"}


def test_batches_hold_every_molecule_once_and_no_more_than_fits():
    sizes = np.random.default_rng(0).integers(1, 40, 200)
    batches = list(smiles_data.batches_alike(np.arange(200), sizes, 100))
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert all(len(rows) * sizes[rows].max() <= 100 for rows in batches)
    assert np.mean([len(rows) * sizes[rows].max() for rows in batches]) > 60


def test_an_epoch_has_all_real_molecules_and_other_pieces():
    lengths = np.full(100, 10)
    batches = smiles_data.training_batches(lengths, 20, 2, 200, seed=0)
    first, second = (np.concatenate(list(islice(batches, 3))) for _ in range(2))
    for epoch in (first, second):
        assert len(epoch) == len(set(epoch)) == 60
        assert set(range(20)) <= set(epoch)
    assert set(first) != set(second)


def test_walks_by_hand():
    # The path 0 - 1 - 2 and a node alone.
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    found = smiles_network.walk_encoding(edge_index, torch.tensor([0, 0, 0, 1]), 3)
    expected = [
        [0, 0.5, 0, 0.25, 0.25, 0],
        [0, 1, 0, 0.5, 0, 0],
        [0, 0.5, 0, 0.25, 0.25, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_network_does_not_know_the_order_of_the_atoms(vocabulary, molecules):
    # The graphs come in the order of the SMILES: it must not give the answer away.
    network = make_network(vocabulary)
    data, tokens = molecules.batch(np.arange(len(SMILES)))
    old_of_new = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(0))
    old_of_new = old_of_new[data.batch[old_of_new].argsort(stable=True)]
    shuffled = data.clone()
    shuffled.x, shuffled.edge_index = data.x[old_of_new], old_of_new.argsort()[data.edge_index]
    with torch.no_grad():
        x, x_shuffled = network.encode(data), network.encode(shuffled)
        torch.testing.assert_close(x_shuffled, x[old_of_new], rtol=1e-5, atol=1e-5)
        logits = network.readout(x, data.batch, tokens)
        torch.testing.assert_close(network.readout(x_shuffled, data.batch, tokens), logits, rtol=1e-5, atol=1e-5)


def test_few_molecules_are_learned_by_heart_and_written(vocabulary, molecules):
    recipe, network = small_recipe(), make_network(vocabulary)
    optimizer = sequence_train.make_optimizer(network, recipe)
    for _ in range(120):
        batch = molecules.batch(np.arange(len(SMILES)))
        sequence_train.training_step(network, optimizer, *batch, 1e-2, recipe)
    network.eval()
    with torch.no_grad():
        of_tokens, of_atoms = network.losses(*molecules.batch(np.arange(len(SMILES))))
    assert of_tokens < 0.1
    assert of_atoms < 0.5  # atoms that are alike cannot be told apart
    predictions = smiles_evaluation.predict(network, molecules, vocabulary, 2)
    assert predictions["greedy"].tolist() == predictions["beam"].tolist() == SMILES
    table = smiles_evaluation.scores(predictions.replace({"greedy": {"BrC1CC1": "BrC1CC"}}), 2)
    values = table[table["part"] == "test"].set_index("metric")["value"]
    assert values.to_dict() == pytest.approx(
        {"exact_match_greedy": 5 / 6, "validity_greedy": 5 / 6, "exact_match_beam2": 1, "validity_beam2": 1}
    )


def test_the_learning_rate_follows_the_budget():
    values = [sequence_train.schedule(spent, 0.2) for spent in (0, 0.1, 0.2, 0.6, 1)]
    assert values == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_going_on_from_a_checkpoint_changes_nothing(vocabulary, molecules, tmp_path):
    recipe, batch = small_recipe(), molecules.batch(np.arange(len(SMILES)))

    def steps(network, optimizer, count):
        for _ in range(count):
            sequence_train.training_step(network, optimizer, *batch, 1e-3, recipe)

    straight = make_network(vocabulary)
    optimizer = sequence_train.make_optimizer(straight, recipe)
    steps(straight, optimizer, 2)
    sequence_train.save_checkpoint(tmp_path / "checkpoint", straight, optimizer, 2, 0.5, recipe)
    steps(straight, optimizer, 2)

    resumed = make_network(vocabulary)
    optimizer = sequence_train.make_optimizer(resumed, recipe)
    found = sequence_train.load_checkpoint(tmp_path / "checkpoint", resumed, optimizer, recipe)
    assert found == (2, 0.5)
    steps(resumed, optimizer, 2)
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)
    with pytest.raises(InputError, match="unfinished run of another recipe"):
        sequence_train.load_checkpoint(tmp_path / "checkpoint", resumed, optimizer, small_recipe(seed=1))


def test_an_unknown_key_of_the_recipe_is_an_error():
    with pytest.raises(InputError, match="unknown key 'learning_rat'"):
        small_recipe(learning_rat=1)


def test_a_run_in_small(data_dir, tmp_path, monkeypatch):
    recipe = small_recipe(rows=120, budget_minutes=0.02, report_minutes=0.01)
    folder = tmp_path / "run"
    with monkeypatch.context() as context:  # stopped after the training
        context.setattr(sequence_train, "predict", None)
        with pytest.raises(TypeError):
            sequence_train.run(recipe, folder, tmp_path, data_dir)
    log = pd.read_csv(folder / "training_log.csv")
    assert list(log) == ["step", "minutes", "train_loss", "valid_loss", "valid_exact_match", "valid_validity"]
    weights = load_file(folder / "checkpoint.safetensors")

    sequence_train.run(recipe, folder, tmp_path, data_dir)  # goes on with the evaluation
    pd.testing.assert_frame_equal(pd.read_csv(folder / "training_log.csv"), log)
    after = load_file(folder / "checkpoint.safetensors")
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())
    predictions = pd.read_csv(folder / "test_predictions.csv")
    results = pd.read_csv(tmp_path / "results.csv").set_index(["part", "metric"])
    assert results.loc[("test", "exact_match_beam5"), "n"] == len(predictions)
    assert results["value"].between(0, 1).all()
    assert results["seconds"].unique() == pytest.approx([60 * 0.02], abs=5)
    assert (tmp_path / "exact_match.png").stat().st_size > 10_000

    with pytest.raises(InputError, match="holds a finished run"):
        sequence_train.run(recipe, folder, tmp_path, data_dir)


def test_no_piece_and_no_molecule_is_in_two_parts(data_dir):
    dataset = sequence_train.read_dataset(small_recipe(rows=200), data_dir)
    parts = [dataset.train.smiles, dataset.valid.smiles, dataset.test.smiles]
    assert len(dataset.train.smiles) > dataset.num_real > 0
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert dataset.train.num_atoms.max() <= 24 < dataset.test.num_atoms.max()
    assert dataset.train.num_atoms[dataset.num_real :].min() >= 8
