"""Short vectors of numbers for Numba: what a processor adds or multiplies in one instruction.

LLVM turns plain loops over a dozen channels into mostly scalar code, for it does not know that a dozen is all there
will be, nor that an output does not overlap an input. Here a vector is a type of its own, with `load`, `store`,
arithmetic and a few functions, so that kernels are vectorised by construction, on any processor: LLVM splits or joins
the lanes to what there is.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

# What LLVM may assume of floating-point numbers: sums in any order. Not that there is no NaN and no infinity.
FAST = ("reassoc", "contract", "nsz", "arcp")
WIDTH = 8

_INT32 = ir.IntType(32)

# Bits, bias of the exponent, bits of the mantissa, terms of the series, and where exp leaves the normal numbers.
_FLOATS = {types.float32: (32, 127, 23, 7, 87.0), types.float64: (64, 1023, 52, 13, 708.0)}
_LOG2_BITS = {types.float32: 16, types.float64: 32}


def lanes_for(size: int) -> int:
    """The widest vector that divides `size`: eight, four or one number."""
    return next(width for width in (WIDTH, 4, 1) if size % width == 0)


class Lanes(types.Type):
    def __init__(self, dtype: types.Type, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(f"Lanes({dtype}, {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, data_model_manager: Any, lanes: Lanes) -> None:
        element = data_model_manager.lookup(lanes.dtype).get_value_type()
        super().__init__(data_model_manager, lanes, ir.VectorType(element, lanes.count))


@intrinsic
def width(typing_context: Any, like: Any) -> Any:
    """How many lanes there are."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, like.count)

    return types.intp(like), code


@intrinsic
def pointer(typing_context: Any, address: Any, number: Any) -> Any:
    """The memory at an address as an array of numbers of that kind, without length, bounds or reference count."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(number)(address, number), code


@intrinsic
def beyond(typing_context: Any, array: Any, count: Any) -> Any:
    """The memory after the first `count` numbers of an array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return array(array, types.intp), code


