"""A trained network for another task: its features, a new head, frozen parts, and a learning rate for each layer.

Every function wants a network whose last layer is `model.head`, as `SmallVGG`'s and `ViT`'s is.
"""

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.training.optim import parameter_groups

LISTS = ("blocks", "stages")  # what a ViT and a SmallVGG call the list of their layers


@torch.no_grad()
def head_inputs(model: nn.Module, batches: Iterable) -> tuple[Tensor, Tensor]:
    """What the head reads of every image, and the labels: ((N, D), (N,)), in the order of `batches`.

    The network is left in evaluation mode, as `evaluate` leaves it, and is otherwise as it was.

    Raises:
        ValueError: no batch.
    """
    device = next(model.parameters()).device
    features, labels = [], []
    hook = model.head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    model.eval()
    try:
        for images, targets in batches:
            model(images.to(device))
            labels.append(targets.to(device))
    finally:
        hook.remove()
    if not labels:
        raise ValueError("there is no batch: is the split empty, or an iterator that was used up before?")
    return torch.cat(features), torch.cat(labels)


def linear_probe(features: Tensor, labels: Tensor, num_classes: int, *, weight_decay: float = 1e-2) -> nn.Linear:
    """The best linear head on features (N, D) that stay as they are: multinomial logistic regression.

    The features are standardised for the search and the result is written for the features as they were, so that it
    can be the network's head. The minimum is unique with weight_decay above 0; L-BFGS goes there in at most 100 steps.

    Args:
        labels: int64 (N,), 0 … num_classes - 1.
        weight_decay: times half the squared weights, added to the mean loss.

    Raises:
        ValueError: not one label a feature, or a label that is no class.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"features are {tuple(features.shape)} and labels {tuple(labels.shape)}: give (N, D) and (N,)")
    if not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(f"labels lie in {labels.min()}…{labels.max()}: classes are 0 to {num_classes - 1}")
    mean, std = features.mean(dim=0), features.std(dim=0, correction=0)
    std = torch.where(std > 1e-6 * mean.abs(), std, 1.0)  # what never changes, but for rounding, is not blown up
    x = (features - mean) / std  # (N, D)
    head = with_zeros(nn.Linear(features.shape[1], num_classes).to(features))
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(head(x), labels) + weight_decay / 2 * head.weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():  # w (x - mean) / std + b = (w / std) x + (b - (w / std) mean)
        head.weight /= std
        head.bias -= head.weight @ mean
    return head


def with_new_head(model: nn.Module, num_classes: int) -> nn.Module:
    """A copy of the network with a head for other classes, whose weights are zero (section 3.2 of the ViT paper).

    So every class starts equally likely, and the first step leaves the layers below as they are. The network that was
    given stays as it is. A configuration that names `num_classes` is brought up to date.

    Raises:
        ValueError: no class, or a head that is no Linear.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}: give 1 or more")
    old = getattr(model, "head", None)
    if not isinstance(old, nn.Linear):
        raise ValueError(f"the head of {type(model).__name__} is {type(old).__name__}: it has to be a Linear")
    model = copy.deepcopy(model)
    model.head = with_zeros(nn.Linear(old.in_features, num_classes).to(old.weight))
    if dataclasses.is_dataclass(getattr(model, "config", None)):
        model.config = dataclasses.replace(model.config, num_classes=num_classes)
    return model


def with_zeros(layer: nn.Linear) -> nn.Linear:
    """The layer with all of its weights at zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def freeze(model: nn.Module, but: Sequence[str] = ("head",)) -> nn.Module:
    """Let only the modules named in `but` learn; the same network, for `fit` and `adamw` to go on with.

    Frozen batch norms also work with their running statistics, and leave these as they are, whoever calls
    `model.train()`. Call it again with other names to freeze more or less.

    Raises:
        ValueError: a name that the model does not have.
    """
    modules = dict(model.named_modules())
    if wrong := [name for name in but if name not in modules]:
        raise ValueError(f"the model has no {wrong[0]!r}: give names such as {', '.join(list(modules)[1:4])}")
    model.requires_grad_(False)
    for name in but:
        modules[name].requires_grad_(True)
    for module in modules.values():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.register_forward_pre_hook(stay_if_frozen)
    return model


def stay_if_frozen(norm: nn.Module, _: tuple) -> None:
    """Before a norm runs: into evaluation mode with it, if nothing in it learns."""
    if not any(p.requires_grad for p in norm.parameters()):
        norm.eval()


def layer_of(name: str, depth: int) -> int:
    """The layer of a parameter: 0 embedding or stem, 1 … depth the blocks or stages, depth + 1 last norm and head."""
    first, _, rest = name.partition(".")
    if first in LISTS:
        return int(rest.partition(".")[0]) + 1
    return depth + 1 if first in ("norm", "head") else 0


def layer_groups(
    model: nn.Module, lr: float, *, decay: float = 0.75, weight_decay: float = 0.05
) -> list[dict[str, Any]]:
    """Groups for an optimiser whose learning rate falls by `decay` with each layer below the head.

    The head has `lr`, the last block lr · decay, the embedding lr · decay^(depth + 1), as BEiT's code does it (Bao et
    al. 2021, arXiv:2106.08254). Frozen parameters are in no group; weight decay as in `parameter_groups`.

    >>> torch.optim.AdamW(layer_groups(model, lr=1e-3))

    Raises:
        ValueError: a model without `blocks` and `stages`, or a decay outside 0 … 1.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay is {decay}: give a number above 0, at most 1; 0.75 is usual")
    layers = next((getattr(model, name) for name in LISTS if hasattr(model, name)), None)
    if layers is None:
        raise ValueError(f"{type(model).__name__} has neither {' nor '.join(LISTS)}: which layers are there?")
    depth, names = len(layers), {id(p): name for name, p in model.named_parameters()}
    groups: dict[tuple[int, float], dict[str, Any]] = {}
    for group in parameter_groups(model, weight_decay):
        for p in group["params"]:
            layer = layer_of(names[id(p)], depth)
            new = {"params": [], "lr": lr * decay ** (depth + 1 - layer), "weight_decay": group["weight_decay"]}
            groups.setdefault((layer, group["weight_decay"]), new)["params"].append(p)
    return [groups[key] for key in sorted(groups)]
