"""The rule from attributes to numbers: learned once, saved as JSON, applied unchanged."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.sparse import csr_matrix, issparse

from gatlib.errors import InputError
from gatlib.network.encoding import AttributeRule, KnownLabels, encode, learn_rule
from gatlib.network.network import Network
from gatlib.network.structure import STRUCTURE_NAMES, structural_features
from gatlib.nn.label_walks import label_walks


def network_of(
    columns: dict[str, list[Any]], active: Any = None, names: list[str] | None = None, num_nodes: int | None = None
) -> Network:
    count = num_nodes or (len(next(iter(columns.values()))) if columns else len(active))
    ring = np.arange(count)
    edge_index = np.stack([np.r_[ring, (ring + 1) % count], np.r_[(ring + 1) % count, ring]])
    attributes = pd.DataFrame(columns, index=range(count), dtype=object)
    matrix = None if active is None else csr_matrix(np.asarray(active, dtype=np.float32))
    return Network([str(node) for node in ring], edge_index, None, attributes, matrix, [], names)


def learned(network: Network, **options: bool) -> tuple[AttributeRule, np.ndarray]:
    rule = AttributeRule.model_validate_json(learn_rule(network, **options).model_dump_json())
    found = encode(network, rule)
    dense = found if isinstance(found, np.ndarray) else found.toarray()
    assert (dense.dtype, dense.shape) == (np.float32, (network.num_nodes, rule.width))
    return rule, dense


def test_numbers_are_standardised_and_missing_ones_are_marked() -> None:
    ages: list[Any] = [*range(20, 32), None, " "]
    rule, found = learned(network_of({"age": ages}))
    assert rule.names == ["age", "age is missing"]
    assert found[:12, 0].mean() == pytest.approx(0, abs=1e-6)
    assert found[:12, 0].std() == pytest.approx(1)
    assert found[12:].tolist() == [[0, 1], [0, 1]]
    other = encode(network_of({"age": ["25.5", "old", "inf", None]}), rule)
    np.testing.assert_allclose(other, [[0, 0], [0, 1], [0, 1], [0, 1]], atol=1e-6)


def test_text_that_is_numbers_is_numbers() -> None:
    rule, found = learned(network_of({"income": ["1.5", "2.5"]}))
    assert rule.columns[0].kind == "number"
    np.testing.assert_allclose(found[:, 0], [-1, 1], rtol=1e-6)


def test_few_words_among_numbers_count_as_missing() -> None:
    cells = [str(number) for number in range(40)] + ["unknown"]
    assert learned(network_of({"age": cells}))[0].names == ["age", "age is missing"]
    many = learn_rule(network_of({"age": [str(number) for number in range(40)] + ["unknown"] * 4}))
    assert many.columns[0].kind == "category"


def test_skewed_numbers_have_their_logarithm_taken() -> None:
    cells = [*range(-3, 30), 10**6]
    rule, found = learned(network_of({"views": cells}))
    assert rule.columns[0].model_dump()["logarithm"]
    values = np.sign(cells) * np.log1p(np.abs(cells))
    np.testing.assert_allclose(found[:, 0], (values - values.mean()) / values.std(), rtol=1e-5)


def test_categories_have_a_column_each() -> None:
    network = network_of({"job": ["cook", "smith", "cook", "smith", "monk", None]})
    rule, found = learned(network)
    assert rule.names == ["job = cook", "job = smith"]
    assert found.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [0, 0], [0, 0]]
    assert encode(network_of({"job": ["queen", "smith", None]}), rule).tolist() == [[0, 0], [0, 1], [0, 0]]


def test_booleans_and_few_whole_numbers_are_categories() -> None:
    rule, _ = learned(network_of({"ok": [True, False, True, False], "stars": [1.0, 2, "1", 2.0]}))
    assert rule.names == ["ok = False", "ok = True", "stars = 1", "stars = 2"]


@pytest.mark.parametrize(
    "cells",
    [
        [["a", "b", "a"], ["b"], [], ["a", "c"], None],
        ["a|b", "b", "", "a | c", None],
        ["a;b;a", "b;", "", "c; a", ""],
    ],
    ids=["lists", "bars", "semicolons"],
)
def test_lists_have_a_column_per_entry(cells: list[Any]) -> None:
    rule, found = learned(network_of({"likes": cells}))
    assert rule.names == ["likes = a", "likes = b"]
    assert found.tolist() == [[1, 1], [0, 1], [0, 0], [1, 0], [0, 0]]


def test_the_most_frequent_entries_of_lists_are_kept() -> None:
    cells = [[f"e{number}" for number in range(1200)], [f"e{number}" for number in range(1200)], ["e1199"]]
    rule, _ = learned(network_of({"likes": cells}))
    assert rule.width == 1000
    assert "likes = e1199" in rule.names


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([f"user {number}" for number in range(20)], "it has 20 different values, as free text or ids have"),
        ([f"{number // 2}x" for number in range(300)], "it has 150 different values"),
        (["same"] * 5, "it says the same of all nodes"),
        ([None] * 5, "it says the same of all nodes"),
        ([["a"], ["b"]], "no entry of its lists is seen twice"),
        ([[0.1, 0.2], [0.3, 0.4], [0.1, 0.5]], "its lists hold fractions"),
    ],
    ids=["names", "free text", "constant", "blank", "unique entries", "vectors"],
)
def test_columns_that_say_nothing_are_left_out_with_a_note(cells: list[Any], reason: str) -> None:
    rule, _ = learned(network_of({"c": cells}))
    assert rule.columns == []
    assert rule.notes[0].startswith(f"attribute 'c' left out: {reason}")
    assert rule.structure is not None


def test_ids_are_left_out_and_measures_are_not() -> None:
    numbers = [str(10 * number) for number in range(20)]
    rule = learn_rule(network_of({"facebook_id": numbers, "income": numbers, "humid": numbers}))
    assert [column.column for column in rule.columns] == ["income", "humid"]
    assert rule.notes == ["attribute 'facebook_id' left out: it is an id of its own for each node"]


def test_active_features_have_rows_of_length_one() -> None:
    rule, found = learned(network_of({}, [[3, 4], [0, 0], [0, 2]], ["5", "7"]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0, 1]], rtol=1e-6)
    assert (rule.names, rule.structure) == (["feature 5", "feature 7"], None)
    np.testing.assert_allclose(encode(network_of({}, [[9, 1], [0, 2]], ["6", "5"]), rule), [[1, 0], [1, 0]], rtol=1e-6)


def test_wide_inputs_are_sparse() -> None:
    network = network_of({"x": [0.5, 1.5, 2.5]}, np.eye(3, 512))
    rule = learn_rule(network)
    assert rule.width == 513
    assert issparse(encode(network, rule))
    narrow = network_of({}, np.eye(3, 512))
    assert isinstance(encode(narrow, learn_rule(narrow)), np.ndarray)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (
            network_of({}, np.eye(3, 2)),
            "the nodes have 2 features and the model was trained with 3: give",
        ),
        (network_of({"x": [1, 2]}), "the nodes have no features, and the model was trained with 3"),
        (network_of({}, np.eye(3), ["a", "b", "c"]), "features that have names or numbers, and these have none"),
    ],
    ids=["width", "none", "named"],
)
def test_features_of_another_width_are_refused(other: Network, reason: str) -> None:
    rule = learn_rule(network_of({}, np.eye(3)))
    with pytest.raises(InputError, match=reason):
        encode(other, rule)


def test_features_of_other_names_are_refused() -> None:
    rule = learn_rule(network_of({}, np.eye(3), ["a", "b", "c"]))
    with pytest.raises(InputError, match=r"none of the 2 features \(first 'x'\) is one of the 3 that the model"):
        encode(network_of({}, np.eye(2), ["x", "y"]), rule)


def test_a_missing_attribute_is_refused() -> None:
    rule = learn_rule(network_of({"age": [0.5, 1.5]}))
    with pytest.raises(InputError, match="the nodes have no attribute 'age', which the model was trained with: add it"):
        encode(network_of({"size": [1, 2]}), rule)


def test_structure_is_used_where_there_is_nothing_else_or_on_request() -> None:
    # A star beside a ring, so that nodes differ.
    network = replace(
        network_of({"x": [0.5, 1.5, 2.5, 3.5, 4.5]}),
        edge_index=np.array([[0, 0, 0, 1, 2, 3, 1, 2], [1, 2, 3, 0, 0, 0, 2, 1]]),
    )
    assert learn_rule(network).structure is None
    rule, found = learned(network, structure=True)
    assert rule.names == ["x", *STRUCTURE_NAMES]
    np.testing.assert_allclose(found[:, 1:].mean(axis=0), 0, atol=1e-5)
    bare = replace(network, attributes=pd.DataFrame(index=range(5)))
    rule, found = learned(bare)
    assert rule.notes == ["nodes have no features: their degrees, random walks and ranks are used"]
    raw = structural_features(network.edge_index, 5)
    varies = raw.std(axis=0) > 1e-6
    np.testing.assert_allclose(found[:, varies].std(axis=0), 1, rtol=1e-4)
    assert encode(network_of({}, num_nodes=9), rule).shape == (9, len(STRUCTURE_NAMES))


def test_a_rule_from_elsewhere_is_checked() -> None:
    with pytest.raises(ValidationError):
        AttributeRule.model_validate_json('{"columns": [{"kind": "code"}], "active": null, "structure": null}')
    with pytest.raises(ValidationError):
        AttributeRule.model_validate_json(
            '{"columns": [{"kind": "number", "column": "x", "logarithm": false, "mean": 0, "scale": 0, "missing": '
            'false}], "active": null, "structure": null, "notes": []}'
        )


@pytest.mark.parametrize("wide", [False, True])
def test_known_labels_are_the_last_columns(wide: bool) -> None:
    network = network_of({}, np.eye(600 if wide else 5))
    rule = learn_rule(network).model_copy(update={"known_labels": KnownLabels(target="side", classes=["NA", "1"])})
    rule = AttributeRule.model_validate_json(rule.model_dump_json())
    assert rule.names[-2:] == ["known side = NA", "known side = 1"]
    labels = ["1", None, "NA", *[None] * (network.num_nodes - 3)]

    def encoded(labels: list[str | None] | None) -> np.ndarray:
        found = encode(replace(network, known_labels=labels), rule)
        assert issparse(found) == wide
        return found.toarray()[:, -2:] if issparse(found) else found[:, -2:]

    found = encoded(labels)
    assert found[:3].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert found.sum() == 2
    assert encoded(None).sum() == 0
    with pytest.raises(InputError, match="node '2' has the label 'left', which is none of the 2 classes of 'side'"):
        encoded(["1", "NA", "left"])


@pytest.mark.parametrize("wide", [False, True])
def test_labels_some_steps_away_come_after_the_known_ones(wide: bool) -> None:
    network = network_of({}, np.eye(600 if wide else 5))
    known = KnownLabels(target="side", classes=["left", "right"], steps=2)
    rule = learn_rule(network).model_copy(update={"known_labels": known})
    rule = AttributeRule.model_validate_json(rule.model_dump_json())
    assert rule.names[-6:] == [
        f"known side{group} = {label}" for group in ("", " 1 step away", " 2 steps away") for label in ("left", "right")
    ]
    labels = ["left", "right", *[None] * (network.num_nodes - 2)]
    found = encode(replace(network, known_labels=labels), rule)
    assert found.shape[1] == rule.width
    columns = found.toarray()[:, -6:] if issparse(found) else found[:, -6:]
    walks = label_walks(torch.from_numpy(columns[:, :2].copy()), torch.from_numpy(network.edge_index), 2)
    assert walks.any()
    assert np.array_equal(columns[:, 2:], walks.numpy())
