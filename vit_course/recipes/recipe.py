"""What a recipe is: everything that a run depends on, in one value that prints itself."""

import difflib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from vit_course.data.augment import Augmentation, Compose, HorizontalFlip, RandomCrop
from vit_course.data.batches import Batches
from vit_course.data.dataset import Dataset, Split
from vit_course.models.small_vgg import SmallVGG, SmallVGGConfig
from vit_course.models.vit import ViT, ViTConfig
from vit_course.recipes.starts import STARTS
from vit_course.training import optim

START_IMAGES = 2000  # of the training images, normalised, for what looks at the data before the first step
MODELS = {ViTConfig: ViT, SmallVGGConfig: SmallVGG}
ModelConfig = ViTConfig | SmallVGGConfig


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Muon for hidden matrices and kernels, AdamW for the rest; see `training.optim.muon`."""

    lr: float = 0.02
    adamw_lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.98)
    momentum: float = 0.95
    weight_decay: float = 0.0
    renormalise: bool = False

    def __call__(self, model: nn.Module) -> Optimizer:
        return optim.muon(model, **asdict(self))


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """AdamW for every parameter; see `training.optim.adamw`."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05

    def __call__(self, model: nn.Module) -> Optimizer:
        return optim.adamw(model, **asdict(self))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run, but for its seed. `dataclasses.replace(recipe, ...)` makes another.

    Raises:
        ValueError: a number outside its range, or an unknown precision or schedule.
    """

    name: str
    about: str  # what it is for, in one sentence
    dataset: str = "cifar10"
    fraction: float = 1.0  # of the training images, the same share of each class, always the same ones
    held_out: float = 0.0  # of those, kept for validation, which then chooses the best epoch; 0: the last one counts
    model: ModelConfig = field(default_factory=SmallVGGConfig)
    starts: tuple[str, ...] = ()  # what to do to the first weights, in this order: names in `starts.STARTS`
    optimizer: Muon | AdamW = field(default_factory=Muon)
    epochs: int = 10  # the budget; passes over the images that are trained on
    warm_up: float = 0.1  # share of the steps in which the learning rates rise
    then: Literal["linear", "cosine"] = "linear"  # how they fall to 0
    batch_size: int = 256
    augment: Augmentation | None = field(default_factory=lambda: Compose((RandomCrop(padding=2), HorizontalFlip())))
    label_smoothing: float = 0.1
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    seeds: int = 1  # runs with seeds 0, 1, … unless the command says another number

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch_size", 1), ("seeds", 1)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < low:
                raise ValueError(f"{self.name}: {name} is {getattr(self, name)!r}: give a whole number, {low} or more")
        if not 0 < self.fraction <= 1 or not 0 <= self.held_out < 1 or not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"{self.name}: fraction {self.fraction}, held_out {self.held_out}, label_smoothing "
                f"{self.label_smoothing}: give a fraction above 0, at most 1, and the others from 0 to below 1"
            )
        for name, allowed in (("precision", ("float32", "bfloat16", "float16")), ("then", ("linear", "cosine"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{self.name}: {name} is {getattr(self, name)!r}: use one of {', '.join(allowed)}")
        if unknown := [start for start in self.starts if start not in STARTS]:
            raise ValueError(f"{self.name}: there is no start {unknown[0]!r}: use one of {', '.join(STARTS)}")

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        return getattr(torch, self.precision)

    def splits(self, dataset: Dataset) -> tuple[Split, Split | None]:
        """What to train on, and what to validate on, if anything; the same for every seed."""
        train, validation = dataset.train, None
        if self.fraction < 1:
            train = train.split(1 - self.fraction)[0]
        if self.held_out:
            train, validation = train.split(self.held_out)
        return train, validation

    def build(self, dataset: Dataset, seed: int) -> nn.Module:
        """The model with the first weights of `seed`, for the dataset's classes and channels; on the CPU.

        Raises:
            ValueError: a ViT for images of another size than the dataset's.
        """
        C, H, W = dataset.train.images.shape[1:]
        config = replace(self.model, num_classes=len(dataset.classes), in_channels=C)
        size = getattr(config, "image_size", (H, W))
        if size not in (H, (H, W)):
            raise ValueError(f"{self.name}: the model is for images of {size}, those of {self.dataset} are {H}×{W}")
        torch.manual_seed(seed)
        model = MODELS[type(config)](config)
        train = self.splits(dataset)[0]
        some = train.subset(range(min(START_IMAGES, len(train))))
        for start in self.starts:
            STARTS[start](model, Batches(some, len(some)).normalise(some.images))
        return model

    def as_dict(self) -> dict[str, Any]:
        """Everything in it, as plain values for JSON; a part says by "kind" what it is."""
        return _plain(self)

    def __str__(self) -> str:
        """One field a line."""
        width = max(len(f.name) for f in fields(self))
        return "\n".join(f"{f.name:<{width}}  {getattr(self, f.name)}" for f in fields(self))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        kind = {} if isinstance(value, Recipe) else {"kind": type(value).__name__}
        return kind | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def named(recipes: dict[str, Recipe], name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: there is none; the message has those that are spelled alike.
    """
    if name not in recipes:
        near = difflib.get_close_matches(name, recipes, n=3, cutoff=0.4) or list(recipes)[:3]
        raise ValueError(
            f"there is no recipe {name!r}: did you mean {' or '.join(near)}? `python -m vit_course train` lists all"
        )
    return recipes[name]
