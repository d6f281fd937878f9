"""Notebook 03, fourth part: parameters that no gradient reaches."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake


def without_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> list[str]:
    """Names of the parameters that get no gradient, or nothing but zeros, from one batch."""
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    return [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


class Small(nn.Module):
    """A small network with faults on request: a layer that is never used, one that never fires, one that is frozen."""

    def __init__(self, *, unused: bool = False, dead: bool = False, frozen: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.deeper = nn.Conv2d(2, 3, 3)
        if unused:
            self.extra = nn.Conv2d(3, 3, 3)
        self.linear = nn.Linear(3 * 4, 4)
        with torch.no_grad():
            self.linear.bias[1] = 0.0
            if dead:  # its ReLU gives 0 for every image
                self.deeper.bias.fill_(-100.0)
        if frozen:
            self.conv.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.conv(images))
        x = torch.relu(self.deeper(x))
        return self.linear(x.flatten(1))


def faulty_networks() -> list[tuple]:
    """With an unused layer, sound, with one that never fires, one that was trained on before, one half frozen."""
    trained = Small(unused=True)
    for p in trained.parameters():
        p.grad = torch.ones_like(p)
    cleared = Small(dead=True)
    with torch.no_grad():
        cleared.conv.bias.zero_()  # a parameter of zeros may well get a gradient
    models = [Small(unused=True), Small(), cleared, trained, Small(frozen=True)]
    return [(model, torch.randn(5, 1, 6, 6), torch.tensor([0, 1, 2, 3, 0])) for model in models]


def names_where(condition: Callable[[Tensor], object], clear: bool = True, backward: bool = True) -> Callable:
    """`without_gradient` with another condition, or without one of its steps."""

    def answer(model, images, labels):
        if clear:
            model.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        if backward:
            loss.backward()
        return [name for name, p in model.named_parameters() if condition(p)]

    return answer


def idle(p: Tensor) -> bool:
    return p.grad is None or bool((p.grad == 0).all())


def by_autograd(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[str, ...]:
    """Right: gradients asked for by name, nothing stored in the model."""
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
    reached = {name for name, g in zip(learning, gradients, strict=True) if g is not None and g.abs().max() > 0}
    return tuple(name for name, _ in model.named_parameters() if name not in reached)


def by_loop(model: nn.Module, images: Tensor, labels: Tensor) -> list[str]:
    for p in model.parameters():
        p.grad = None
    loss = -F.log_softmax(model(images), dim=1)[torch.arange(len(labels)), labels].mean()
    loss.backward()
    names = []
    for name, p in model.named_parameters():
        if p.grad is None or p.grad.count_nonzero() == 0:
            names.append(name)
    return names


WITHOUT_GRADIENT = Exercise(
    name="without_gradient",
    notebook="03",
    title="Find the parameters that cannot learn",
    reference=without_gradient,
    probes=faulty_networks,
    result="names",
    axes={"images": "B C H W"},
    hints=[
        "Three steps: forget old gradients, one pass forward and backward of `F.cross_entropy(model(images), labels)`, "
        "and then a look at `p.grad` of every parameter in `model.named_parameters()`.",
        "Two things mean that a parameter cannot learn: `p.grad` is `None`, because no path leads from it to the loss; "
        "or it is there and zero everywhere, because every path is cut, by a ReLU that never fires for instance.",
        "`p.grad.any()` is true if any number in it is not zero. Ask for `None` first: `None` has no `.any()`.",
    ],
    mistakes=[
        Mistake(
            "none_only",
            names_where(lambda p: p.grad is None),
            "You find layers that are not used at all. A layer whose ReLU never fires *is* used, so it has a gradient, "
            "but one of nothing but zeros: it cannot learn either. Look for that too.",
        ),
        Mistake(
            "zeros_only",
            names_where(lambda p: not p.grad.any()),
            "A parameter that is not used has no gradient at all: `p.grad` is `None`, which has no numbers to look at. "
            "That is the commonest fault, a layer that is made in `__init__` and forgotten in `forward`. Ask for "
            "`None` first.",
        ),
        Mistake(
            "old_gradients",
            names_where(idle, clear=False),
            "Gradients add up: what an earlier pass has left in `p.grad` is still there, and an unused layer looks as "
            "if it had learned something. Clear the gradients before the pass.",
        ),
        Mistake(
            "no_backward",
            names_where(idle, backward=False),
            "No parameter has a gradient, because nothing has asked for one. The loss alone computes none; "
            "something has to go back through the network.",
        ),
        Mistake(
            "the_others",
            names_where(lambda p: not idle(p)),
            "You list the parameters that *do* get a gradient. Wanted are those that do not: for a sound network the "
            "list is empty.",
        ),
        Mistake(
            "zero_weights",
            names_where(lambda p: not p.any()),
            "You look at the parameter's own numbers, and a bias that starts at zero is quite healthy. Whether it can "
            "learn stands in its gradient.",
        ),
        Mistake(
            "frozen_only",
            names_where(lambda p: not p.requires_grad),
            "`requires_grad` says whether a gradient is wanted, not whether one arrives. An unused layer wants one and "
            "never gets it. Do a pass backward and look.",
        ),
        Mistake(
            "any_zero",
            names_where(lambda p: p.grad is None or not p.grad.all()),
            "You report a parameter as soon as one number of its gradient is zero. That happens all the time: with a "
            "ReLU some channel is silent for a batch. It cannot learn only where *all* its numbers are zero.",
        ),
    ],
    variants=[by_autograd, by_loop],
    solved="Run it on every new network before you train it: it takes a second and finds the layer that you forgot.",
)

EXERCISES = [WITHOUT_GRADIENT]
