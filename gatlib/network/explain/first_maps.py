"""A network behind its first linear maps: the same outputs from an input that is short and dense."""

import numpy as np
import torch
from numpy.typing import NDArray

from gatlib.models import NodeAttentionNetwork
from gatlib.nn.sparse_linear import SparseLinear


def behind_first_maps(
    network: NodeAttentionNetwork, num_outputs: int
) -> tuple[NodeAttentionNetwork, NDArray[np.float32]]:
    r"""The network :math:`g` and the matrix :math:`\mathbf{W}` for which :math:`f(\mathbf{X}, \mathcal{E}) =
    g(\mathbf{X} \mathbf{W}^\top, \mathcal{E})`.

    Features enter the first layer through linear maps alone. Its weights, one below the other, are :math:`\mathbf{W}`;
    :math:`g` has in their place the matrices that pick its own rows out of the product. So the gradient by thousands
    of features, most of which are zero, is :math:`(\partial g / \partial \mathbf{Z}) \mathbf{W}`, and what is repeated
    for every removed edge starts from a few hundred numbers per node.

    Shapes:
        - **output:** a network of :math:`C` input channels, in evaluation mode and without gradients of its weights;
          **W:** :math:`(C, F)`
    """
    first = network.layers[0] if len(network.layers) else network.readout
    maps = {name: module for name, module in first.named_modules() if isinstance(module, SparseLinear)}
    prefix = "layers.0." if len(network.layers) else "readout."
    weight = torch.cat([module.weight.detach() for module in maps.values()])
    state = dict(network.state_dict())
    rows = torch.eye(weight.size(0)).split([module.weight.size(0) for module in maps.values()])
    for name, picked in zip(maps, rows, strict=True):
        state[f"{prefix}{name}.weight" if name else f"{prefix}weight"] = picked
    behind = NodeAttentionNetwork(network.settings, weight.size(0), num_outputs)
    behind.load_state_dict(state)
    return behind.eval().requires_grad_(False), weight.numpy()
