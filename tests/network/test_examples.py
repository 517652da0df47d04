"""The example networks: what they are, that nothing tells the label, and that they are the same every time."""

import numpy as np
import pytest

from gatlib.errors import InputError
from gatlib.network.examples import EXAMPLES, example_network

SIZES = {"karate": (34, 78, 2), "davis": (32, 89, 2), "les-miserables": (77, 254, 5)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_the_size_that_is_known_of_it(name: str) -> None:
    network, labels, _ = example_network(name)
    nodes, edges, classes = SIZES[name]
    assert (network.num_nodes, network.edge_index.shape[1] // 2) == (nodes, edges)
    assert len(labels) == nodes
    assert None not in labels
    assert len(set(labels)) == classes
    assert not network.directed


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_attribute_is_left_that_tells_the_label(name: str) -> None:
    network, _, _ = example_network(name)
    assert list(network.attributes.columns) == []
    assert network.active is None


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_the_same_every_time(name: str) -> None:
    (first, labels, target), (second, again, same) = example_network(name), example_network(name)
    assert (first.ids, labels, target) == (second.ids, again, same)
    assert np.array_equal(first.edge_index, second.edge_index)


def test_the_labels_are_what_they_are_called() -> None:
    _, labels, target = example_network("karate")
    assert target == "club"
    assert (labels[0], labels[33]) == ("Mr. Hi", "Officer")
    network, labels, target = example_network("davis")
    assert target == "side"
    side = dict(zip(network.ids, labels, strict=True))
    assert (side["Theresa Anderson"], side["E8"]) == ("women", "events")
    ends = {(labels[a], labels[b]) for a, b in network.edge_index.T}
    assert ends == {("women", "events"), ("events", "women")}


def test_labels_that_were_computed_are_said_to_be() -> None:
    network, _, _ = example_network("les-miserables")
    assert "has no labels" in network.notes[0]
    assert "greedy modularity" in network.notes[0]


def test_an_unknown_example_is_refused() -> None:
    with pytest.raises(InputError, match="no example network 'karat': name one of karate, davis, les-miserables"):
        example_network("karat")
