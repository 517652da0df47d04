"""What no tracer and no transform of PyTorch can look into, as operators: one node to `torch.compile` and the like."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

Function = TypeVar("Function", bound=Callable[..., Any])

_WITH_MEMORY = (Tensor, torch.nn.Parameter)  # of their own, which other subclasses may lack


def runs_now(*tensors: Tensor | None) -> bool:
    """Whether nobody traces or transforms what happens to these tensors, so that no operator need be seen."""
    if torch.compiler.is_compiling():
        return False
    for tensor in tensors:
        # The transform behind `is_grads_batched` and `jacobian(vectorize=True)` is an older one.
        if tensor is not None and (
            type(tensor) not in _WITH_MEMORY or torch._C._functorch.is_legacy_batchedtensor(tensor)
        ):
            return False
    return (
        torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._are_functorch_transforms_active()
        and not torch.jit.is_tracing()
    )


def is_transformed() -> bool:
    """Whether a transform of `torch.func` or forward-mode differentiation is going on, which only PyTorch can do."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def one_node(schema: str, fake: Callable[..., Any]) -> Callable[[Function], Function]:
    """Makes an operator `gatlib::name` of a function without gradients, which is called as it is where it can be.

    Args:
        schema: The arguments, all given in their order, and results. A result must be a tensor of its own, none that
            is remembered: a compiled model may write to it.
        fake: Results of the right shapes, of fake arguments. A size that is data is
            `torch.library.get_ctx().new_dynamic_size()`.
    """

    def decorate(function: Function) -> Function:
        name = f"gatlib::{function.__name__.lstrip('_')}"
        operator: Any = torch.library.custom_op(name, function, mutates_args=(), schema=schema)
        operator.register_fake(fake)

        @wraps(function)
        def call(*arguments: Any) -> Any:
            if runs_now(*(given for given in arguments if isinstance(given, Tensor))):
                return function(*arguments)
            return operator(*arguments)

        return call  # type: ignore[return-value]

    return decorate


def each_of_a_batch(operator: Any) -> None:
    """Lets `torch.func.vmap` call an operator once for each entry of a batch."""

    def call_each(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        def entry(number: int) -> list[Any]:
            given = zip(arguments, in_dims, strict=True)
            return [argument if dim is None else argument.select(dim, number) for argument, dim in given]

        results = [operator(*entry(number)) for number in range(info.batch_size)]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        stacked = tuple(torch.stack(parts) for parts in zip(*results, strict=True))
        return stacked, (0,) * len(stacked)

    operator.register_vmap(call_each)
