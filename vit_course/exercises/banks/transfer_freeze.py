"""Notebook 16: a body that stays as it is, batch norms included."""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake, network

NORMS = nn.BatchNorm1d | nn.BatchNorm2d


class Net(nn.Module):
    """Linear layers with batch norms, one of them deeper inside, and a head."""

    def __init__(self, *, width: int, classes: int) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width, momentum=0.4))
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Tanh(), inner)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def trained_on(answer: Callable, model: nn.Module, x: Tensor, labels: Tensor) -> dict:
    """Freezes, then trains as `fit` does: into training mode, two steps for whatever learns. What has moved?"""
    before = copy.deepcopy(model.state_dict())
    if not isinstance(model := network(answer(model)), nn.Module):
        return model
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad] or [torch.zeros(1)], lr=0.5)
    for _ in range(2):
        model.train()
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
        optimizer.step()
    moved = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before.get(name, tensor))]
    moved = [name for name in moved if "num_batches" not in name]
    learn = [name for name, p in model.named_parameters() if p.requires_grad]
    with torch.no_grad():
        while_training = model.train()(x)
        gap = (while_training - model.eval()(x)).abs().max().item()
    return {
        "parameters that learn": ", ".join(f"`{name}`" for name in learn) or "none",
        "what two steps have moved": ", ".join(f"`{name}`" for name in moved) or "nothing",
        "answers in training and in evaluation mode": "equal" if gap < 1e-4 else "different",
    }


def nets() -> list[tuple]:
    """Two sizes; the images lie elsewhere than those that the running statistics stand for."""
    found = []
    for count, width, classes in ((6, 3, 2), (9, 5, 4)):
        model = Net(width=width, classes=classes).eval()
        found.append((model, 2 * torch.randn(count, 4) + 1, torch.arange(count) % classes))
    return found


def hold(module: nn.Module, _: tuple) -> None:
    """Into evaluation mode just before it runs."""
    module.eval()


def keep_body(model: nn.Module) -> nn.Module:
    """Only `model.head` learns; norms in the body keep their running statistics, whoever calls `model.train()`."""
    return frozen()(model)


def hooked(model: nn.Module) -> None:
    for module in model.body.modules():
        if isinstance(module, NORMS):
            module.register_forward_pre_hook(hold)


def frozen(
    *,
    learns: Callable[[str], bool] = lambda name: name.startswith("head."),
    norms: Callable[[nn.Module], None] = hooked,
) -> Callable:
    """`keep_body` with one thing done otherwise."""

    def answer(model):
        for name, p in model.named_parameters():
            p.requires_grad = learns(name)
        norms(model)
        return model

    return answer


def module_attribute(model: nn.Module) -> nn.Module:
    """Wrong: a Python attribute on a module, which nobody reads."""
    for module in model.body.modules():
        module.requires_grad = False
    hooked(model)
    return model


def without_memory(model: nn.Module) -> None:
    """Wrong: the running statistics stay, but training mode still uses those of the batch."""
    for module in model.body.modules():
        if isinstance(module, NORMS):
            module.momentum = 0.0


def outer_norms_only(model: nn.Module) -> None:
    """Wrong: only the norms that are children of the body."""
    for module in model.body:
        if isinstance(module, NORMS):
            module.register_forward_pre_hook(hold)


def hook_that_returns(model: nn.Module) -> None:
    """Wrong: what a pre-hook returns takes the place of the inputs."""
    for module in model.body.modules():
        if isinstance(module, NORMS):
            module.register_forward_pre_hook(lambda norm, _: norm.eval())


def nothing(model: nn.Module) -> None:
    """No care for the norms."""


def body_in_eval(model: nn.Module) -> nn.Module:
    model.body.requires_grad_(False).eval()
    model.body.train = lambda mode=True: model.body
    return model


def norms_in_eval(model: nn.Module) -> nn.Module:
    own_train = model.train

    def train(mode: bool = True) -> nn.Module:
        own_train(mode)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return model

    model.train = train
    model.requires_grad_(False)
    for p in model.head.parameters():
        p.requires_grad = True
    return model


