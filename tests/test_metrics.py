"""Metrics over the known labels, task by task."""

import math

import numpy as np
import pytest

from gatlib.metrics import link_metrics, mean_metrics, metrics_per_task, metrics_with_mean, node_metrics

NAN = math.nan


def test_only_known_labels_count() -> None:
    targets = np.array([[1, 0], [0, NAN], [1, 1], [NAN, 0]])
    predictions = np.array([[0.9, 0.8], [0.2, 0.5], [0.1, 0.9], [0.0, 0.1]])
    table = metrics_per_task(targets, predictions, ["a", "b"], "classification")
    assert table[["task", "labels", "positives"]].values.tolist() == [["a", 3, 2], ["b", 3, 1]]
    assert table["roc_auc"].tolist() == [0.5, 1.0]  # of the pairs 0.9 > 0.2 and 0.1 < 0.2, one is right
    assert table["pr_auc"].tolist() == pytest.approx([0.5 * 1 + 0.5 * 2 / 3, 1.0])


def test_the_errors_of_values_by_hand() -> None:
    table = metrics_per_task(
        np.array([[1.0], [2.0], [3.0], [NAN]]), np.array([[1.0], [2.0], [6.0], [9.0]]), ["a"], "regression"
    )
    row = table.iloc[0]
    assert (row["rmse"], row["mae"], row["r2"]) == pytest.approx((math.sqrt(3), 1.0, 1 - 9 / 2))


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, NAN], [NAN, NAN, NAN]], ids=["ones", "zeros", "unknown"])
def test_a_task_without_two_classes_has_no_ranking_and_no_part_in_the_mean(labels: list[float]) -> None:
    targets = np.array([labels, [0, 1, 1]]).T
    table = metrics_with_mean(targets, np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), ["a", "b"], "classification")
    assert math.isnan(table["roc_auc"][0])
    assert table["roc_auc"][2] == table["roc_auc"][1] == 1.0
    assert table["task"].tolist() == ["a", "b", "mean"]


def test_a_single_value_has_an_error_and_no_r2() -> None:
    table = metrics_per_task(np.array([[1.0], [NAN]]), np.array([[3.0], [0.0]]), ["a"], "regression")
    assert (table["rmse"][0], table["mae"][0]) == (2.0, 2.0)
    assert math.isnan(table["r2"][0])


@pytest.mark.parametrize("task_type", ["classification", "regression"])
def test_nothing_known_and_no_rows_and_no_number_give_nan(task_type: str) -> None:
    one = np.array([[0.0], [1.0]])
    for targets, predictions in [
        (one * NAN, one),
        (one[:0], one[:0]),
        (one, one * NAN),
        (one, np.full_like(one, math.inf)),
    ]:
        table = metrics_per_task(targets, predictions, ["a"], task_type)
        assert all(math.isnan(value) for value in mean_metrics(table, task_type).values())


def test_the_metrics_of_nodes_by_hand() -> None:
    y = np.array([0, 0, 1, 1, -1])
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9], [NAN, NAN]])
    # Class 0: precision 1, recall 1/2; class 1: precision 2/3, recall 1. Every 1 ranks above every 0.
    expected = {
        "accuracy": 3 / 4,
        "macro_f1": (2 / 3 + 4 / 5) / 2,
        "roc_auc": 1.0,
        "log_loss": -(math.log(0.8) + math.log(0.4) + math.log(0.7) + math.log(0.9)) / 4,
    }
    assert node_metrics(y, probabilities) == pytest.approx(expected)


def test_the_metrics_of_nodes_of_three_classes_one_of_which_does_not_occur() -> None:
    y, probabilities = np.array([0, 1, 1]), np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    metrics = node_metrics(y, probabilities.astype(np.float32))
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["macro_f1"] == pytest.approx(2 / 3)
    assert metrics["log_loss"] == pytest.approx(-math.log(0.5 * 0.3 * 0.8) / 3)
    assert math.isnan(metrics["roc_auc"])


def test_nodes_of_one_class_have_no_ranking_and_unknown_nodes_no_metric() -> None:
    half = np.full((2, 2), 0.5)
    metrics = node_metrics(np.array([1, 1]), half)
    assert math.isnan(metrics["roc_auc"])
    assert metrics["log_loss"] == pytest.approx(math.log(2))
    for y, probabilities in [
        (np.array([-1, -1]), half),
        (np.array([0, 1]), half * NAN),
        (np.array([0]), half[:1] * NAN),
    ]:
        assert all(math.isnan(value) for value in node_metrics(y, probabilities).values())


def test_links_by_hand() -> None:
    edges, missing = np.array([4.0, 2.0, 2.0, 0.5]), np.arange(12) / 4  # the tenth from above is 0.5
    found = link_metrics(edges, missing)
    assert found["hits@10"] == 0.75  # a tie is no hit
    assert math.isnan(found["hits@50"])
    below = [12, 8.5, 8.5, 2.5]  # a tie counts half
    assert found["roc_auc"] == pytest.approx(sum(below) / 48)
    # In order: an edge, three others, two edges and another tied, five others, an edge and another tied.
    assert found["average_precision"] == pytest.approx((1 + 2 * 3 / 7 + 4 / 14) / 4)


def test_links_that_cannot_be_ranked_have_no_metrics() -> None:
    some = np.array([0.1, 0.2])
    for edges, missing in ((some, some[:0]), (some[:0], some), (np.array([NAN]), some)):
        assert all(map(math.isnan, link_metrics(edges, missing).values()))
