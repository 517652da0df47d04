"""Predictions: a row for every input, in order, whatever the input and its neighbours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gatlib
from gatlib.chem import featurize
from gatlib.errors import InputError
from gatlib.predictor import Predictor

SMILES = ["CCO", "C", "[Na+].[Cl-]", "c1ccccc1C(=O)O", "C" * 300, "[H][H]", "*", "[13CH3]N", "O=C(O)c1ccncc1"]
NOTHING = ["", None, float("nan"), 3, "C1CC", "not one", "C(C)(C)(C)(C)C"]


@pytest.fixture(scope="module")
def predictor(classification_folder: Path) -> Predictor:
    return Predictor.load(classification_folder)


@pytest.fixture(scope="module")
def alone(predictor: Predictor) -> dict[str, list[float]]:
    """Each molecule predicted by itself."""
    return {smiles: predictor.predict([smiles]).loc[0, predictor.columns].tolist() for smiles in SMILES}


few = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(st.lists(st.sampled_from([*SMILES, *NOTHING]), max_size=12))
def test_every_row_is_its_inputs_and_no_neighbours(
    predictor: Predictor, alone: dict[str, list[float]], inputs: list[object]
) -> None:
    table = predictor.predict(inputs)
    assert list(table.columns) == ["smiles", "ring_pred", "nitrogen_pred", "error"]
    assert len(table) == len(inputs)
    for row, item in enumerate(inputs):
        assert table["smiles"][row] is item
        values = table.loc[row, predictor.columns].to_numpy(dtype=float)
        if item in SMILES:
            assert table["error"][row] == ""
            np.testing.assert_allclose(values, alone[str(item)], atol=1e-5, rtol=0)
        else:
            assert table["error"][row]
            assert np.isnan(values).all()


def test_a_probability_lies_between_0_and_1(alone: dict[str, list[float]]) -> None:
    assert all(0 < value < 1 for values in alone.values() for value in values)


def test_a_value_is_in_the_unit_of_the_targets(regression_folder: Path, labelled_rows: list[list[object]]) -> None:
    predictor = Predictor.load(regression_folder)
    smiles = [row[1] for row in labelled_rows if row[0] not in ("bad1", "bad2")]
    found = predictor.predict(smiles)["size_pred"]
    assert found.mean() == pytest.approx(np.mean([len(str(text)) / 7 for text in smiles]), abs=0.5)


@pytest.mark.parametrize(
    "inputs",
    [iter(["CCO", "C1"]), ("CCO", "C1"), pd.Series(["CCO", "C1"], index=[7, 3]), np.array(["CCO", "C1"])],
    ids=["an iterator", "a tuple", "a pandas column", "an array"],
)
def test_any_collection_will_do(inputs: object, predictor: Predictor) -> None:
    table = predictor.predict(inputs)  # type: ignore[arg-type]
    assert table["smiles"].tolist() == ["CCO", "C1"]
    assert table["error"].tolist() == ["", "not a valid SMILES"]
    assert table.index.tolist() == [0, 1]


def test_a_string_is_one_molecule(predictor: Predictor) -> None:
    assert predictor.predict("CCO").equals(predictor.predict(["CCO"]))


def test_missing_values_of_pandas_have_a_reason(predictor: Predictor) -> None:
    table = predictor.predict(pd.Series(["C", None, pd.NA], dtype="string"))
    assert table["error"].tolist() == ["", "empty SMILES", "empty SMILES"]


def test_nothing_in_gives_an_empty_table_with_all_columns(predictor: Predictor) -> None:
    table = predictor.predict([])
    assert (len(table), list(table.columns)) == (0, ["smiles", *predictor.columns, "error"])


def test_nothing_valid_is_no_failure(predictor: Predictor) -> None:
    assert predictor.predict(NOTHING)[predictor.columns].isna().all(axis=None)


def test_the_package_offers_the_predictor(classification_folder: Path) -> None:
    assert gatlib.Predictor is Predictor
    assert gatlib.Predictor.load(str(classification_folder)).description.name == "classes"
    with pytest.raises(InputError, match="there is no model 'none'"):
        gatlib.Predictor.load("none")


def test_side_features_of_one_molecule_do_not_depend_on_its_company(side_folder: Path) -> None:
    predictor = Predictor.load(side_folder)
    together = predictor.predict([*NOTHING, *SMILES])
    assert together["error"].ne("").tolist() == [True] * len(NOTHING) + [False] * len(SMILES)
    values = together[predictor.columns].to_numpy()[len(NOTHING) :]
    assert np.isfinite(values).all()  # of "*" RDKit has no partial charges
    alone = [predictor.predict(smiles).loc[0, predictor.columns].tolist() for smiles in SMILES]
    np.testing.assert_allclose(values, alone, atol=1e-5, rtol=0)


def test_graphs_without_the_side_features_are_refused(side_folder: Path) -> None:
    with pytest.raises(ValueError, match="featurise with side_features='both'"):
        Predictor.load(side_folder).predict_graphs(featurize(["CCO"]))
