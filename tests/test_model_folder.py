"""What is known of a model before it is loaded."""

from pathlib import Path

import pytest

from gatlib.errors import InputError
from gatlib.model_folder import side_features_of


def test_side_features_are_read_without_loading(side_folder: Path, classification_folder: Path, tmp_path: Path) -> None:
    assert side_features_of(side_folder) == "both"
    assert side_features_of(classification_folder) == "none"
    assert side_features_of("tox21") == "none"  # written before there were any
    for content in ("", "[]", '{"architecture": {"side_features": ["x"]}}'):
        (tmp_path / "model.json").write_text(content)
        assert side_features_of(tmp_path) == "none"
    with pytest.raises(InputError, match="there is no model 'none'"):
        side_features_of("none")
