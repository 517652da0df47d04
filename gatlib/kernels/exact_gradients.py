"""PyTorch's attention with gradients that are right for large scores as well."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


def exact_gradients(x: Tensor) -> AbstractContextManager[None]:
    """Within it, `scaled_dot_product_attention` on the CPU saves its weights for the backward pass.

    Without, it makes them again as exp(score - log-sum-exp), whose rounding beside scores of a few hundred is seen in
    the gradients, and beside 1e5 is all there is.
    """
    needed = x.device.type == "cpu" and torch.is_grad_enabled()
    return sdpa_kernel(SDPBackend.MATH) if needed else nullcontext()