KEEP_BODY = Exercise(
    name="keep_body",
    notebook="16",
    title="Freeze everything but the head",
    reference=keep_body,
    call=trained_on,
    probes=nets,
    hints=[
        "Two separate things: which *parameters* learn, and what the *norms* do in training mode. A running mean is no "
        "parameter: no gradient is needed to move it.",
        "`fit` calls `model.train()` at the start of each epoch, and that puts every module inside into training mode "
        "again, whatever you did before. So something has to happen later than that, or `train` has to do something "
        "else for the body.",
        "One way: `norm.register_forward_pre_hook(f)` calls `f(norm, inputs)` each time just before the norm runs; `f` "
        "returns nothing. "
        "Another: give `model.body` a `train` of its own.",
    ],
    mistakes=[
        Mistake(
            "norms_train",
            frozen(norms=nothing),
            "No parameter of the body learns, and yet the body has changed: its batch norms were in training mode, so "
            "they wrote the new images' statistics into their running ones. If you called `eval()`: `fit` calls "
            "`model.train()` after you, which undoes it. The norms have to stay in evaluation mode through that.",
        ),
        Mistake(
            "no_momentum",
            frozen(norms=without_memory),
            "The running statistics stay, but in training mode the norms do not *use* them: they normalise by the "
            "batch. So the head is trained on features that it never sees in evaluation. The norms have to be in "
            "evaluation mode while the head learns.",
        ),
        Mistake(
            "outer_norms_only",
            frozen(norms=outer_norms_only),
            "Some norms still move: those deeper inside. `model.body.children()` gives only the first level; "
            "`model.body.modules()` goes all the way down.",
        ),
        Mistake(
            "hook_that_returns",
            frozen(norms=hook_that_returns),
            "Your hook returns something (`lambda norm, inputs: norm.eval()` returns the norm), and what a pre-hook "
            "returns takes the place of the inputs: the norm is given a module to normalise. Write a function that "
            "returns nothing.",
        ),
        Mistake(
            "module_attribute",
            module_attribute,
            "The norms keep their statistics, but every parameter still learns. If you wrote `requires_grad = False`: "
            "on a *module* that is a new attribute which nobody reads. Set it on each parameter, or call "
            "`requires_grad_(False)`, with its underscore, on the module.",
        ),
        Mistake(
            "neither",
            frozen(learns=lambda name: True, norms=nothing),
            "Nothing is frozen: all parameters learn, and the norms collect new statistics. If you wrote "
            "`requires_grad = False` on a *module*: that is a new attribute which nobody reads; call "
            "`requires_grad_(False)`, with its underscore. First the parameters of the body, then its norms.",
        ),
        Mistake(
            "head_too",
            frozen(learns=lambda name: False),
            "The head is frozen as well: nothing is left that could learn. (`adamw` would refuse; a loop of your own "
            "would run for hours.) Freeze all, then let the head learn again.",
        ),
        Mistake(
            "head_too_and_norms_train",
            frozen(learns=lambda name: False, norms=nothing),
            "Upside down in both halves: no parameter learns, the head's included, and the one thing that still moves "
            "is what should not, the norms' running statistics. Let the head learn again, and hold the norms in "
            "evaluation mode.",
        ),
        Mistake(
            "weight_only",
            frozen(learns=lambda name: name == "head.weight"),
            "The head's bias is frozen. It is a parameter of the head like the weight.",
        ),
        Mistake(
            "norms_learn",
            frozen(learns=lambda name: name.startswith("head.") or ".1." in name),
            "The norms' own weights and biases still learn: they are parameters, too. (Training only these is a method "
            "of its own; here the body is to stay as it is.)",
        ),
        Mistake(
            "upside_down",
            frozen(learns=lambda name: not name.startswith("head.")),
            "Upside down: the head is frozen and the body learns. A head of zeros would stay one for ever.",
        ),
    ],
    variants=[body_in_eval, norms_in_eval],
    solved="The frozen body is the same before and after, and the same in training and in evaluation.",
)

EXERCISES = [KEEP_BODY]
