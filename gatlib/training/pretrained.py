"""Start a network from the weights of a pretrained one."""

import torch

from gatlib.checkpoint import load_model, read_description
from gatlib.errors import InputError
from gatlib.model_folder import pretrained_folder, pretrained_networks
from gatlib.models import GraphAttentionNetwork

# What may differ: it has no weights, or weights that come after those of the pretrained network.
_FREE = {"dropout", "attention_dropout", "drop_path", "side_features"}


def settings_of(pretrained: str) -> dict[str, object]:
    """The settings that a recipe must have to start from this network.

    Raises:
        InputError: there is no such network.
    """
    return read_description(pretrained_folder(pretrained)).architecture.model_dump(exclude=_FREE)


def describe_overlap(pretrained: str, dataset: str, split: str) -> str | None:
    """A sentence where the network may have been pretrained on structures of a data set's valid and test.

    None where the data set was no source of its, or that split's valid and test were left out. The network that it
    started from is asked too, where that comes with gatlib.
    """
    training = read_description(pretrained_folder(pretrained)).training
    left_out = training.split.removeprefix("without ").split(", ")
    if dataset not in training.dataset.split(", ") or dataset in left_out or f"{dataset}:{split}" in left_out:
        before = training.pretrained
        return describe_overlap(before, dataset, split) if before in pretrained_networks() else None
    return (
        f"note: the network {pretrained!r} was pretrained on molecules of {dataset}, those of valid and test on the "
        f"{split} split among them, though on no label of theirs: the figures may flatter it"
    )


def start_from(network: GraphAttentionNetwork, pretrained: str) -> None:
    """Copy the weights of a pretrained network, all but those that read out the targets.

    A side input that the pretrained network did not have keeps its random weights, those of the pooled graph before it
    are copied. A network that pools the atoms in another way takes the weights before the pooling.
    Heat kernels that the pretrained network did not have begin with zeros: at first the blocks see what they have
    learned from.

    Args:
        network: takes the weights.
        pretrained: the name of one that comes with gatlib, or a folder.

    Raises:
        InputError: there is no such network, or it has other settings; the sentence names the first that differs.
    """
    source, description = load_model(pretrained_folder(pretrained))
    wanted, found = network.settings.model_dump(exclude=_FREE), description.architecture.model_dump(exclude=_FREE)
    is_heat_new = network.heat_kernel is not None and not found["heat_kernel"]
    for name, value in found.items():
        if wanted[name] != value and name != "pooling" and not (name == "heat_kernel" and is_heat_new):
            raise InputError(
                f"the pretrained network {pretrained!r} has {name} {value!r}, the recipe {wanted[name]!r}: "
                "the settings of the network must be those that it was pretrained with"
            )
    new = ("readout.", "side.", *(() if wanted["pooling"] == found["pooling"] else ("poolings.", "embedding.")))
    weights = network.state_dict()
    for name, value in source.state_dict().items():
        if name.startswith(new):
            continue
        with torch.no_grad():
            # Side by side with the pooled graph, and after it, comes the side input.
            weights[name][tuple(slice(size) for size in value.shape)] = value
    if is_heat_new:
        for name in ("heat_kernel.weight", "heat_kernel.bias"):
            weights[name].zero_()
    network.load_state_dict(weights)
