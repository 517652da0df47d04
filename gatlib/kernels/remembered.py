"""What was made of a tensor before, to be had again: the same graph comes to every layer and every step.

It is found by the tensor, kept for as long as that lives, and given again only if the content is what it was made of,
which is read at every use: PyTorch's own record of changes knows nothing of most ways to write to memory. A tensor of
another graph at the address of one that is gone is another tensor, and has nothing to be found by.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from gatlib.kernels.content import Content, content_of, is_readable, unwrapped

Made = TypeVar("Made")


class _Made(NamedTuple):
    content: Content  # of what was read
    results: dict[Any, tuple[Any, Content]]  # (function, settings) to what it made, and the content of that


_MADE_BEFORE: Any = WeakTensorKeyDictionary()  # tensor to _Made


def remembered(make: Callable[..., Made], tensor: Tensor, *settings: int, read: Sequence[Tensor] | None = None) -> Made:
    """`make(*read, *settings)`: the same object again while `tensor` lives and what is read of it does not change.

    Args:
        make: A function of a module, whose result holds on to nothing that it is given but the copies of `read`.
        tensor: By which the result is found.
        settings: Further arguments.
        read: What `make` reads of the tensor; None for the tensor itself.
    """
    return remembered_with_content(make, tensor, *settings, read=read)[0]


def remembered_with_content(
    make: Callable[..., Made], tensor: Tensor, *settings: int, read: Sequence[Tensor] | None = None
) -> tuple[Made, Content]:
    """The same, and the content that it was made of; nothing for what has no memory that can be read."""
    tensor = unwrapped(tensor)
    parts = (tensor,) if read is None else read
    # A graph compiler cannot trace the look-up.
    if torch.compiler.is_compiling() or not all(map(is_readable, parts)):
        return make(*parts, *settings), ()
    known, key = _MADE_BEFORE.get(tensor), (make, settings)
    if known is not None and key in known.results and known.content == content_of(parts):
        result, content = known.results[key]
        if content == content_of(_given_out(result)):
            return result, known.content
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):  # training may come later
            return remembered_with_content(make, tensor, *settings, read=read)
    # Of copies: should another thread write meanwhile, the content is still that of which the result was made.
    copies = [_copied(part.detach()) for part in parts]
    content = content_of(copies)
    result = make(*copies, *settings)
    if known is None or known.content != content:
        known = _Made(content, {})
        _MADE_BEFORE[tensor] = known
    known.results[key] = (result, content_of(_given_out(result)))
    return result, content


def remember(make: Callable[..., Made], tensor: Tensor, *settings: int, result: Made) -> None:
    """For a result that came by another way: what `remembered` is to give from now on."""
    _MADE_BEFORE[tensor] = _Made(content_of((tensor,)), {(make, settings): (result, content_of(_given_out(result)))})


def _copied(tensor: Tensor) -> Tensor:
    # Integers by NumPy, which copies in this thread: in a forked child PyTorch's threads are gone, and it would wait.
    if tensor.device.type == "cpu" and tensor.dtype in (torch.int64, torch.int32):
        return torch.from_numpy(tensor.numpy().copy())
    return tensor.clone()


def _given_out(result: Any) -> tuple[Tensor, ...]:
    """The tensors that callers of the library get to see, and may write to. What has named parts stays inside."""
    tensors = result if type(result) is tuple else (result,)
    return tuple(tensor for tensor in tensors if isinstance(tensor, Tensor) and is_readable(tensor))
