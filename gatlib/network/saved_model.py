"""What the saved models of networks share, whether they predict nodes or edges."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError
from torch import nn

from gatlib.errors import InputError
from gatlib.model_files import read_weights, sha256, write_model_files
from gatlib.model_folder import bundled_models
from gatlib.network.encoding import AttributeRule

AnyDescription = TypeVar("AnyDescription", bound=BaseModel)


def save_network_model(folder: Path, network: nn.Module, description: AnyDescription) -> AnyDescription:
    """Write the model, and give back the description with the hash of its weights, ``weights_sha256``."""
    import safetensors.torch

    weights = safetensors.torch.save(network.state_dict())
    description = description.model_copy(update={"weights_sha256": sha256(weights)})
    write_model_files(folder, weights, description)
    return description


def check_text(rule: AttributeRule, *names: str) -> None:
    """Refuse names that could not be written into ``model.json``.

    Raises:
        InputError: one of them holds bytes that are not UTF-8.
    """
    try:
        "".join(names).encode()
        rule.model_dump_json()
    except (UnicodeEncodeError, PydanticSerializationError):
        raise InputError(
            "a label, an attribute or one of its values holds bytes that are not UTF-8: save the files as UTF-8"
        ) from None


def check_network_folder(folder: Path) -> None:
    """Refuse what is no folder.

    Raises:
        InputError: no such folder.
    """
    if not folder.is_dir():
        if str(folder) in bundled_models():
            raise InputError(f"{folder} is a model of molecules: use 'gatlib predict -m {folder}'")
        raise InputError(f"there is no model {str(folder)!r}: name a folder written by 'gatlib network train'")


def fill_weights(network: nn.Module, folder: Path, expected_sha256: str) -> None:
    """Load the weights of a folder into a network, which is in evaluation mode then.

    Raises:
        InputError: they are missing, truncated or edited, or those of another network.
    """
    import safetensors
    import safetensors.torch

    weights = read_weights(folder, expected_sha256)
    try:
        network.load_state_dict(safetensors.torch.load(weights))
    except (RuntimeError, safetensors.SafetensorError):
        raise InputError(
            f"the weights {folder / 'model.safetensors'} do not fit the architecture in model.json: copy the folder "
            "again"
        ) from None
    network.eval()
