"""Muon for matrices, convolution kernels and matrices that are several in one, all of one shape at a time."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Muon(Optimizer):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for weights of two or more dimensions.

    On matrices it equals `torch.optim.Muon`, which takes nothing else and goes through them one by one. A kernel
    (out, in, k, k) is seen as the matrix (out, in·k·k).
    Each step replaces the averaged gradient by the nearly orthogonal matrix next to it, so that every direction of
    the weight moves equally far, whatever the gradient's size.

    Args:
        lr: step length; multiplied by sqrt(max(1, out / (in·k·k))), as torch's "original" adjustment does.
        weight_decay: share of the weight taken off a step, times lr.
        parts: how many matrices of equal height a weight is made of; 3 for a fused qkv, which are orthogonalised apart.
        renormalise: bring each weight's norm to sqrt(out) before the step, as cifar10-airbench does for kernels that a
            batch norm follows, where the norm means nothing for the output.

    A parameter group may set each of them for itself.

    Raises:
        ValueError: a parameter with fewer than two dimensions, or with a height that is not a multiple of parts.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        parts: int = 1,
        renormalise: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"parts": parts, "renormalise": renormalise})
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim < 2 or len(p) % group["parts"]:
                    raise ValueError(
                        f"a parameter of shape {tuple(p.shape)} in {group['parts']} parts: Muon takes matrices and "
                        "kernels of a height that is a multiple of the parts; give the others to AdamW"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; parameters without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step([p for p in group["params"] if p.grad is not None], group)
        return loss

    def _step(self, params: list[Tensor], group: dict[str, Any]) -> None:
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}  # a shape -> parameters and their matrices
        for p in params:
            state = self.state[p]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(p)
            average = state["momentum_buffer"].lerp_(p.grad, 1 - group["momentum"])
            update = p.grad.lerp(average, group["momentum"])  # Nesterov: a step ahead of the average
            matrices = update.reshape(group["parts"], len(p) // group["parts"], -1)  # (parts, out, in·k·k)
            alike.setdefault(matrices.shape, []).append((p, matrices))
        for (_, rows, columns), pairs in alike.items():
            length = group["lr"] * math.sqrt(max(1, rows / columns))
            updates = orthogonalised(torch.stack([matrices for _, matrices in pairs]))
            for (p, _), update in zip(pairs, updates, strict=True):
                if group["renormalise"]:
                    p.mul_(math.sqrt(len(p)) / p.norm())
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.reshape(p.shape), alpha=-length)


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearly orthogonal matrices next to `matrices` (…, rows, columns), in bfloat16: singular values near 1.

    Newton–Schulz: x -> a·x + b·x³ + c·x⁵ acts on the singular values alone. These coefficients are the steepest at 0
    for which the values stay within about 0.7 … 1.2; exact ones are not needed. Matrices of one shape go together:
    small ones, one at a time, would cost a small network more than its gradients.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    *leading, rows, columns = matrices.shape
    x = matrices.bfloat16().reshape(-1, rows, columns)
    if tall := rows > columns:
        x = x.transpose(1, 2)  # the products below are as large as the number of rows
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]  # no singular value above 1
    for _ in range(steps):
        square = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.transpose(1, 2) if tall else x).reshape(*leading, rows, columns)


class Together(Optimizer):
    """Several optimisers as one: `step` steps each, schedulers see all groups, checkpoints keep all states."""

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers
        # The groups are the members' own dictionaries: a learning rate set here is set there.
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], {})

    def step(self, closure: None = None) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, state_dict["optimizers"], strict=True):
            optimizer.load_state_dict(state)  # makes new group dictionaries
        self.param_groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
