"""The same molecule, the same prediction, however its SMILES is written."""

from pathlib import Path

import numpy as np
import pytest
from spelled_molecules import HARD, real_molecules, spellings

from gatlib.chem import canonical_smiles
from gatlib.model_folder import bundled_models, model_folder
from gatlib.predictor import Predictor

TRAINED = ["classification_folder", "side_folder", "regression_folder", "laplacian_folder"]


def assert_spellings_agree(predictor: Predictor, smiles: list[str], count: int) -> None:
    """To 1e-5 of a target's standard deviation; that of a class is at most 0.5, of its rarest task here about 0.16."""
    groups = [[text, *spellings(text, count)] for text in smiles]
    values = predictor.predict([text for group in groups for text in group])[predictor.columns].to_numpy(dtype=float)
    assert np.isfinite(values).all()
    of_groups = np.split(values, np.cumsum([len(group) for group in groups])[:-1])
    spread = np.array([np.ptp(found, axis=0) for found in of_groups])
    std = 0.16 if predictor.description.task_type == "classification" else np.array(predictor.description.target_std)
    worst = (spread / std).max(axis=1)
    assert worst.max() < 1e-5, f"{smiles[worst.argmax()]}: {worst.max():.1e}"


@pytest.mark.parametrize("model", TRAINED)
def test_a_trained_model_does_not_see_the_spelling(model: str, request: pytest.FixtureRequest) -> None:
    assert_spellings_agree(Predictor.load(request.getfixturevalue(model)), HARD, 10)


@pytest.mark.parametrize("model", bundled_models())
def test_a_bundled_model_does_not_see_the_spelling(model: str, data_dir: Path) -> None:
    assert_spellings_agree(Predictor.load(model_folder(model)), list(real_molecules(data_dir)), 10)


#: Two spellings each, of which earlier models had two predictions.
PAIRS = {
    "alanine": ("C[C@H](N)C(=O)O", "N[C@@H](C)C(=O)O"),
    "menthol": ("[C@@H]1([C@H](C(C)C)CC[C@H](C1)C)O", "[C@H]1(C[C@@H](CC[C@H]1C(C)C)C)O"),
    "oestradiol": (
        "C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O",
        "O[C@H]1CC[C@H]2[C@@H]3CCc4cc(O)ccc4[C@H]3CC[C@]12C",
    ),
    "ethanol": ("CCO", "[2H]C([2H])([2H])C([2H])([2H])O[2H]"),
    "benzene": ("c1ccccc1", "[2H]c1c([2H])c([2H])c([2H])c([2H])c1[2H]"),
}


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("model", bundled_models())
def test_a_bundled_model_has_one_prediction_for_two_spellings(model: str, one: str, other: str) -> None:
    assert canonical_smiles(one) == canonical_smiles(other)
    predictor = Predictor.load(model_folder(model))
    values = predictor.predict([one, other])[predictor.columns].to_numpy(dtype=float)
    np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-6)
