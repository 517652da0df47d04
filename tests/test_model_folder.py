"""Where models are, and what is known of one before it is loaded."""

from pathlib import Path

import pytest

from gatlib.checkpoint import read_description
from gatlib.errors import InputError
from gatlib.model_folder import bundled_models, featurization_of, model_folder


def test_what_a_model_sees_is_read_without_loading(
    side_folder: Path, laplacian_folder: Path, classification_folder: Path, tmp_path: Path
) -> None:
    assert featurization_of(side_folder) == ("both", False)
    assert featurization_of(laplacian_folder) == ("none", True)
    assert featurization_of(classification_folder) == ("none", False)
    # The third is that of a model from before there were any.
    for content in ("", "[]", '{"architecture": {"conv": "gat"}}', '{"architecture": {"side_features": ["x"]}}'):
        (tmp_path / "model.json").write_text(content)
        assert featurization_of(tmp_path) == ("none", False)
    with pytest.raises(InputError, match="there is no model 'none'"):
        featurization_of("none")


def test_a_model_is_a_folder_or_a_bundled_name(classification_folder: Path) -> None:
    assert model_folder(classification_folder) == classification_folder == model_folder(str(classification_folder))
    assert all(read_description(model_folder(name)) for name in bundled_models())
    with pytest.raises(InputError, match="there is no model 'nothing'"):
        model_folder("nothing")
