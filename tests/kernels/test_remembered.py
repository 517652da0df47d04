"""What was made of a tensor is had again while the tensor lives and stays the same, and takes no memory after that."""

import threading

import pytest
import torch
from torch import Tensor

from gatlib.kernels import remembered as module
from gatlib.kernels.remembered import remember, remembered

CALLS: list[tuple[int, ...]] = []


def doubled(tensor: Tensor, *settings: int) -> Tensor:
    CALLS.append(settings)
    return 2 * tensor + sum(settings)


def test_the_same_object_for_the_same_content() -> None:
    tensor = torch.arange(4)
    first = remembered(doubled, tensor)
    assert remembered(doubled, tensor) is first
    tensor.numpy()[0] = 7
    second = remembered(doubled, tensor)
    assert second.tolist() == [14, 2, 4, 6]
    assert remembered(doubled, tensor) is second
    assert first.tolist() == [0, 2, 4, 6]


def test_settings_are_kept_apart() -> None:
    tensor = torch.arange(2)
    assert [remembered(doubled, tensor, k).tolist() for k in (0, 1, 0)] == [[0, 2], [1, 3], [0, 2]]
    assert remembered(doubled, tensor, 1) is remembered(doubled, tensor, 1)


def test_a_buffer_that_is_filled_again_keeps_nothing_of_earlier_contents() -> None:
    tensor = torch.zeros(3, dtype=torch.int64)
    for k in range(20):
        tensor.numpy()[:] = k
        remembered(doubled, tensor, k)  # as a graph of another number of nodes each time
    assert len(module._MADE_BEFORE[tensor].results) == 1


def test_nothing_stays_of_thousands_of_tensors() -> None:
    before = len(module._MADE_BEFORE)
    for k in range(3_000):
        tensor = torch.full((3,), k)
        assert remembered(doubled, tensor).tolist() == [2 * k] * 3
    del tensor
    assert len(module._MADE_BEFORE) == before


def test_what_failed_is_not_remembered() -> None:
    def fails(tensor: Tensor) -> Tensor:
        raise ValueError(str(tensor.tolist()))

    tensor, before = torch.arange(2), len(module._MADE_BEFORE)
    for _ in range(2):
        with pytest.raises(ValueError, match="0, 1"):
            remembered(fails, tensor)
    assert len(module._MADE_BEFORE) == before


def test_inference_mode_makes_what_training_can_use() -> None:
    with torch.inference_mode():
        tensor = torch.arange(3)
        made = remembered(doubled, tensor)
    assert not made.is_inference()
    assert remembered(doubled, tensor) is made


def test_a_result_that_was_written_to_is_made_anew() -> None:
    tensor = torch.arange(3)
    remembered(doubled, tensor).numpy()[:] = 9
    assert remembered(doubled, tensor).tolist() == [0, 2, 4]


def test_given_results() -> None:
    tensor, result = torch.arange(3), torch.arange(3) * 2
    remember(doubled, tensor, 5, result=result)
    assert remembered(doubled, tensor, 5) is result


def test_the_content_is_that_of_which_the_result_was_made() -> None:
    """Though another thread writes between the two."""
    tensor, reached, written = torch.zeros(3, dtype=torch.int64), threading.Event(), threading.Event()

    def slow(copy: Tensor) -> Tensor:
        reached.set()
        written.wait(10)
        return copy + 1

    found: list[Tensor] = []
    thread = threading.Thread(target=lambda: found.append(remembered(slow, tensor)))
    thread.start()
    reached.wait(10)
    tensor.numpy()[:] = 5
    written.set()
    thread.join()
    assert found[0].tolist() == [1, 1, 1]
    assert remembered(slow, tensor).tolist() == [6, 6, 6]
    tensor.numpy()[:] = 0
    assert remembered(slow, tensor).tolist() == [1, 1, 1]


def test_a_trace_does_not_take_what_is_remembered_for_a_constant() -> None:
    tensor = torch.arange(3)
    remembered(doubled, tensor)
    traced = torch.jit.trace(lambda given: remembered(doubled, given), tensor)
    assert traced(tensor + 1).tolist() == [2, 4, 6]
