"""Where a network comes from: an example, a data set, a file of a graph, or edges and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gatlib.data.cards import card_names
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.network.network import Network, take_column
from gatlib.network.splits import names_no_column

_TABLES = (".csv", ".tsv", ".txt", ".gz")


@dataclass(frozen=True)
class NetworkSource:
    """One of ``example``, ``graph`` and ``edges``."""

    example: str | None = None  # or the name of a data set card
    graph: Path | None = None
    edges: Path | None = None
    features: Path | None = None  # beside edges
    id_column: str | None = None  # of features and labels
    data_dir: Path | None = None  # of data sets

    @property
    def name(self) -> str:
        """The names of its files, for people."""
        files = [path.name for path in (self.graph, self.edges, self.features) if path is not None]
        return self.example or ", ".join(files)


@dataclass(frozen=True)
class LabelledNetwork:
    """A network with something to learn."""

    network: Network
    labels: list[str | None]  # [N], None where unlabelled
    target: str  # what the labels are
    parts: list[str | None] | None  # [N], the cells of the column that holds the split
    source: str  # where it comes from, for people
    given: tuple[Split, ...] = ()  # splits that come with it


def read_source(source: NetworkSource, directed: bool) -> Network:
    """The network of a source, to predict it.

    Args:
        source: where it is.
        directed: whether the edges of a list lead one way. A graph says so itself; it is read as undirected where
            this is False.

    Raises:
        InputError: not one source; it cannot be read.
    """
    _check_source(source)
    if source.example is not None:
        return _named(source.example, source.data_dir).network
    if source.graph is not None:
        from gatlib.network.formats import read_graph

        return read_graph(source.graph, directed=None if directed else False)[0]
    from gatlib.network.reading import read_network

    assert source.edges is not None
    return read_network(source.edges, source.features, id_column=source.id_column, directed=directed)[0]


def read_known_source(source: NetworkSource, directed: bool, target: str) -> tuple[Network, list[str | None] | None]:
    """:func:`read_source`, and the labels of its nodes where it is known by name and they are what ``target`` says."""
    if source.example is None:
        return read_source(source, directed), None
    _check_source(source)
    named = _named(source.example, source.data_dir)
    return named.network, named.labels if named.target == target else None


def read_labelled_source(
    source: NetworkSource, labels: Path | None, target: str | None, split: str, directed: bool
) -> LabelledNetwork:
    """The network of a source with the labels of its nodes, to learn them.

    Args:
        source: where it is.
        labels: the table of the labels, beside a list of edges.
        target: the column or the node attribute of the labels; an example knows its own.
        split: the column or node attribute that holds train, valid and test, unless it is drawn at random, comes with
            the data set, or is a file.
        directed: whether the edges of a list lead one way; a graph says so itself.

    Raises:
        InputError: not one source; it cannot be read; what belongs to it is missing, or does not belong to it.
    """
    _check_source(source)
    if labels is not None and source.edges is None:
        raise InputError("--labels goes with --edges: the labels of a graph are one of its node attributes (--target)")
    _check_directed(source, directed)
    column = None if names_no_column(split) or is_split_file(split) else split
    if source.edges is not None:
        return _read_tables(source, labels, target, column, directed)
    if source.graph is not None:
        from gatlib.network.formats import read_graph

        if target is None:
            raise InputError("name the node attribute to learn with --target")
        network, found = read_graph(source.graph, target)
    else:
        assert source.example is not None
        named = _named(source.example, source.data_dir)
        if target not in (None, named.target):
            raise InputError(f"the labels of {source.example} are {named.target!r}: leave --target out")
        if column is None:
            return named
        network, found, target = named.network, named.labels, named.target
    assert found is not None
    parts = None
    if column is not None:
        network, parts = take_column(network, column)
    return LabelledNetwork(network, found, target, parts, source.name)


def _named(name: str, data_dir: Path | None) -> LabelledNetwork:
    """An example, or the data set of a card."""
    if name in card_names():
        from gatlib.network.datasets import read_network_dataset

        return read_network_dataset(name, data_dir)
    from gatlib.network.examples import example_network

    network, labels, target = example_network(name)
    return LabelledNetwork(network, labels, target, None, name)


def read_unlabelled_source(source: NetworkSource, labels: Mapping[str, object], directed: bool) -> Network:
    """The network of a source, to learn its edges.

    Args:
        source: where it is.
        labels: options that are about labels, None where they are not given.
        directed: as for :func:`read_labelled_source`.

    Raises:
        InputError: an option about labels is given; what :func:`read_source` raises.
    """
    _check_source(source)
    for option, value in labels.items():
        if value is not None:
            raise InputError(f"{option} is about labels, and edges need none: leave it out with --task link")
    _check_directed(source, directed)
    network = read_source(source, directed or source.edges is None)
    # What is noted of an example is about its labels.
    is_example = source.example is not None and source.example not in card_names()
    return replace(network, notes=[]) if is_example else network


def is_split_file(split: str) -> bool:
    """Whether a split is the name of a file rather than of a column."""
    return Path(split).suffix.lower() in _TABLES or Path(split).is_file()


def _read_tables(
    source: NetworkSource, labels: Path | None, target: str | None, column: str | None, directed: bool
) -> LabelledNetwork:
    from gatlib.network.reading import read_network

    if labels is None or target is None:
        raise InputError("give the table of the labels with --labels, and name its column to learn with --target")
    assert source.edges is not None
    network, found = read_network(
        source.edges, source.features, labels, target, id_column=source.id_column, directed=directed, split=column
    )
    assert found is not None
    return LabelledNetwork(network, found.labels, target, found.parts, f"{source.name}, {labels.name}")


def _check_source(source: NetworkSource) -> None:
    if sum(given is not None for given in (source.example, source.graph, source.edges)) != 1:
        raise InputError(
            "give --edges with a list of edges, or --graph with a graph, or the name of an example or a data set"
        )
    if source.features is not None and source.edges is None:
        raise InputError("--features goes with --edges: the attributes of a graph are in its own file")


def _check_directed(source: NetworkSource, directed: bool) -> None:
    if directed and source.edges is None:
        raise InputError("--directed goes with --edges: a graph says itself whether its edges lead one way")
