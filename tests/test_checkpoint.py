"""A model folder comes back as it was written; one that was damaged is refused in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from gatlib.checkpoint import (
    load_model,
    read_description,
    save_model,
)
from gatlib.errors import InputError
from gatlib.model_files import content_hash, sha256

Damage = Callable[[Path], object]


@pytest.fixture
def folder(classification_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(classification_folder, tmp_path / "model"))


def edit(change: Callable[[dict[str, Any]], object], sign: bool = False) -> Damage:
    """Change the content of `model.json`; signed, as somebody would who knows how."""

    def damage(folder: Path) -> None:
        path = folder / "model.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        if sign:
            content.pop("content_sha256")
            content["content_sha256"] = content_hash(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return damage


def cut(name: str, size: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def flip_last_byte(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def other_weights(folder: Path) -> None:
    """Weights of another network, with a description that vouches for them."""
    data = safetensors.torch.save({"weight": torch.zeros(3)})
    (folder / "model.safetensors").write_bytes(data)
    edit(lambda content: content.update(weights_sha256=sha256(data)), sign=True)(folder)


def no_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"junk")
    edit(lambda content: content.update(weights_sha256=sha256(b"junk")), sign=True)(folder)


DAMAGE: dict[str, tuple[Damage, str]] = {
    "no model.json": (lambda folder: (folder / "model.json").unlink(), "is not a model folder: it has no model.json"),
    "an empty model.json": (cut("model.json", 0), "is not a whole model description"),
    "half a model.json": (cut("model.json", 500), "is not a whole model description"),
    "no JSON": (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), "is not a whole model description"),
    "a list": (lambda folder: (folder / "model.json").write_text("[]"), "is not a whole model description"),
    "nested JSON": (lambda folder: (folder / "model.json").write_text("[" * 99999), "is not a whole model description"),
    "no version": (edit(lambda content: content.pop("format_version")), "is not a whole model description"),
    "a newer format": (edit(lambda content: content.update(format_version=2)), r"newer format \(2, .*upgrade gatlib"),
    "an odd version": (edit(lambda content: content.update(format_version="x")), r"newer format \('x', .*upgrade"),
    "an edited name": (edit(lambda content: content.update(name="x")), "was changed after training"),
    "an edited figure": (edit(lambda content: content["metrics"]["test"]["ring"].update(roc_auc=0.123)), "was changed"),
    "an unknown key": (edit(lambda content: content.update(x=1), sign=True), "unknown key 'x'"),
    "a missing key": (edit(lambda content: content.pop("unit"), sign=True), "key 'unit' is missing"),
    "an unknown layer": (
        edit(lambda content: content["architecture"].update(conv="os"), sign=True),
        "architecture.conv",
    ),
    "earlier features": (
        edit(lambda content: content.update(featurization="ogb-v1"), sign=True),
        r"was trained on other features of molecules \('ogb-v1', this gatlib has 'ogb-v2'\): train it again",
    ),
    "odd features": (edit(lambda content: content.update(featurization=[1]), sign=True), "on other features"),
    "a task too many": (edit(lambda content: content["tasks"].append("x"), sign=True), "must have the same length"),
    "another width": (
        edit(lambda content: content["architecture"].update(heads=1, hidden_channels=8), sign=True),
        "do not fit the architecture",
    ),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "weights .* are missing: copy the folder again",
    ),
    "no bytes": (cut("model.safetensors", 0), "weights .* are missing"),
    "half the weights": (cut("model.safetensors", 2000), "weights .* are not those that model.json describes"),
    "one bit": (flip_last_byte, "weights .* are not those that model.json describes"),
    "other weights": (other_weights, "weights .* do not fit the architecture"),
    "no safetensors": (no_safetensors, "weights .* do not fit the architecture"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_refused_in_one_sentence(damage: Damage, reason: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(InputError, match=reason) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["classification_folder", "regression_folder"])
def test_a_model_comes_back_as_it_was(model: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source = request.getfixturevalue(model)
    network, description = load_model(source)
    assert not network.training
    fields = description.model_dump(exclude={"weights_sha256"})
    assert save_model(tmp_path, network, **fields) == description
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (source / name).read_bytes()


def test_the_description_says_what_the_model_has_learned(classification_folder: Path) -> None:
    description = read_description(classification_folder)
    assert description.tasks == ["ring", "nitrogen"]
    assert description.training.molecules == {"train": 50, "valid": 6, "test": 7}
    assert description.training.elements["C"] == 50
    assert description.training.atoms[0] < description.training.atoms[1]
    assert set(description.metrics) == {"valid", "test"}
    assert set(description.metrics["test"]) == {"ring", "nitrogen", "mean"}
    assert "torch" in description.versions


def test_the_weights_hold_no_pickle(classification_folder: Path) -> None:
    weights = safetensors.torch.load_file(classification_folder / "model.safetensors")
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
