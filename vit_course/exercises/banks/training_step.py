"""Notebook 04, second part: one training step."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from vit_course.exercises.core import Exercise, Mistake, is_blank


class Watched(torch.optim.SGD):
    """SGD that notes, at each step, how many of its parameters have a gradient that is not zero."""

    def __init__(self, params) -> None:
        super().__init__(params, lr=0.2)
        self.with_gradient: list[int] = []

    def step(self, closure=None):
        params = [p for group in self.param_groups for p in group["params"]]
        self.with_gradient.append(sum(p.grad is not None and bool(p.grad.any()) for p in params))
        return super().step(closure)


def three_steps(answer: Callable, model: nn.Module, images: Tensor, labels: Tensor) -> dict:
    """Three steps on one batch, from a model in eval mode, as it comes out of an evaluation."""
    optimizer = Watched(model.parameters())
    passes = {"forward": 0, "backward": 0}

    def count(which: str) -> None:
        passes[which] += 1

    model.register_forward_hook(lambda *_: count("forward"))
    next(model.parameters()).register_hook(lambda _: count("backward"))
    seen: dict[str, object] = {}
    model.eval()
    for step in (1, 2, 3):
        loss = answer(model, images, labels, optimizer)
        if is_blank(loss) and not passes["forward"]:
            return loss
        seen[f"loss of step {step}"] = loss
    seen["mode after the step"] = "train" if model.training else "eval"
    seen["forward passes in 3 steps"] = passes["forward"]
    seen["backward passes in 3 steps"] = passes["backward"]
    seen["parameters with a gradient at each optimizer.step()"] = list(optimizer.with_gradient)
    return seen | {name: p.detach().clone() for name, p in model.named_parameters()}


def small_models() -> list[tuple]:
    """Models with a batch norm, which works otherwise in eval mode, and batches of several sizes."""
    found = []
    for count, features, classes in ((4, 3, 2), (7, 5, 3)):
        model = nn.Sequential(nn.Linear(features, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, classes))
        found.append((model, torch.randn(count, features), torch.randint(classes, (count,))))
    return found


def train_step(model: nn.Module, images: Tensor, labels: Tensor, optimizer: Optimizer) -> float:
    """One step: forward, loss, old gradients away, backward, step. Returns the loss before the step."""
    model.train()
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def steps(order: str, *, mode: str | None = "train", returns: Callable = Tensor.item, loss_of: Callable | None = None):
    """`train_step` with the lines in the given order: z zero_grad, b backward, s step."""

    def answer(model, images, labels, optimizer):
        if mode:
            model.train(mode == "train")
        loss = (loss_of or F.cross_entropy)(model(images), labels)
        for line in order:
            if line == "z":
                optimizer.zero_grad()
            elif line == "b":
                loss.backward()
            else:
                optimizer.step()
        return returns(loss)

    return answer


def measured_after(model, images, labels, optimizer):
    train_step(model, images, labels, optimizer)
    return F.cross_entropy(model(images), labels).item()


def cleared_last(model, images, labels, optimizer):
    model.train()
    loss = -model(images).log_softmax(1)[torch.arange(len(labels)), labels].mean()
    loss.backward()
    optimizer.step()
    for p in model.parameters():
        p.grad = None
    return loss.item()


TRAIN_STEP = Exercise(
    name="train_step",
    notebook="04",
    title="One step of training",
    reference=train_step,
    call=three_steps,
    probes=small_models,
    axes={"images": "B D", "labels": "B"},
    hints=[
        "Five lines: the model into train mode; the loss of this batch; away with old gradients; new gradients; the "
        "step.",
        "The optimiser has `zero_grad()` and `step()`. What fills the gradients in between is `loss.backward()`.",
        "Return a Python number: `loss.item()`. The tensor would hold on to everything that was computed for it.",
    ],
    mistakes=[
        Mistake(
            "no_zero_grad",
            steps("bs"),
            "The first step is right, the later ones are not: `backward` *adds* to the gradients that are there, and "
            "nobody cleared them. Every step goes along the sum of all gradients so far, and training swings ever "
            "wider. One line is missing before `backward`.",
        ),
        Mistake(
            "cleared_between",
            steps("bzs"),
            "When the optimiser steps, it finds no gradient, so no weight ever moves, and nothing complains. Either "
            "they are cleared between `backward` and the step, or the step stands before `backward`, and the next "
            "call clears what came too late. The order is: clear, backward, step.",
        ),
        Mistake(
            "old_gradient",
            steps("szb"),
            "Your step uses the gradients of the *previous* batch: the first call moves nothing, and from then on "
            "every step is one batch late. The step comes last.",
        ),
        Mistake(
            "no_backward",
            steps("zs"),
            "Nothing computes a gradient. The loss is a number with a memory of how it was made; it is `backward` that "
            "goes through this memory and fills `p.grad`. Without it the step does nothing.",
        ),
        Mistake(
            "no_step",
            steps("zb"),
            "The gradients are there, and nobody uses them: the weights stay as they are, and the loss stays where it "
            "began. Something has to take the step.",
        ),
        Mistake(
            "eval_left_on",
            steps("zbs", mode=None),
            "The model is in eval mode, where the last evaluation has left it: batch norm uses old statistics and "
            "never renews them, dropout drops nothing. It trains, to a worse result, without a word. Say at the start "
            "which mode you want.",
        ),
        Mistake(
            "graph_kept",
            steps("zbs", returns=lambda loss: loss),
            "The step is right, but you return the loss with its graph. Whoever collects the losses of an epoch keeps "
            "what hangs on them in memory, batch after batch. Return the bare number.",
        ),
        Mistake(
            "softmax_twice",
            steps("zbs", loss_of=lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)),
            "You give probabilities to `F.cross_entropy`, which takes raw scores and does the softmax itself. Done "
            "twice, the gradients are small and the loss can never come near 0.",
        ),
        Mistake(
            "summed",
            steps("zbs", loss_of=lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum")),
            "You add up the batch's losses instead of averaging them. Then the step grows with the batch size, and a "
            "learning rate that works for 32 images is too high for 128.",
        ),
        Mistake(
            "measured_after",
            measured_after,
            "You return the loss of a second forward pass, after the step. That costs a third of the time, moves "
            "batch norm's statistics once more, and reports a batch that the model has just been fitted to. Return "
            "the loss that you computed the gradients from.",
        ),
        Mistake(
            "two_steps",
            steps("zbss"),
            "The optimiser steps twice along the same gradient: that is a doubled learning rate, and with momentum "
            "or Adam it is a mess. Once a batch.",
        ),
    ],
    variants=[cleared_last, steps("zbs", returns=lambda loss: loss.detach().item())],
    solved="Five lines, and the order of three of them is the whole trick.",
)

EXERCISES = [TRAIN_STEP]
