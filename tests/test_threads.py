"""Small work takes one thread, and PyTorch has as many as before when it is done."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from gatlib import Predictor, threads
from gatlib.kernels.cpu.spans import spans
from gatlib.network import LinkPredictor, NodePredictor
from gatlib.network.explain import explain_node
from gatlib.threads import SMALL, one_thread_if_small
from gatlib.training.link_train import link_recipe, train_link_model
from tests.network.networks_of_friends import friends, labelled, train_on

LIMIT = 60.0


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_in(size: int) -> int:
    with one_thread_if_small(size):
        return torch.get_num_threads()


def test_one_thread_for_small_work_alone() -> None:
    assert [threads_in(size) for size in (0, SMALL - 1, SMALL, 10**9)] == [1, 1, 3, 3]
    assert torch.get_num_threads() == 3


def test_small_work_within_small_work() -> None:
    with one_thread_if_small(1):
        assert [threads_in(size) for size in (1, SMALL)] == [1, 1]
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_as_many_as_before_after_a_failure() -> None:
    with pytest.raises(ValueError, match="no"), one_thread_if_small(1):
        raise ValueError("no")
    assert torch.get_num_threads() == 3


def test_new_threads_have_as_many_as_before_after_small_work_of_their_own() -> None:
    """A thread that starts while another is in small work finds PyTorch with one."""
    together, done = Barrier(2), Barrier(2)

    def work() -> int:
        with one_thread_if_small(1):
            together.wait(LIMIT)
            done.wait(LIMIT)
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        with one_thread_if_small(1):
            other = pool.submit(work)
            together.wait(LIMIT)
        done.wait(LIMIT)
        assert other.result(LIMIT) == 3
    assert torch.get_num_threads() == 3


def test_small_is_what_the_kernels_do_not_divide() -> None:
    """A span of the kernels is never split between threads."""
    assert len(spans(torch.tensor([0, SMALL - 2]))) == 1  # one node, and so many edges to it
    assert len(spans(torch.zeros(SMALL, dtype=torch.int64))) == 1
    assert len(spans(torch.zeros(SMALL + 1, dtype=torch.int64))) == 2


@pytest.fixture
def seen() -> Iterator[set[int]]:
    """The numbers of threads that the networks of a test find."""
    found: set[int] = set()
    hook = register_module_forward_hook(lambda *_: found.add(torch.get_num_threads()))
    yield found
    hook.remove()


@pytest.mark.parametrize("small", [SMALL, 0])
def test_networks_of_few_nodes_take_one_thread(
    small: int, seen: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "SMALL", small)
    given = labelled(friends(20))
    model = train_on(given, tmp_path / "nodes", max_epochs=2).model
    network = given.network
    NodePredictor(model).predict(network)
    explain_node(model, network, network.ids[0])
    links = train_link_model(network, link_recipe(None, {"max_epochs": 2}), tmp_path / "links", "links", "friends")
    predictor = LinkPredictor(links.model)
    predictor.score(network, [(network.ids[0], network.ids[1])])
    predictor.rank(network)
    assert seen == {1 if small else 3}
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("molecules", "expected"), [(3, 1), (1_000, 3)])
def test_a_few_molecules_take_one_thread(
    molecules: int, expected: int, seen: set[int], classification_folder: Path
) -> None:
    predictor = Predictor.load(classification_folder)
    seen.clear()  # the folder may have been trained just now
    predictor.predict(["CCOC(=O)c1ccccc1"] * molecules)
    assert seen == {expected}
    assert torch.get_num_threads() == 3
