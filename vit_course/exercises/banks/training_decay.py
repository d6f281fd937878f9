"""Notebook 04, fifth part: which parameters decay."""

from collections.abc import Callable

import torch
from torch import nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Matrices and kernels with weight decay, everything one-dimensional without; frozen parameters in neither."""
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]


def decay_by_name(answer: Callable, model: nn.Module, weight_decay: float) -> object:
    """Each parameter's decay, as AdamW reads it from the groups."""
    groups = answer(model, weight_decay)
    if is_blank(groups):
        return groups
    if not (isinstance(groups, tuple | list) and all(isinstance(g, dict) and "params" in g for g in groups)):
        raise Complaint("Return a list of dicts, each with the keys `params` and `weight_decay`.")
    filled = [{**group, "params": list(group["params"])} for group in groups]
    filled = [group for group in filled if group["params"]]
    if not filled:
        raise Complaint("There is no parameter in your groups.")
    names = {id(p): name for name, p in model.named_parameters()}
    if any(id(p) not in names for group in filled for p in group["params"]):
        raise Complaint(
            "`params` holds something that is no parameter of the model. Put in the parameters themselves: not their "
            "names, and no pairs."
        )
    optimizer = torch.optim.AdamW(filled, lr=1e-3)
    decay = {names[id(p)]: float(group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    return {name: decay[name] for name in names.values() if name in decay}


def networks() -> list[tuple]:
    """A network with norms, the same with numbers as names, and one of which a part is frozen."""
    named = nn.Sequential()
    for name, layer in (("conv", nn.Conv2d(3, 4, 3)), ("norm", nn.BatchNorm2d(4)), ("head", nn.Linear(4, 2))):
        named.add_module(name, layer)
    numbered = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4, eps=1e-6), nn.Linear(4, 2, bias=False))
    frozen = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    frozen[0].requires_grad_(False)
    return [(named, 0.1), (numbered, 0.05), (frozen, 0.2)]


def groups_where(decayed: Callable, only_learning: bool = True) -> Callable:
    """`decay_groups` with another rule: (name, parameter) -> whether it decays."""

    def answer(model, weight_decay):
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad or not only_learning]
        return [
            {"params": [p for name, p in named if decayed(name, p)], "weight_decay": weight_decay},
            {"params": [p for name, p in named if not decayed(name, p)], "weight_decay": 0.0},
        ]

    return answer


def by_layer(model: nn.Module, weight_decay: float) -> list[dict]:
    """Right: by the kind of layer, one group a parameter, the undecayed ones first."""
    found = []
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            if p.requires_grad:
                plain = name == "bias" or isinstance(module, nn.LayerNorm | nn.BatchNorm2d)
                found.append({"weight_decay": 0 if plain else weight_decay, "params": [p]})
    return found[::-1]


def linear_weights(model: nn.Module, weight_decay: float) -> list[dict]:
    chosen = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    return groups_where(lambda _, p: id(p) in chosen)(model, weight_decay)


DECAY_GROUPS = Exercise(
    name="decay_groups",
    notebook="04",
    title="Which parameters decay",
    reference=decay_groups,
    call=decay_by_name,
    probes=networks,
    result="weight_decay",
    hints=[
        "Two lists of parameters. What do the kernels of a convolution and the matrix of a linear layer have in "
        "common, that no bias and no scale of a norm has?",
        "The number of axes, `p.ndim`: 4 for a kernel, 2 for a matrix, 1 for biases and for everything in a norm.",
        'Wanted is `[{"params": […], "weight_decay": weight_decay}, {"params": […], "weight_decay": 0.0}]`. '
        "A frozen parameter has `p.requires_grad == False`; it goes nowhere.",
    ],
    mistakes=[
        Mistake(
            "by_bias",
            groups_where(lambda name, _: "bias" not in name),
            "The biases are spared, but a norm has a `weight` too: its scale, which starts at 1. Decay pulls it "
            "towards 0, and with it the whole layer's output. Look at the shape, not at the name.",
        ),
        Mistake(
            "by_norm_name",
            groups_where(lambda name, _: "bias" not in name and "norm" not in name),
            "You look for “norm” in the name. In an `nn.Sequential` a norm is called “1”, and your rule decays it. The "
            "number of axes does not depend on names.",
        ),
        Mistake(
            "everything",
            groups_where(lambda *_: True),
            "Everything decays, biases and norms as well. For a weight, nearer to 0 means a simpler function; for "
            "the scale of a norm or a bias, 0 is no simpler than another value.",
        ),
        Mistake(
            "exchanged",
            groups_where(lambda _, p: p.ndim < 2),
            "The groups have changed places: biases and norms decay, matrices and kernels do not.",
        ),
        Mistake(
            "rest_forgotten",
            lambda model, weight_decay: decay_groups(model, weight_decay)[:1],
            "An optimiser moves only what stands in its groups. Biases and norms are in none, so they never learn. "
            "They need a group of their own, with decay 0.",
        ),
        Mistake(
            "default_decay",
            lambda model, weight_decay: [
                decay_groups(model, weight_decay)[0],
                {"params": decay_groups(model, weight_decay)[1]["params"]},
            ],
            "Your second group does not say what its decay is, so AdamW takes its own default, 0.01. Say 0.0.",
        ),
        Mistake(
            "frozen_too",
            groups_where(lambda _, p: p.ndim >= 2, only_learning=False),
            "Frozen parameters are in your groups. They get no gradient, so today nothing happens; but whoever "
            "counts what is trained, counts them too. Leave out what does not ask for a gradient.",
        ),
        Mistake(
            "linear_only",
            linear_weights,
            "Only linear layers decay. The kernel of a convolution is a weight as well: in a CNN it is nearly all of "
            "them.",
        ),
        Mistake(
            "four_axes",
            groups_where(lambda _, p: p.ndim > 2),
            "Kernels decay, and the matrices of linear layers, with two axes, do not. They should.",
        ),
    ],
    variants=[by_layer, groups_where(lambda _, p: len(p.shape) > 1)],
    solved="The course's `parameter_groups` is this, with a few names more for Vision Transformers.",
)

EXERCISES = [DECAY_GROUPS]
