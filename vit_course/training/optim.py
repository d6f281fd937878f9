"""Which parameters are decayed, which optimiser gets which, and learning rates over time."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from vit_course.training.muon import Muon, Together

NOT_DECAYED = {"cls_token", "pos_embed"}  # besides biases, norms and what a model's `no_weight_decay` names
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


def sgd(
    model: nn.Module, lr: float = 0.05, *, momentum: float = 0.9, nesterov: bool = True, weight_decay: float = 5e-4
) -> Optimizer:
    """SGD with momentum for every parameter that is not frozen; decay as in `parameter_groups`."""
    groups = parameter_groups(model, weight_decay)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0)


def adamw(
    model: nn.Module, lr: float = 1e-3, *, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.05
) -> Optimizer:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) for every parameter that is not frozen."""
    return torch.optim.AdamW(parameter_groups(model, weight_decay), lr=lr, betas=betas)


def muon(
    model: nn.Module,
    lr: float = 0.02,
    *,
    adamw_lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.98),
    momentum: float = 0.95,
    weight_decay: float = 0.0,
    not_hidden: Sequence[str] | None = None,
    renormalise: bool = False,
) -> Optimizer:
    """Muon for hidden matrices and kernels, AdamW for the rest: biases, norms, embeddings, first and last layer.

    A kernel counts as a matrix, a fused qkv as three; see `training.muon.Muon`.

    Args:
        lr, momentum: of the Muons; adamw_lr, betas: of AdamW. Measured to work: adamw_lr 2e-3 for ViTs, 5e-3 for VGGs.
        weight_decay: of both; biases, norms and the like have none.
        not_hidden: names of modules whose weights go to AdamW. None: the first and the last Linear or Conv2d in the
            order in which the model registers them.
        renormalise: see `Muon`; for kernels alone.

    Raises:
        ValueError: a name in `not_hidden` that the model does not have, or a model without hidden weights.
    """
    fused, matrices, kernels = [], [], []
    for name in hidden_weights(model, not_hidden):
        p = model.get_parameter(name)
        if name.endswith(("qkv.weight", "in_proj_weight")):
            fused.append(p)
        else:
            (matrices if p.ndim == 2 else kernels).append(p)
    groups = [{"params": matrices}, {"params": fused, "parts": 3}, {"params": kernels, "renormalise": renormalise}]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("the model has no hidden matrix or kernel to train with Muon: use adamw(model)")
    optimizers: list[Optimizer] = [Muon(groups, lr=lr, momentum=momentum, weight_decay=weight_decay)]
    if rest := parameter_groups(model, weight_decay, without=[*fused, *matrices, *kernels]):
        optimizers.append(torch.optim.AdamW(rest, lr=adamw_lr, betas=betas))
    return Together(*optimizers)


def parameter_groups(
    model: nn.Module, weight_decay: float, without: Iterable[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Two groups for an optimiser: parameters with `weight_decay` and those with none; frozen ones in neither.

    Not decayed: biases, everything one-dimensional, parameters of norm layers, `cls_token`, `pos_embed`, and what a
    module's `no_weight_decay` (a set of names, or a method that returns one, as in timm) names. Decay pulls towards 0,
    and for these 0 is no simpler than another value. An empty group is left out.

    Raises:
        ValueError: every parameter is frozen.
    """
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("every parameter is frozen: set requires_grad = True on those to train")
    left_out, kept = set(map(id, without)), _not_decayed(model)
    decayed, plain = [], []
    for name, p in model.named_parameters():
        if p.requires_grad and id(p) not in left_out:
            (plain if name in kept else decayed).append(p)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _not_decayed(model: nn.Module) -> set[str]:
    """Full names of the parameters that weight decay leaves out."""
    names = set()
    for prefix, module in model.named_modules():
        listed = getattr(module, "no_weight_decay", ())
        listed = NOT_DECAYED | set(listed() if callable(listed) else listed)
        for name, p in module.named_parameters():
            own = "." not in name
            if name in listed or (own and (p.ndim <= 1 or name.endswith("bias") or isinstance(module, NORMS))):
                names.add(f"{prefix}.{name}" if prefix else name)
    return names


def hidden_weights(model: nn.Module, not_hidden: Sequence[str] | None = None) -> list[str]:
    """Names of the weights that Muon trains: of Linear, convolution and attention layers, `not_hidden` aside.

    Raises:
        ValueError: a name in `not_hidden` that the model does not have.
    """
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.MultiheadAttention)
    ]
    modules = dict(model.named_modules())
    if wrong := [name for name in not_hidden or () if name not in modules]:
        raise ValueError(f"the model has no {wrong[0]!r}: not_hidden takes names such as {', '.join(layers[:3])}")
    if not_hidden is None:
        not_hidden = (*layers[:1], *layers[-1:])
    prefixes = tuple(f"{name}." for name in not_hidden)
    weights = [f"{layer}.{name}" for layer in layers for name in ("weight", "in_proj_weight")]
    there = {name for name, p in model.named_parameters() if p.requires_grad}  # a shared weight by its first name
    return [name for name in weights if name in there and not name.startswith(prefixes)]


def warm_up(optimizer: Optimizer, steps: int, *, share: float = 0.1, then: str = "cosine") -> LambdaLR:
    """Learning rates that rise from near 0 over the first `share` of `steps`, then fall to 0.

    Each parameter group's rate goes up to the one it has now. Call `.step()` after every batch; `fit` does.

    Args:
        steps: batches in all: `epochs * len(batches)`.
        then: "cosine", half a cosine wave (Loshchilov and Hutter 2017, arXiv:1608.03983), or "linear".

    Raises:
        ValueError: steps below 1, a share outside 0 … 1, or another name.
    """
    if steps < 1 or not 0 <= share < 1:
        raise ValueError(f"steps is {steps} and share {share}: give 1 or more steps, and a share from 0 to below 1")
    if then not in ("cosine", "linear"):
        raise ValueError(f"then is {then!r}: give 'cosine' or 'linear'")
    rising = round(share * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        done = min(1.0, (step - rising) / (steps - rising))  # 0 … 1
        return (1 + math.cos(math.pi * done)) / 2 if then == "cosine" else 1 - done

    return LambdaLR(optimizer, factor)


def one_cycle(optimizer: Optimizer, steps: int, *, share: float = 0.3) -> OneCycleLR:
    """torch's one-cycle rule (Smith and Topin 2018, arXiv:1708.07120): up to each group's present rate, then down.

    It starts at a 25th of it, ends at 1/250,000, and turns the momentum the other way where the optimiser has one.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    turns = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    return OneCycleLR(optimizer, max_lr=rates, total_steps=steps, pct_start=share, cycle_momentum=turns)
