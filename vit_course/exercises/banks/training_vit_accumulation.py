"""Notebook 13, fourth part: a large batch in small pieces."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from vit_course.exercises.core import Exercise, Mistake, is_blank


class Counting(torch.optim.SGD):
    """SGD that counts its steps."""

    def __init__(self, params) -> None:
        super().__init__(params, lr=0.3)
        self.steps = 0

    def step(self, closure=None):
        self.steps += 1
        return super().step(closure)


def two_steps(answer: Callable, model: nn.Module, pieces: list) -> dict:
    """Two steps on the same pieces: the weights after it, and in which order the passes came."""
    optimizer = Counting(model.parameters())
    order: list[str] = []
    model.register_forward_hook(lambda *_: order.append("forward"))
    next(model.parameters()).register_hook(lambda _: order.append("backward"))
    seen: dict[str, object] = {}
    for step in (1, 2):
        loss = answer(model, list(pieces), optimizer)
        if is_blank(loss) and not order:
            return loss
        if step == 1:
            seen["passes"] = ", ".join(order)
        seen[f"loss of step {step}"] = loss
    seen["optimizer.step() in 2 calls"] = optimizer.steps
    return seen | {name: p.detach().clone() for name, p in model.named_parameters()}


def uneven_pieces() -> list[tuple]:
    """Models without batch norm, and pieces of which the last is smaller."""
    found = []
    for sizes, features, classes in (((3, 1), 3, 2), ((4, 4, 2), 5, 3)):
        model = nn.Sequential(nn.Linear(features, 6), nn.Tanh(), nn.Linear(6, classes))
        pieces = [(torch.randn(n, features), torch.randint(classes, (n,))) for n in sizes]
        found.append((model, pieces))
    return found


def accumulated_step(model: nn.Module, pieces: list, optimizer: Optimizer) -> float:
    """One step along the gradient of the mean loss over all images, piece by piece. Returns that loss."""
    count = sum(len(labels) for _, labels in pieces)
    optimizer.zero_grad()
    total = 0.0
    for images, labels in pieces:
        loss = F.cross_entropy(model(images), labels, reduction="sum") / count
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def way(
    share: Callable = lambda size, count, pieces: size / count,
    clear: str = "before",
    step: str = "after",
    returns: Callable = lambda losses, weights: sum(a * b for a, b in zip(losses, weights, strict=True)),
    tensor: bool = False,
) -> Callable:
    """`accumulated_step` with something done otherwise. share: a piece's weight in the sum of mean losses."""

    def answer(model, pieces, optimizer):
        sizes = [len(labels) for _, labels in pieces]
        weights = [share(size, sum(sizes), len(sizes)) for size in sizes]
        if clear == "before":
            optimizer.zero_grad()
        losses = []
        for (images, labels), weight in zip(pieces, weights, strict=True):
            if clear == "inside":
                optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            (loss * weight).backward()
            losses.append(loss if tensor else loss.item())
            if step == "inside":
                optimizer.step()
        if clear == "between":
            optimizer.zero_grad()
        if step == "after":
            optimizer.step()
        return returns(losses, [size / sum(sizes) for size in sizes])

    return answer


def at_once(model: nn.Module, pieces: list, optimizer: Optimizer) -> float:
    optimizer.zero_grad()
    loss = F.cross_entropy(model(torch.cat([x for x, _ in pieces])), torch.cat([y for _, y in pieces]))
    loss.backward()
    optimizer.step()
    return loss.item()


def backward_at_end(model: nn.Module, pieces: list, optimizer: Optimizer) -> float:
    count = sum(len(labels) for _, labels in pieces)
    optimizer.zero_grad()
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in pieces) / count
    loss.backward()
    optimizer.step()
    return loss.item()


def as_if_full(model: nn.Module, pieces: list, optimizer: Optimizer) -> float:
    full = len(pieces) * len(pieces[0][1])
    mean = way(share=lambda size, *_: size / full)(model, pieces, optimizer)
    return mean * sum(len(labels) for _, labels in pieces) / full


def divided_later(model: nn.Module, pieces: list, optimizer: Optimizer) -> Tensor | float:
    """Right: sums first, and the gradients are divided before the step."""
    for p in model.parameters():
        p.grad = None
    losses = []
    for images, labels in pieces:
        loss = -model(images).log_softmax(1)[torch.arange(len(labels)), labels].sum()
        loss.backward()
        losses.append(float(loss.detach()))
    count = sum(len(images) for images, _ in pieces)
    for p in model.parameters():
        p.grad /= count
    optimizer.step()
    return sum(losses) / count


