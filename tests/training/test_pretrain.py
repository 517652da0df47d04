"""Pretraining: targets from the molecule alone, a run that goes on, and weights that others start from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gatlib.checkpoint import load_model, read_description
from gatlib.chem import feature_dims, featurize
from gatlib.chem.descriptor_names import DESCRIPTOR_NAMES
from gatlib.chem.side_features import morgan_counts, rdkit_descriptors
from gatlib.data.batches import GraphBatches
from gatlib.errors import InputError
from gatlib.model_files import write_model_files
from gatlib.model_folder import pretrained_folder
from gatlib.models import GraphAttentionNetwork
from gatlib.training import pretrain as pretrain_module
from gatlib.training.pretrain import PretrainingRecipe, pretrain, pretraining_targets
from gatlib.training.pretrained import describe_overlap, start_from
from gatlib.training.recipe import Recipe
from gatlib.training.train import train_table

SMILES = ["CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCCCC", "[Na+].[Cl-]"]


@pytest.fixture(scope="module")
def recipe(table_file: Path, tiny_recipe: Recipe) -> PretrainingRecipe:
    settings = tiny_recipe.model_dump(exclude_defaults=True)
    return PretrainingRecipe(**settings, sources=[str(table_file)], held_out=5)


@pytest.fixture(scope="module")
def folder(recipe: PretrainingRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pretrained") / "small"
    pretrain(recipe, path, None, lambda line: None)
    return path


def test_descriptors_are_ranked_and_substructures_are_as_they_are() -> None:
    descriptors, counts = rdkit_descriptors(SMILES), np.log1p(morgan_counts(SMILES), dtype=np.float32)
    targets = pretraining_targets(descriptors, counts, 0.0)
    assert len(set(targets.names)) == len(targets.names) == targets.values.shape[1]
    weight = targets.values[:, targets.names.index("MolWt")]
    assert np.array_equal(np.argsort(weight), np.argsort(descriptors[:, DESCRIPTOR_NAMES.index("MolWt")]))
    # The middles of six equal shares of the standard normal distribution.
    assert np.allclose(sorted(weight), [-1.3830, -0.6745, -0.2104, 0.2104, 0.6745, 1.3830], atol=1e-4)
    bit = next(name for name in targets.names if name.startswith("morgan_"))
    assert np.array_equal(targets.values[:, targets.names.index(bit)], counts[:, int(bit.split("_")[1])])


def test_equal_columns_and_rare_ones_are_no_targets() -> None:
    descriptors = np.zeros((10, len(DESCRIPTOR_NAMES)), dtype=np.float32)
    descriptors[0, 0], descriptors[:5, 1], descriptors[:, 2] = 1.0, 1.0, np.nan
    substructures = np.zeros((10, 4), dtype=np.float32)
    substructures[:3, 2] = 1.0
    assert pretraining_targets(descriptors, substructures, 0.2).names == [DESCRIPTOR_NAMES[1], "morgan_2"]
    assert pretraining_targets(descriptors, substructures, 0.1).names[0] == DESCRIPTOR_NAMES[0]
    with pytest.raises(InputError, match="nothing to learn"):
        pretraining_targets(descriptors[5:], substructures[5:], 0.2)


def test_both_kinds_of_targets_weigh_the_same() -> None:
    targets = pretraining_targets(rdkit_descriptors(SMILES), np.log1p(morgan_counts(SMILES), dtype=np.float32), 0.0)
    squares = np.nanmean(((targets.values - targets.scale.mean) / targets.scale.std) ** 2, axis=0)
    of_descriptors = np.array([not name.startswith("morgan_") for name in targets.names])
    assert squares[of_descriptors].sum() == pytest.approx(squares[~of_descriptors].sum(), rel=1e-4)
    assert squares.mean() == pytest.approx(1.0, rel=1e-4)


def test_a_folder_is_written_and_has_a_card(folder: Path) -> None:
    description = read_description(folder)
    assert description.training.molecules == {"train": 53, "valid": 5, "test": 5}
    assert (folder / "README.md").read_text().startswith("# small: a pretrained network")
    assert not (folder / ".training").exists()
    assert (folder / "training_log.csv").exists()


def test_a_run_that_was_stopped_computes_no_descriptor_again(
    recipe: PretrainingRecipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pretrain_module, "train_network", stopped)
        with pytest.raises(KeyboardInterrupt):
            pretrain(recipe, tmp_path / "again", None, lambda line: None)
    monkeypatch.setattr(pretrain_module, "rdkit_descriptors", stopped)
    again = pretrain(recipe, tmp_path / "again", None, lambda line: None)
    assert again.weights_sha256 == read_description(folder).weights_sha256


def test_another_recipe_does_not_mix_with_an_unfinished_run(recipe: PretrainingRecipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are too few to hold out 40 twice"):
        pretrain(recipe.model_copy(update={"held_out": 40}), tmp_path / "a", None, lambda line: None)
    with pytest.raises(InputError, match="unfinished run with other settings"):
        pretrain(recipe, tmp_path / "a", None, lambda line: None)


def test_weights_are_taken_over_but_for_the_readout(folder: Path, recipe: PretrainingRecipe) -> None:
    source, _ = load_model(folder)
    for side in ("none", "morgan"):
        settings = recipe.architecture().model_copy(update={"side_features": side, "dropout": 0.5})
        torch.manual_seed(0)
        network = GraphAttentionNetwork(settings, *feature_dims(), 3)
        readout = network.readout.weight.clone()
        start_from(network, str(folder))
        assert torch.equal(network.readout.weight, readout)
        for name, value in source.state_dict().items():
            if not name.startswith("readout."):
                found = network.state_dict()[name]
                assert torch.equal(found[tuple(slice(size) for size in value.shape)], value), name


def test_another_pooling_takes_the_weights_before_it(folder: Path, recipe: PretrainingRecipe) -> None:
    source, _ = load_model(folder)
    for pooling in ("mean_max_sum", "attention"):
        torch.manual_seed(0)
        network = GraphAttentionNetwork(
            recipe.architecture().model_copy(update={"pooling": pooling}), *feature_dims(), 3
        )
        before = {name: value.clone() for name, value in network.state_dict().items()}
        start_from(network, str(folder))
        for name, value in network.state_dict().items():
            after = name.startswith(("poolings.", "embedding.", "readout."))
            assert torch.equal(value, before[name] if after else source.state_dict()[name]), name


def test_new_heat_kernels_change_nothing_at_first(folder: Path, recipe: PretrainingRecipe) -> None:
    batch = GraphBatches(featurize(SMILES), np.arange(len(SMILES)))[range(len(SMILES))]
    outputs = []
    for times in (0, 4):
        settings = recipe.architecture().model_copy(update={"heat_kernel": times})
        network = GraphAttentionNetwork(settings, *feature_dims(), 3).eval()
        start_from(network, str(folder))
        outputs.append(network.embed(batch))
    torch.testing.assert_close(*outputs)  # the sums have zeros more
    network.train()
    network(batch).square().sum().backward()
    assert network.heat_kernel is not None
    assert network.heat_kernel.weight.grad is not None
    assert network.heat_kernel.weight.grad.any()  # and yet they learn


def test_a_network_with_other_settings_is_refused(folder: Path, recipe: PretrainingRecipe) -> None:
    other = GraphAttentionNetwork(recipe.architecture().model_copy(update={"conv": "gat"}), *feature_dims(), 1)
    with pytest.raises(InputError, match=r"has conv 'gatv2', the recipe 'gat': the settings of the network must be"):
        start_from(other, str(folder))
    with pytest.raises(InputError, match="there is no pretrained network 'nowhere'"):
        start_from(other, "nowhere")


def test_a_recipe_starts_from_it(folder: Path, table_file: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    barely = tiny_recipe.model_copy(update={"pretrained": str(folder), "learning_rate": 1e-12, "max_epochs": 1})
    train_table(str(table_file), ["ring"], "classification", barely, tmp_path / "model")
    trained, source = load_model(tmp_path / "model")[0].state_dict(), load_model(folder)[0].state_dict()
    assert torch.allclose(trained["atom_embedding.embedding.weight"], source["atom_embedding.embedding.weight"])
    assert read_description(tmp_path / "model").training.pretrained == folder.name
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"- **Starts from:** the weights of the pretrained network {folder.name}\n" in card
    assert "Starts from" not in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("network", "dataset", "split", "seen"),
    [
        ("molecules", "hiv", "ogb", False),
        ("molecules", "hiv", "scaffold_balanced", True),
        ("molecules", "muv", "scaffold", True),
        ("molecules", "tox21", "random", False),
        ("molecules_for_muv", "hiv", "ogb", False),
        ("molecules_for_muv", "muv", "scaffold", False),
        ("molecules_for_muv", "muv", "random", True),
    ],
)
def test_what_it_was_pretrained_on_is_told(network: str, dataset: str, split: str, seen: bool) -> None:
    note = describe_overlap(network, dataset, split)
    assert (note is not None) == seen
    if note is not None:
        assert f"pretrained on molecules of {dataset}, those of valid and test on the {split} split" in note


@pytest.mark.parametrize(("split", "seen"), [("ogb", False), ("random", True)])
def test_what_the_network_before_was_pretrained_on_is_told_too(tmp_path: Path, split: str, seen: bool) -> None:
    description = read_description(pretrained_folder("molecules_sums"))
    elsewhere = description.training.model_copy(update={"dataset": "mine.csv", "split": "random"})
    for before, told in (("molecules", seen), ("a network that is gone", False), (None, False)):
        training = elsewhere.model_copy(update={"pretrained": before})
        write_model_files(tmp_path, b"", description.model_copy(update={"training": training}))
        note = describe_overlap(str(tmp_path), "hiv", split)
        assert (note is not None and "the network 'molecules' was pretrained on molecules of hiv" in note) == told