@intrinsic
def load(typing_context: Any, array: Any, offset: Any, like: Any) -> Any:
    """As many numbers of an array, from `offset` on, as `like` has lanes."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(like)
        loaded = builder.load(_element(builder, arguments[0], arguments[1], vector))
        loaded.align = context.get_abi_sizeof(vector.element)
        return loaded

    return like(array, types.intp, like), code


@intrinsic
def store(typing_context: Any, array: Any, offset: Any, vector: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value_type = context.get_value_type(vector)
        target = _element(builder, arguments[0], arguments[1], value_type)
        builder.store(arguments[2], target, align=context.get_abi_sizeof(value_type.element))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def prefetch(typing_context: Any, array: Any, offset: Any, count: Any) -> Any:
    """Asks for the cache lines of numbers that will be needed soon."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8)
        function_type = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        per_line = ir.Constant(arguments[1].type, 64 // context.get_abi_sizeof(context.get_value_type(array.dtype)))
        stop = builder.add(arguments[1], arguments[2])
        with cgutils.for_range_slice(builder, arguments[1], stop, per_line) as (offset, _):
            # For reading, into the second-level cache, data: the first has room for fewer requests at a time.
            builder.call(function, [_element(builder, arguments[0], offset, byte), _INT32(0), _INT32(2), _INT32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), code


@intrinsic(prefer_literal=True)
def zeros(typing_context: Any, number: Any, count: Any) -> Any:
    """`count` lanes, known when Numba compiles, of that kind of number."""
    lanes = Lanes(number, count.literal_value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value_type = context.get_value_type(lanes)
        return ir.Constant(value_type, [0.0] * lanes.count)

    return lanes(number, count), code


@intrinsic
def splat(typing_context: Any, number: Any, like: Any) -> Any:
    """The same number in every lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0], context.get_value_type(like))

    return like(like.dtype, like), code


@intrinsic
def total(typing_context: Any, vector: Any) -> Any:
    """The sum of the lanes."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _total(context, builder, vector, arguments[0])

    return vector.dtype(vector), code


@intrinsic
def total_of_both(typing_context: Any, a: Any, b: Any) -> Any:
    """The sum of the lanes of two vectors, whose numbers of lanes may differ."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if a.count == b.count:
            return _total(context, builder, a, builder.fadd(*arguments, flags=FAST))
        totals = (_total(context, builder, lanes, vector) for lanes, vector in zip((a, b), arguments, strict=True))
        return builder.fadd(*totals, flags=FAST)

    return a.dtype(a, b), code


@intrinsic
def highest(typing_context: Any, vector: Any) -> Any:
    """The largest of the lanes that are not NaN."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value_type = context.get_value_type(vector)
        element = value_type.element
        function = _function("llvm.vector.reduce.fmax", builder, context, value_type, element, [value_type])
        return builder.call(function, arguments)

    return vector.dtype(vector), code


@intrinsic
def larger(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger number of each lane; that of `a` where one of the two is NaN."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), arguments[1], arguments[0])

    return a(a, a), code


@intrinsic
def leaky_relu(typing_context: Any, x: Any, slope: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value_type = context.get_value_type(x)
        scaled = builder.fmul(arguments[0], _splat(builder, arguments[1], value_type), flags=FAST)
        return builder.select(_positive(builder, arguments[0]), arguments[0], scaled)

    return x(x, slope), code


@intrinsic
def where_positive(typing_context: Any, x: Any, yes: Any, no: Any) -> Any:
    """In each lane, `yes` where x > 0 and `no` elsewhere."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(_positive(builder, arguments[0]), arguments[1], arguments[2])

    return x(x, x, x), code


@intrinsic
def positive_bits(typing_context: Any, x: Any) -> Any:
    """One bit per lane, set where x > 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(_positive(builder, arguments[0]), ir.IntType(x.count))
        return bits if x.count == WIDTH else builder.zext(bits, ir.IntType(8))

    return types.uint8(x), code


@intrinsic
def where_bits(typing_context: Any, bits: Any, yes: Any, no: Any) -> Any:
    """In each lane, `yes` where the bit is set and `no` elsewhere."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = yes.count
        low = arguments[0] if count == WIDTH else builder.trunc(arguments[0], ir.IntType(count))
        mask = builder.bitcast(low, ir.VectorType(ir.IntType(1), count))
        return builder.select(mask, arguments[1], arguments[2])

    return yes(types.uint8, yes, yes), code


@intrinsic
def exponential(typing_context: Any, x: Any) -> Any:
    """exp(x) to the last digit or two: 0 below the range of normal numbers, infinite above it, NaN of NaN.

    With n the whole number nearest to x / ln 2, exp(x) = 2**n exp(x - n ln 2), and a short Taylor series does the rest.
    """
    width, exponent_bias, mantissa, terms, bound = _FLOATS[x.dtype]
    log2_high = round(math.log(2) * 2 ** _LOG2_BITS[x.dtype]) / 2 ** _LOG2_BITS[x.dtype]  # n times this is exact
    log2_low = math.log(2) - log2_high + 2.3190468138462996e-17  # and what math.log(2) itself is short of

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value_type = context.get_value_type(x)
        integers = ir.VectorType(ir.IntType(width), x.count)

        def number(value: float) -> Any:
            return ir.Constant(value_type, [value] * x.count)

        def multiply_add(a: Any, b: Any, c: Any) -> Any:
            return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

        (argument,) = arguments
        # NaN fails every comparison, and must not reach the conversion to integers.
        above = builder.select(builder.fcmp_ordered(">", argument, number(-bound)), argument, number(-bound))
        clamped = builder.select(builder.fcmp_ordered("<", above, number(bound)), above, number(bound))
        floor = _function("llvm.floor", builder, context, value_type, value_type, [value_type])
        n = builder.call(floor, [multiply_add(clamped, number(1 / math.log(2)), number(0.5))])
        rest = multiply_add(n, number(-log2_high), clamped)
        rest = multiply_add(n, number(-log2_low), rest)
        series = number(1 / math.factorial(terms))
        for power in reversed(range(terms)):
            series = multiply_add(series, rest, number(1 / math.factorial(power)))
        exponent = builder.add(builder.fptosi(n, integers), ir.Constant(integers, [exponent_bias] * x.count))
        scale = builder.bitcast(builder.shl(exponent, ir.Constant(integers, [mantissa] * x.count)), value_type)
        result = builder.fmul(series, scale)
        result = builder.select(builder.fcmp_ordered("<", argument, number(-bound)), number(0.0), result)
        result = builder.select(builder.fcmp_ordered(">", argument, number(bound)), number(math.inf), result)
        return builder.select(builder.fcmp_unordered("uno", argument, argument), argument, result)

    return x(x), code


def _arithmetic(instruction: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typing_context: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=FAST)

        return a(a, b), code

    # Numba compares the signatures of these two, annotations included.
    return lambda a, b: (lambda a, b: operation(a, b)) if isinstance(a, Lanes) and a == b else None  # type: ignore[call-arg]


for _operator, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    overload(_operator)(_arithmetic(_instruction))


def _element(builder: Any, array: Any, offset: Any, pointee: Any) -> Any:
    return builder.bitcast(builder.gep(array, [offset]), pointee.as_pointer())


def _splat(builder: Any, number: Any, value_type: Any) -> Any:
    undefined = ir.Constant(value_type, ir.Undefined)
    first = builder.insert_element(undefined, number, _INT32(0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_INT32, value_type.count), [0] * value_type.count)
    )


def _total(context: Any, builder: Any, lanes: Lanes, vector: Any) -> Any:
    if lanes.count == 1:
        return builder.extract_element(vector, _INT32(0))
    value_type = context.get_value_type(lanes)
    element = value_type.element
    function = _function("llvm.vector.reduce.fadd", builder, context, value_type, element, [element, value_type])
    return builder.call(function, [ir.Constant(element, 0.0), vector], fastmath=FAST)


def _positive(builder: Any, x: Any) -> Any:
    return builder.fcmp_ordered(">", x, ir.Constant(x.type, [0.0] * x.type.count))


def _function(name: str, builder: Any, context: Any, lanes: Any, returned: Any, arguments: list[Any]) -> Any:
    suffix = f"v{lanes.count}f{8 * context.get_abi_sizeof(lanes.element)}"
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(returned, arguments), f"{name}.{suffix}")
