"""A recipe: everything that decides how a model is trained, as flat YAML that is validated."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatlib.errors import InputError, describe
from gatlib.models import Architecture


class Recipe(Architecture):
    """The keys of a ``recipe.yaml``: those of the architecture and these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str | None = Field(None, description="name of a data set card; None for the user's own file")
    split: str = Field(
        "scaffold",
        description="scaffold, scaffold_balanced, random, butina, folds:K, time:COLUMN, file:PATH, or a column",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the weights, the order of the molecules and the dropout")
    pretrained: str | None = Field(
        None, description="start from this network: one that comes with gatlib, or a folder of 'gatlib pretrain'"
    )
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    batch_size: int = Field(64, ge=1)
    max_epochs: int = Field(100, ge=1)
    warmup_epochs: int = Field(2, ge=0)
    patience: int = Field(25, ge=1, description="stop after this many epochs without a better validation score")

    @model_validator(mode="after")
    def _batches_can_be_normalised(self) -> "Recipe":
        if self.norm == "batch" and self.batch_size == 1:
            raise ValueError("norm 'batch' needs a batch_size of at least 2")
        return self

    def architecture(self) -> Architecture:
        return Architecture(**{key: getattr(self, key) for key in Architecture.model_fields})


#: What 'gatlib train' sets where neither a recipe nor a pretrained network says how the network shall be: it knows how
#: large a molecule is and costs next to nothing more (experiments/ablation). The defaults of a recipe stay as they are:
#: those written before rely on them.
SUGGESTED: dict[str, object] = {"heat_kernel": 8, "pooling": "mean_max_sum"}

AnyRecipe = TypeVar("AnyRecipe", bound=BaseModel)


def load_recipe(path: Path) -> Recipe:
    """Read and validate a recipe.

    Raises:
        InputError: no such file, not YAML, an unknown key, a value out of range.
    """
    return read_recipe(path, Recipe)


def read_recipe(path: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    """:func:`load_recipe` for recipes of another kind."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"recipe {path} must be lines of 'key: value'")
    return validated(content, f"recipe {path}", kind)


def make_recipe(content: dict[str, Any], where: str) -> Recipe:
    """Validate the keys and values of a recipe.

    Raises:
        InputError: an unknown key, a value out of range; ``where`` names the place.
    """
    return validated(content, where, Recipe)


def validated(content: dict[str, Any], where: str, kind: type[AnyRecipe]) -> AnyRecipe:
    """:func:`make_recipe` for recipes of another kind."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: {describe(error)}") from None
