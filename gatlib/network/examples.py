"""Small social networks that come with networkx: they need no file and train in seconds."""

from dataclasses import replace

import networkx as nx

from gatlib.errors import InputError
from gatlib.network.formats import from_networkx
from gatlib.network.network import Network

EXAMPLES = ("karate", "davis", "les-miserables")


def example_network(name: str) -> tuple[Network, list[str | None], str]:
    """A network by its name, the label of each of its nodes, and what the label is.

    - ``karate``: 34 members of a karate club, weighted by the contexts in which they met; the ``club`` that each joined
      when it split (Zachary, "An information flow model for conflict and fission in small groups", 1977)
    - ``davis``: 18 women and the 14 events that they attended; the ``side``, women or events, of a node (Davis, Gardner
      and Gardner, "Deep South", 1941)
    - ``les-miserables``: 77 characters of the novel, weighted by the chapters that they share (Knuth, "The Stanford
      GraphBase", 1993); the ``community`` found by greedy modularity, as nobody has labelled them

    Raises:
        InputError: no such example.
    """
    if name == "karate":
        graph = nx.karate_club_graph()
        return _with_labels(graph, {node: graph.nodes[node]["club"] for node in graph}, "club")
    if name == "davis":
        graph = nx.davis_southern_women_graph()
        return _with_labels(
            graph, {node: "women" if node in graph.graph["top"] else "events" for node in graph}, "side"
        )
    if name == "les-miserables":
        graph = nx.les_miserables_graph()
        communities = nx.algorithms.community.greedy_modularity_communities(graph, weight="weight")
        found = {node: str(number) for number, nodes in enumerate(communities) for node in nodes}
        network, labels, target = _with_labels(graph, found, "community")
        note = "les-miserables has no labels: those to learn are the communities found by greedy modularity"
        return replace(network, notes=[note, *network.notes]), labels, target
    raise InputError(
        f"there is no example network {name!r:.60}: name one of {', '.join(EXAMPLES)}, "
        "a data set of 'gatlib datasets', or give files"
    )


def _with_labels(graph: nx.Graph, label_of: dict[object, str], target: str) -> tuple[Network, list[str | None], str]:
    """A network without the attributes of its nodes, which are the label in other words."""
    for node in graph:
        graph.nodes[node].clear()
        graph.nodes[node][target] = label_of[node]
    network, labels = from_networkx(graph, target)
    assert labels is not None
    return network, labels, target
