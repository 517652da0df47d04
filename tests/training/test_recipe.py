"""Recipes are flat, validated, and say what is wrong with them."""

from pathlib import Path

import pytest

from gatlib.errors import InputError
from gatlib.models import Architecture
from gatlib.training.recipe import Recipe, load_recipe, make_recipe


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "dataset: tox21\nconv: gat\nlearning_rate: 1e-3\nseed: 7\n"))
    assert (recipe.dataset, recipe.conv, recipe.learning_rate, recipe.seed) == ("tox21", "gat", 0.001, 7)
    assert recipe.batch_size == Recipe().batch_size


def test_the_architecture_is_a_part_of_the_recipe() -> None:
    assert Recipe(hidden_channels=24, heads=3, seed=5).architecture() == Architecture(hidden_channels=24, heads=3)


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "an unknown key": ("learning_rat: 0.1", "recipe .*yaml: unknown key 'learning_rat'; remove it or correct"),
        "text for a number": ("learning_rate: fast", r"key 'learning_rate': .*valid number.* \(found 'fast'\)"),
        "out of range": ("dropout: 1.5", r"key 'dropout': Input should be less than 1 \(found 1.5\)"),
        "a seed too large": ("seed: 4294967296", "key 'seed': Input should be less than 4294967296"),
        "an unknown layer": ("conv: gcn", "key 'conv': Input should be 'gat', 'gatv2' or 'transformer'"),
        "heads that do not divide": ("heads: 7", r"hidden_channels \(96\) must be a multiple of heads \(7\)"),
        "a list": ("- a\n- b", "must be lines of 'key: value'"),
        "nothing": ("", "must be lines of 'key: value'"),
        "no YAML": ("a: [1", "is not YAML"),
        "code": ("seed: !!python/object/apply:os.system ['true']", "is not YAML"),
    }.values(),
    ids=lambda value: value if len(value) < 12 else None,
)
def test_a_faulty_recipe_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        load_recipe(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read recipe .*none\.yaml: No such file or directory"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"cannot read recipe .*: Is a directory"):
        load_recipe(tmp_path)


def test_the_place_of_a_faulty_key_is_named() -> None:
    with pytest.raises(InputError, match=r"^command line: key 'max_epochs': .*greater than or equal to 1"):
        make_recipe({"max_epochs": 0}, "command line")
