"""From a network to its most likely missing edges, or to a score for each pair of nodes asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from gatlib.errors import InputError
from gatlib.network.link_model import LinkModel, LinkModelDescription, load_link_model
from gatlib.network.network import Network
from gatlib.network.node_memory import over_whole_graph
from gatlib.network.node_pairs import PairNumbers
from gatlib.network.tensors import check_direction, network_tensors
from gatlib.threads import one_thread_if_small

DEFAULT_TOP = 1000
#: Pairs beyond which they are not all ranked, which takes about a minute for each 100 million on one core.
MAX_PAIRS = 2_000_000_000
_BLOCK = 1 << 20


class LinkPredictor:
    """A trained model of edges; it knows how attributes become its input.

    A score is the log-odds of an edge as the model sees it, were there as many pairs with an edge as without: 0 is
    even, more is likelier. As there are far more pairs without, it ranks pairs and is no probability.

    Example::

        >>> from gatlib.network import LinkPredictor
        >>> from gatlib.data import from_networkx
        >>> LinkPredictor.load("friends_model").rank(from_networkx(graph)[0], top=20)
    """

    def __init__(self, model: LinkModel) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: str | Path) -> "LinkPredictor":
        """The predictor of a folder that ``gatlib network train --task link`` wrote.

        Raises:
            gatlib.InputError: no such folder, or one that is truncated, edited or from a newer gatlib.
        """
        return cls(load_link_model(Path(folder)))

    @property
    def description(self) -> LinkModelDescription:
        return self.model.description

    def rank(self, network: Network, top: int = DEFAULT_TOP, *, progress: bool = False) -> pd.DataFrame:
        """The most likely of all pairs of different nodes that have no edge, the most likely first.

        All pairs are scored, in blocks: time grows with their number, memory with ``top``.

        Args:
            network: the graph, with the attributes, features and weights that the model was trained with.
            top: how many; fewer come back where there are no more.
            progress: show a progress bar on standard error.

        Returns:
            A table of ``source``, ``target`` and ``score``; an undirected pair stands once.

        Raises:
            gatlib.InputError: ``top`` is below 1; no pair is without an edge; more than 2 billion pairs; the graph is
                not of the kind that the model was trained on.
        """
        if top < 1:
            raise InputError(f"the number of missing edges to rank must be 1 or more; found {top}")
        numbers = PairNumbers(network.num_nodes, network.directed)
        edges = np.unique(numbers.of(network.edge_index))
        if numbers.total == len(edges):
            raise InputError("every pair of nodes has an edge: none is missing")
        if numbers.total > MAX_PAIRS:
            raise InputError(
                f"the graph has {numbers.total:,} pairs of nodes and at most {MAX_PAIRS:,} are ranked: name those to "
                "score with --pairs, or take a part of the graph"
            )
        z = self._node_vectors(network)
        best, scores, lowest = np.empty(0, dtype=np.int64), np.empty(0), -np.inf
        starts = range(0, numbers.total, _BLOCK)
        quiet = not progress or len(starts) == 1
        for start in track(starts, "ranking", console=Console(stderr=True), transient=True, disable=quiet):
            stop = min(start + _BLOCK, numbers.total)
            found = edges[slice(*np.searchsorted(edges, [start, stop]))]
            missing = np.delete(np.arange(start, stop), found - start)
            of_missing = self._scores(z, numbers.pairs(missing))
            better = of_missing > lowest  # of equals, the one of the lower number
            best, scores = np.concatenate([best, missing[better]]), np.concatenate([scores, of_missing[better]])
            if len(best) >= 2 * top:
                best, scores = _highest(best, scores, top)
                lowest = scores[-1]
        best, scores = _highest(best, scores, top)
        ids = np.array(network.ids, dtype=object)
        source, target = numbers.pairs(best)
        return pd.DataFrame({"source": ids[source], "target": ids[target], "score": scores})

    def score(self, network: Network, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """A score for each pair, in order. A pair that is an edge is scored with that edge in the graph.

        Args:
            network: as for :meth:`rank`.
            pairs: the ids of source and target.

        Returns:
            A table of ``source``, ``target``, ``score``, and in ``error`` the reason where there is none.

        Raises:
            gatlib.InputError: the graph is not of the kind that the model was trained on.
        """
        place = {node: number for number, node in enumerate(network.ids)}
        errors = [_why_not(pair, place) for pair in pairs]
        known = np.array([not error for error in errors], dtype=bool)
        ends = [(place[a], place[b]) for (a, b), error in zip(pairs, errors, strict=True) if not error]
        scores = np.full(len(pairs), np.nan)
        scores[known] = self._scores(self._node_vectors(network), np.array(ends, dtype=np.int64).reshape(-1, 2).T)
        table = pd.DataFrame(list(pairs), columns=["source", "target"], dtype=object)
        return table.assign(score=scores, error=errors)

    @torch.inference_mode()
    def _node_vectors(self, network: Network) -> Tensor:
        description = self.description
        check_direction(network, description.directed)
        tensors = network_tensors(network, description.rule, description.mean_weight)
        return over_whole_graph(self.model.network.encoder, *tensors)

    @torch.inference_mode()
    def _scores(self, z: Tensor, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        with one_thread_if_small(pairs.shape[1]):
            return self.model.network.score(z, torch.from_numpy(pairs)).double().numpy()


def _highest(
    numbers: NDArray[np.int64], scores: NDArray[np.float64], top: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    order = np.lexsort([numbers, -scores])[:top]
    return numbers[order], scores[order]


def _why_not(pair: tuple[str, str], known: dict[str, int]) -> str:
    """Why a pair has no score; empty if it has one."""
    for node in pair:
        if node not in known:
            return f"there is no node {node!r:.60} in the graph"
    return "a node and itself" if pair[0] == pair[1] else ""
