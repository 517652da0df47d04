"""What is read of a tensor tells it from every other, wherever and however it lies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlib.kernels import content
from gatlib.kernels.content import BLOCK, block_sums, content_of, digest_of
from gatlib.kernels.cpu import content as on_cpu

few = settings(max_examples=40, deadline=None, derandomize=True)
lengths = st.one_of(st.integers(0, 40), st.integers(BLOCK - 2, BLOCK + 2), st.integers(0, 5 * BLOCK))
dtypes = st.sampled_from([torch.int64, torch.int32, torch.uint8, torch.float64, torch.float32, torch.bfloat16])


def random(length: int, dtype: torch.dtype = torch.int64, seed: int = 0) -> Tensor:
    return torch.randint(100, (length,), generator=torch.Generator().manual_seed(seed)).to(dtype)


@few
@given(length=lengths, dtype=dtypes)
def test_every_device_finds_the_same(length: int, dtype: torch.dtype) -> None:
    tensor, keys = random(length, dtype), content._keys("cpu")
    found = torch.from_numpy(on_cpu.block_sums(tensor, keys).view("int64"))
    assert torch.equal(found, block_sums(tensor, keys))


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor, keys = random(9 * BLOCK + 3), content._keys("cpu")
    expected = on_cpu.block_sums(tensor, keys).tobytes()
    monkeypatch.setattr(on_cpu, "_BLOCKS_PER_SPAN", 2)
    monkeypatch.setattr(content, "_BLOCKS_AT_ONCE", 2)
    assert on_cpu.block_sums(tensor, keys).tobytes() == expected
    assert block_sums(tensor, keys).numpy().tobytes() == expected


@few
@given(length=st.integers(1, 3 * BLOCK), dtype=dtypes, data=st.data())
def test_any_change_is_seen(length: int, dtype: torch.dtype, data: st.DataObject) -> None:
    tensor = random(length, dtype)
    octets = tensor.view(torch.uint8)
    before = content_of((tensor,))
    place, bit = data.draw(st.integers(0, octets.numel() - 1)), data.draw(st.integers(0, 7))
    octets[place] ^= 1 << bit
    assert content_of((tensor,)) != before
    octets[place] ^= 1 << bit
    assert content_of((tensor,)) == before


@few
@given(first=st.integers(0, 2 * BLOCK), second=st.integers(0, 2 * BLOCK))
def test_order_matters(first: int, second: int) -> None:
    tensor = torch.arange(2 * BLOCK + 1)
    swapped = tensor.clone()
    swapped[[first, second]] = tensor[[second, first]]
    assert (content_of((swapped,)) == content_of((tensor,))) == (first == second)


def test_shape_dtype_and_layout_matter() -> None:
    tensor = torch.arange(12).view(2, 6)
    kinds = [
        tensor,
        tensor.view(6, 2),
        tensor.view(6, 2).t(),
        tensor.flatten(),
        tensor.double(),
        tensor.view(torch.int32),
    ]
    found = [content_of((kind,)) for kind in kinds]
    assert len({*found}) == len({tuple(digest_of(one).tolist()) for one in found}) == len(kinds)
    zeros = [torch.zeros(length, dtype=torch.int32) for length in range(5)]
    assert len({content_of((zero,)) for zero in zeros}) == 5


def test_a_slice_is_read_as_its_copy() -> None:
    wide = torch.arange(40).view(2, 20)
    assert content_of((wide[:, 3:9],)) == content_of((wide[:, 3:9].clone(),))
    assert content_of((wide[:, 3:9],)) != content_of((wide[:, 4:10],))


def test_keys_are_on_the_cpu_whatever_the_default_device() -> None:
    content._keys.cache_clear()
    with torch.device("meta"):
        assert content._keys("cpu").device.type == "cpu"
