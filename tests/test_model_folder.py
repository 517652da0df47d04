"""Where models are, and what is known of one before it is loaded."""

from pathlib import Path

import pytest

from gatlib.checkpoint import read_description
from gatlib.errors import InputError
from gatlib.model_folder import bundled_models, model_folder, side_features_of


def test_side_features_are_read_without_loading(side_folder: Path, classification_folder: Path, tmp_path: Path) -> None:
    assert side_features_of(side_folder) == "both"
    assert side_features_of(classification_folder) == "none"
    # The third is that of a model from before there were any.
    for content in ("", "[]", '{"architecture": {"conv": "gat"}}', '{"architecture": {"side_features": ["x"]}}'):
        (tmp_path / "model.json").write_text(content)
        assert side_features_of(tmp_path) == "none"
    with pytest.raises(InputError, match="there is no model 'none'"):
        side_features_of("none")


def test_a_model_is_a_folder_or_a_bundled_name(classification_folder: Path) -> None:
    assert model_folder(classification_folder) == classification_folder == model_folder(str(classification_folder))
    assert all(read_description(model_folder(name)) for name in bundled_models())
    with pytest.raises(InputError, match="there is no model 'nothing'"):
        model_folder("nothing")
