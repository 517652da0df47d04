"""One graph of edges and tables: the policy for loops, repeats, directions and nodes without edges."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from gatlib.errors import InputError
from gatlib.network.network import EdgeList, Network, NodeTable, make_network, take_column

few = settings(max_examples=60, deadline=None, derandomize=True)
pairs_of_nodes = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=30)


def edge_list(pairs: list[tuple[str, str]], weights: list[float] | None = None) -> EdgeList:
    ids = list(dict.fromkeys(end for pair in pairs for end in pair))
    number_of = {node: number for number, node in enumerate(ids)}
    source, target = (np.array([number_of[pair[end]] for pair in pairs], dtype=np.int64) for end in (0, 1))
    return EdgeList(ids, source, target, None if weights is None else np.array(weights, dtype=np.float32))


def named_edges(network: Network) -> dict[tuple[str, str], float]:
    weight = np.ones(network.edge_index.shape[1]) if network.edge_weight is None else network.edge_weight
    ends = network.edge_index.T.tolist()
    found = {(network.ids[a], network.ids[b]): float(w) for (a, b), w in zip(ends, weight, strict=True)}
    assert len(found) == len(ends), "an edge stands twice"
    return found


def table_of(ids: list[str], **columns: list[object]) -> NodeTable:
    return NodeTable("people.csv", ids, pd.DataFrame(columns, index=range(len(ids)), dtype=object))


def test_an_edge_leads_both_ways_and_stands_once() -> None:
    network = make_network(edge_list([("b", "a"), ("a", "b"), ("b", "a"), ("c", "c"), ("a", "c")]))
    assert network.ids == ["b", "a", "c"]
    np.testing.assert_array_equal(network.edge_index, [[0, 1, 1, 2], [1, 0, 2, 1]])
    assert network.edge_weight is None
    assert network.notes == ["1 self-loop left out: attention adds one per node", "2 repeated edges merged"]


@pytest.mark.parametrize("directed", [False, True])
def test_an_edge_may_be_repeated_any_number_of_times(directed: bool) -> None:
    network = make_network(edge_list([("a", "b")] * 256 + [("b", "c")]), directed=directed)
    assert network.edge_index.shape == (2, 2 if directed else 4)
    assert network.notes == ["255 repeated edges merged"]


def test_directed_edges_keep_their_direction() -> None:
    network = make_network(edge_list([("b", "a"), ("a", "b"), ("a", "b"), ("a", "c")]), directed=True)
    assert set(named_edges(network)) == {("b", "a"), ("a", "b"), ("a", "c")}


def test_weights_of_a_repeated_edge_add_up() -> None:
    network = make_network(edge_list([("a", "b"), ("b", "a"), ("b", "c")], [1, 2.5, 4]))
    assert named_edges(network) == {("a", "b"): 3.5, ("b", "a"): 3.5, ("b", "c"): 4, ("c", "b"): 4}
    assert network.notes == ["1 repeated edge merged, their weights added up"]


def test_weights_that_overflow_are_refused() -> None:
    with pytest.raises(InputError, match="add up to infinity: make them smaller"):
        make_network(edge_list([("a", "b"), ("a", "b")], [3e38, 3e38]))


@few
@given(pairs_of_nodes, st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_the_order_and_names_of_nodes_and_rows_do_not_matter(
    pairs: list[tuple[int, int]], random: object, directed: bool, weighted: bool
) -> None:
    names, order = list(range(8)), list(range(len(pairs)))
    random.shuffle(names)  # type: ignore[attr-defined]
    random.shuffle(order)  # type: ignore[attr-defined]
    weights = [1.0 + row % 3 for row in range(len(pairs))] if weighted else None
    nodes = table_of([f"n{number * 10}" for number in range(8)])  # gaps, and at least two nodes
    once = make_network(
        edge_list([(f"n{a * 10}", f"n{b * 10}") for a, b in pairs], weights), [nodes], directed=directed
    )
    renamed = [(f"x {names[pairs[row][0]]}", f"x {names[pairs[row][1]]}") for row in order]
    again = make_network(
        edge_list(renamed, None if weights is None else [weights[row] for row in order]),
        [table_of([f"x {number}" for number in range(8)])],
        directed=directed,
    )
    back = {f"x {names[number]}": f"n{number * 10}" for number in range(8)}
    assert {(back[a], back[b]): w for (a, b), w in named_edges(again).items()} == named_edges(once)
    assert {back[node] for node in again.ids} == set(once.ids)


@few
@given(pairs_of_nodes)
def test_edges_are_those_of_a_set_of_pairs(pairs: list[tuple[int, int]]) -> None:
    network = make_network(edge_list([(str(a), str(b)) for a, b in pairs]), [table_of(["0", "1"])])
    expected = {(str(a), str(b)) for a, b in pairs if a != b}
    assert set(named_edges(network)) == expected | {(b, a) for a, b in expected}
    key = network.edge_index[0] * network.num_nodes + network.edge_index[1]
    assert (np.diff(key) > 0).all()


def test_tables_are_joined_on_ids_and_bring_isolated_nodes() -> None:
    network = make_network(edge_list([("a", "b"), ("b", "c")]), [table_of(["d", "b", "a"], age=[1, 2, 3])])
    assert network.ids == ["a", "b", "c", "d"]
    assert network.attributes["age"].tolist() == [3, 2, None, 1]
    assert network.notes == [
        "1 node of people.csv without an edge kept as isolated",
        "1 node without a row in people.csv",
        "2 connected components, 1 of them single nodes; the largest has 3 nodes",
    ]


def test_active_features_are_joined_on_ids() -> None:
    active = csr_matrix(np.array([[1, 0, 5], [0, 2, 0]], dtype=np.float32))
    table = NodeTable("f.json", ["b", "z"], pd.DataFrame(index=range(2)), active, ["1", "2", "9"])
    network = make_network(edge_list([("a", "b")]), [table])
    assert network.active is not None
    np.testing.assert_array_equal(network.active.toarray(), [[0, 0, 0], [1, 0, 5], [0, 2, 0]])
    assert network.active_names == ["1", "2", "9"]


def test_a_graph_of_self_loops_has_nodes_and_no_edges() -> None:
    network = make_network(edge_list([("a", "a"), ("b", "b")]))
    assert network.edge_index.shape == (2, 0)
    assert network.notes[-1] == "no edges between different nodes"


def test_a_graph_of_one_node_is_refused() -> None:
    with pytest.raises(InputError, match="the graph has 1 node: it needs two or more"):
        make_network(edge_list([("a", "a")]))


def test_one_column_in_two_tables_is_refused() -> None:
    with pytest.raises(InputError, match=r"column 'age' of people\.csv stands in another file too: rename one"):
        make_network(edge_list([("a", "b")]), [table_of(["a"], age=[1]), table_of(["a"], age=[1])])


def test_a_column_is_taken_out_as_text() -> None:
    network = make_network(
        edge_list([("a", "b"), ("b", "c")]), [table_of(["a", "b", "c"], y=[1.0, True, " "], z=[0] * 3)]
    )
    rest, texts = take_column(network, "y")
    assert texts == ["1", "True", None]
    assert list(rest.attributes.columns) == ["z"]
    with pytest.raises(InputError, match="the nodes have no attribute 'w'; their attributes are 'y', 'z'"):
        take_column(network, "w")
