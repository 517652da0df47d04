"""Every function of `lanes`, for every width and both kinds of numbers, against NumPy."""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from gatlib.kernels.cpu.lanes import (
    FAST,
    WIDTH,
    beyond,
    exponential,
    lanes_for,
    larger,
    leaky_relu,
    load,
    pointer,
    positive_bits,
    prefetch,
    splat,
    store,
    total,
    where_bits,
    where_positive,
    width,
    zeros,
)

DTYPES = (np.float32, np.float64)
every_vector = pytest.mark.parametrize(
    ("lanes", "dtype"), list(product((8, 4, 1), DTYPES)), ids=lambda value: getattr(value, "__name__", str(value))
)
VECTORS = ("a + b", "a - b", "a * b", "a / b", "larger", "leaky_relu", "where_positive", "where_bits", "exp", "splat")
NUMBERS = ("total", "bits", "width")  # one for every vector
# Below the negative of which the exponential is 0, and above which it is infinite.
BOUNDS = {np.float32: 87.0, np.float64: 708.0}
PRECISION = {np.float32: 2e-7, np.float64: 4e-15}


@cache
def compiled_functions(lanes: int) -> Callable[..., None]:
    """All functions in one, since compiling takes longer than all else."""

    @njit(error_model="numpy", fastmath=set(FAST))
    def functions(count, addresses, zero, slope):  # type: ignore[no-untyped-def]
        like = zeros(zero, lanes)
        a, b, c = pointer(addresses[0], zero), pointer(addresses[1], zero), pointer(addresses[2], zero)
        vectors, numbers = pointer(addresses[3], zero), pointer(addresses[4], zero)
        for at in range(0, count, lanes):
            x, y, z = load(a, at, like), load(b, at, like), load(c, at, like)
            bits = positive_bits(x)
            store(vectors, at, x + y)
            store(vectors, count + at, x - y)
            store(vectors, 2 * count + at, x * y)
            store(vectors, 3 * count + at, x / y)
            store(vectors, 4 * count + at, larger(x, y))
            store(vectors, 5 * count + at, leaky_relu(x, slope))
            store(vectors, 6 * count + at, where_positive(x, y, z))
            store(vectors, 7 * count + at, where_bits(bits, y, z))
            store(vectors, 8 * count + at, exponential(x))
            store(vectors, 9 * count + at, splat(a[at], like))
            of_vector = beyond(numbers, at // lanes * 3)
            of_vector[0] = total(x)
            of_vector[1] = bits
            of_vector[2] = width(x)

    return functions


@cache
def compiled_copy(lanes: int) -> Callable[..., None]:
    @njit(error_model="numpy", fastmath=set(FAST))
    def copy(source, source_offset, target, target_offset, zero):  # type: ignore[no-untyped-def]
        like = zeros(zero, lanes)
        source, target = pointer(source, zero), pointer(target, zero)
        prefetch(source, source_offset, 1000)
        vector = load(source, source_offset, like)
        store(target, target_offset, like)
        store(target, target_offset, load(target, target_offset, like) + vector)

    return copy


def results(lanes: int, dtype: Any, a: Any, b: Any = None, c: Any = None, slope: float = 0.2) -> dict[str, np.ndarray]:
    a = np.ascontiguousarray(a, dtype)
    count = -(-len(a) // WIDTH) * WIDTH
    padded = [np.resize(np.ones(1, dtype) if x is None else np.asarray(x, dtype), count) for x in (a, b, c)]
    vectors, numbers = np.empty((len(VECTORS), count), dtype), np.empty((count // lanes, len(NUMBERS)), dtype)
    addresses = tuple(array.ctypes.data for array in (*padded, vectors, numbers))
    compiled_functions(lanes)(count, addresses, dtype(0), dtype(slope))
    return {
        **{name: row[: len(a)] for name, row in zip(VECTORS, vectors, strict=True)},
        **dict(zip(NUMBERS, numbers.T, strict=True)),
    }


def draw(dtype: Any, seed: int = 0, count: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count).astype(dtype)


def test_lanes_divide_the_size() -> None:
    assert [lanes_for(size) for size in (0, 1, 2, 3, 4, 5, 8, 12, 16, 20, 24)] == [8, 1, 1, 1, 4, 1, 8, 4, 8, 4, 8]


@every_vector
def test_arithmetic(lanes: int, dtype: Any) -> None:
    a, b = draw(dtype), draw(dtype, seed=1)
    found = results(lanes, dtype, a, b)
    with np.errstate(all="ignore"):
        for name, expected in (("a + b", a + b), ("a - b", a - b), ("a * b", a * b), ("a / b", a / b)):
            # A quotient may be a product with the reciprocal.
            np.testing.assert_allclose(found[name], expected, rtol=2 * np.finfo(dtype).eps)


@every_vector
def test_arithmetic_keeps_infinity_and_nan(lanes: int, dtype: Any) -> None:
    a, b = np.array([(x, y) for x in (1, -2, 0, np.inf, -np.inf, np.nan) for y in (3, 0, np.inf, np.nan)], dtype).T
    found = results(lanes, dtype, a, b)
    with np.errstate(all="ignore"):
        for name, expected in (("a + b", a + b), ("a - b", a - b), ("a * b", a * b)):
            np.testing.assert_array_equal(found[name], expected)
        np.testing.assert_array_equal(np.isnan(found["a / b"]), np.isnan(a / b))


@every_vector
def test_total_splat_and_width(lanes: int, dtype: Any) -> None:
    a = draw(dtype)
    found = results(lanes, dtype, a)
    rows = a.reshape(-1, lanes)
    np.testing.assert_allclose(found["total"], rows.sum(axis=1), rtol=0, atol=20 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(found["splat"], np.repeat(rows[:, 0], lanes))
    assert set(found["width"]) == {lanes}


@every_vector
def test_larger_takes_the_first_of_nan_and_ties(lanes: int, dtype: Any) -> None:
    nan, inf = np.nan, np.inf
    a = [1, 2, -inf, inf, nan, 1, nan, -inf]
    b = [2, 1, -3, 5, 1, nan, nan, -inf]
    np.testing.assert_array_equal(results(lanes, dtype, a, b)["larger"], [2, 2, -3, inf, nan, 1, nan, -inf])


@pytest.mark.parametrize("slope", [0, 0.2, 1, 2])
@every_vector
def test_leaky_relu(lanes: int, dtype: Any, slope: float) -> None:
    a = np.array([*draw(dtype), 0, np.nan, -np.finfo(dtype).max / 2], dtype)
    expected = np.where(a > 0, a, dtype(slope) * a)
    np.testing.assert_array_equal(results(lanes, dtype, a, slope=slope)["leaky_relu"], expected)


@every_vector
def test_where_positive_and_its_bits(lanes: int, dtype: Any) -> None:
    a = np.concatenate([draw(dtype), np.array([0, -0.0, np.nan, np.inf, -np.inf, 1, -1, 1], dtype)])
    b, c = draw(dtype, seed=1, count=len(a)), draw(dtype, seed=2, count=len(a))
    found = results(lanes, dtype, a, b, c)
    np.testing.assert_array_equal(found["where_positive"], np.where(a > 0, b, c))
    np.testing.assert_array_equal(found["where_bits"], np.where(a > 0, b, c))
    np.testing.assert_array_equal(found["bits"], (a.reshape(-1, lanes) > 0) @ 2 ** np.arange(lanes))


@every_vector
def test_load_and_store_at_any_offset(lanes: int, dtype: Any) -> None:
    source = np.arange(100, dtype=dtype)
    for source_offset, target_offset in product((0, 1, 3, 7), (0, 1, 2, 5)):
        target = np.full(30, -1, dtype)
        compiled_copy(lanes)(source.ctypes.data, source_offset, target.ctypes.data, target_offset, dtype(0))
        expected = np.full(30, -1, dtype)
        expected[target_offset : target_offset + lanes] = source[source_offset : source_offset + lanes]
        np.testing.assert_array_equal(target, expected)


def assert_exact_exponential(lanes: int, dtype: Any, a: np.ndarray) -> None:
    found = results(lanes, dtype, a)["exp"].astype(np.longdouble)
    expected = np.exp(a.astype(np.longdouble))
    assert np.abs(found / expected - 1).max() <= PRECISION[dtype]


@every_vector
def test_exponential_over_the_whole_range(lanes: int, dtype: Any) -> None:
    bound = BOUNDS[dtype]
    assert_exact_exponential(lanes, dtype, np.linspace(-bound, bound, 40_000).astype(dtype))
    assert_exact_exponential(lanes, dtype, np.linspace(-1, 1, 10_000).astype(dtype))
    near_halves_of_log_2 = np.log(2) * np.arange(-120, 121) / 2
    for nearest in (-np.inf, np.inf):
        assert_exact_exponential(lanes, dtype, np.nextafter(near_halves_of_log_2.astype(dtype), dtype(nearest)))


@every_vector
@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_exponential_anywhere(lanes: int, dtype: Any, data: st.DataObject) -> None:
    bound = BOUNDS[dtype]
    numbers = st.floats(-bound, bound, width=32 if dtype is np.float32 else 64)
    assert_exact_exponential(lanes, dtype, np.array(data.draw(st.lists(numbers, min_size=1, max_size=8)), dtype))


@every_vector
def test_exponential_at_the_ends(lanes: int, dtype: Any) -> None:
    bound, largest = BOUNDS[dtype], np.finfo(dtype).max
    found = results(lanes, dtype, [0, -0.0, -np.inf, -largest, -bound * 1.001, np.nan, bound * 1.001, largest, np.inf])
    np.testing.assert_array_equal(found["exp"], [1, 1, 0, 0, 0, np.nan, np.inf, np.inf, np.inf])