ACCUMULATED = Exercise(
    name="accumulated_step",
    notebook="13",
    title="A large batch in small pieces",
    reference=accumulated_step,
    call=two_steps,
    probes=uneven_pieces,
    axes={"images": "B D", "labels": "B"},
    hints=[
        "`backward` *adds* to the gradients that are there. What was a trap in notebook 04 is the trick here: clear "
        "once, go backward for each piece, step once.",
        "What must the gradients be in the end? Those of the mean over *all* images. A piece of 3 of 10 images weighs "
        "3/10, whatever the number of pieces.",
        "For each piece: the *sum* of its losses, divided by the number of all images; then `backward` at once, so "
        "that the piece's graph can be freed before the next one. Add up `loss.item()` for the return value.",
    ],
    mistakes=[
        Mistake(
            "mean_of_means",
            way(share=lambda size, count, pieces: 1 / pieces),
            "You divide each piece's mean loss by the number of pieces: a mean of means. With a smaller last piece its "
            "few images count for more than the others, and the step is not that of the large batch. Weigh by images.",
        ),
        Mistake(
            "mean_of_means_returned",
            way(
                share=lambda size, count, pieces: 1 / pieces,
                returns=lambda losses, _: sum(losses) / len(losses),
            ),
            "Gradient and loss are both means of the pieces' means. If the last piece is smaller, its images count for "
            "more. Add up over images, and divide by their number once.",
        ),
        Mistake(
            "loss_mean_of_means",
            way(returns=lambda losses, _: sum(losses) / len(losses)),
            "The step is right. The loss that you return is a mean of the pieces' means: it weighs small pieces too "
            "much.",
        ),
        Mistake(
            "not_divided",
            way(share=lambda *_: 1.0),
            "You add up the pieces' gradients as they come. With four pieces the gradient is four times that of the "
            "large batch: plain SGD takes a step four times as long, and clipping cuts more off.",
        ),
        Mistake(
            "not_divided_returned",
            way(share=lambda *_: 1.0, returns=lambda losses, _: sum(losses)),
            "Nothing is divided: gradient and loss are sums of the pieces' means, the larger the more pieces. The "
            "learning rate would have to change with the number of pieces.",
        ),
        Mistake(
            "sums_not_divided",
            way(share=lambda size, *_: float(size)),
            "The loss that you return is right. The gradient is that of the *sum* over all images, as many times too "
            "large as there are images. Divide before `backward`, not only what you return.",
        ),
        Mistake(
            "all_full",
            as_if_full,
            "You divide by (number of pieces) · (size of the first), as if all were full. The last one is not: count "
            "the images.",
        ),
        Mistake(
            "step_each",
            way(step="inside"),
            "The optimiser steps after every piece: these are several small batches, and what the first gradients have "
            "moved, the next ones see. Accumulating means to step once, after the loop.",
        ),
        Mistake(
            "ordinary_loop",
            way(share=lambda *_: 1.0, clear="inside", step="inside"),
            "That is the ordinary loop: clear, backward, step for every piece. It trains with small batches. Here the "
            "clearing belongs before the loop, and the step after it.",
        ),
        Mistake(
            "cleared_inside",
            way(clear="inside"),
            "The gradients are cleared before each piece, so only the last piece is left when the step comes. All the "
            "others were computed for nothing, without a word. Clear once, before the loop.",
        ),
        Mistake(
            "cleared_before_step",
            way(clear="between"),
            "You clear between the loop and the step: the optimiser finds nothing, and no weight moves.",
        ),
        Mistake(
            "never_cleared",
            way(clear="never"),
            "The first call is right, the second is not: it adds to what the first has left. Accumulate within a call, "
            "not across calls: clear at its start.",
        ),
        Mistake(
            "at_once",
            at_once,
            "The numbers are right, and the point is lost: you put the pieces together again, so the whole batch has "
            "to fit into memory. One forward and one backward pass for each piece.",
        ),
        Mistake(
            "graphs_kept",
            backward_at_end,
            "The numbers are right, but `backward` comes after the loop. Until then the graphs of *all* pieces stay in "
            "memory, as much as the large batch would take. Go backward inside the loop: it frees the piece's graph.",
        ),
        Mistake(
            "last_loss",
            way(returns=lambda losses, _: losses[-1]),
            "The step is right. You return the last piece's loss; wanted is the mean over all images.",
        ),
        Mistake(
            "graph_returned",
            way(tensor=True),
            "You return a tensor that holds on to the graph. Return a Python number: `.item()`.",
        ),
    ],
    variants=[divided_later, way()],
    solved="The same step as with the large batch, in the memory of a small one.",
)

EXERCISES = [ACCUMULATED]
