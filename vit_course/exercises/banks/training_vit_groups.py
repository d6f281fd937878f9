"""Notebook 13, second part: weight decay in a Vision Transformer."""

from collections.abc import Callable

import torch
from torch import nn

from vit_course.exercises.banks.training_decay import decay_by_name, groups_where
from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank

SPARED = ("cls_token", "pos_embed")


class Tiny(nn.Module):
    """A ViT's parameters under timm's names; it is only looked at."""

    def __init__(self, dim: int, tokens: int, kernel: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, kernel, kernel)})
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"norm1": nn.LayerNorm(dim, eps=1e-6), "qkv": nn.Linear(dim, 3 * dim)}) for _ in range(2)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, 5)


def vit_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Matrices and kernels decay; all with one axis, the class token and the positions do not; frozen in neither."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in learning if p.ndim >= 2 and not name.endswith(SPARED)]
    plain = [p for name, p in learning if p.ndim < 2 or name.endswith(SPARED)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def networks() -> list[tuple]:
    """A ViT, one whose patch embedding is frozen, and one inside another module, beside a stem."""
    frozen = Tiny(6, 10, 2)
    frozen.patch_embed.requires_grad_(False)
    return [
        (Tiny(4, 5, 4), 0.05),
        (frozen, 0.1),
        (nn.ModuleDict({"stem": nn.Conv2d(3, 3, 3), "vision": Tiny(4, 17, 2)}), 0.2),
    ]


def each_once(answer: Callable, model: nn.Module, weight_decay: float) -> object:
    """The decay of each parameter; one that stands there twice would be moved twice, one that stands nowhere never."""
    seen: list[object] = []

    def watched(*args: object) -> object:
        groups = answer(*args)
        seen.append(groups)
        return groups

    found = decay_by_name(watched, model, weight_decay)
    if is_blank(found):
        return found
    lists = [group["params"] for group in seen[0]]
    params = [id(p) for one in lists if isinstance(one, list | tuple) for p in one]
    if len(set(params)) < len(params):
        raise Complaint(
            "A parameter is in your groups more than once: the optimiser would move it that many times. Modules hold "
            "modules, so a walk over `model.modules()` meets it again in each; `model.named_parameters()` has it once."
        )
    missing = [f"`{name}`" for name, p in model.named_parameters() if p.requires_grad and name not in found]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise Complaint(f"No group holds {', '.join(missing[:4])}{more}: the optimiser never moves what is in none.")
    return {f"decay of {name}": decay for name, decay in found.items()}


def right(name: str, p: nn.Parameter) -> bool:
    return p.ndim >= 2 and not name.endswith(SPARED)


def by_module(model: nn.Module, weight_decay: float) -> list[dict]:
    """Right: what layers with a matrix own decays, whatever it is called."""
    chosen = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    return groups_where(lambda _, p: id(p) in chosen)(model, weight_decay)


def one_a_parameter(model: nn.Module, weight_decay: float) -> list[dict]:
    return [
        {"params": [p], "weight_decay": weight_decay if p.ndim in (2, 4) else 0}
        for p in model.parameters()
        if p.requires_grad
    ]


VIT_GROUPS = Exercise(
    name="vit_groups",
    notebook="13",
    title="What decays in a ViT",
    reference=vit_groups,
    call=each_once,
    probes=networks,
    result="weight_decay",
    hints=[
        "Notebook 04's rule was: two axes or more decay. Print names and shapes of a ViT's parameters: which two have "
        "more than one axis and are no matrix?",
        'The class token is (1, 1, D), the positions are (1, N, D). Go by name: `name.endswith("pos_embed")`. '
        "`patch_embed.proj.weight` ends otherwise, and should decay.",
        "`model.named_parameters()` gives pairs; put the parameters, not the names, into the lists. Leave out those "
        "with `requires_grad == False`.",
    ],
    mistakes=[
        Mistake(
            "by_axes",
            groups_where(lambda _, p: p.ndim >= 2),
            "Notebook 04's rule is not enough here: the class token and the positions have three axes, so they decay. "
            "They are no matrices that something is multiplied by, but vectors of their own. Pulled towards 0, the "
            "network slowly forgets who is whose neighbour.",
        ),
        Mistake(
            "positions_decay",
            groups_where(lambda name, p: p.ndim >= 2 and not name.endswith("cls_token")),
            "The class token is spared, the positions are not. They are added to every patch; decay makes all places "
            "more alike.",
        ),
        Mistake(
            "token_decays",
            groups_where(lambda name, p: p.ndim >= 2 and not name.endswith("pos_embed")),
            "The positions are spared, the class token is not. It is a vector as well, learned from the first step on.",
        ),
        Mistake(
            "by_embed",
            groups_where(lambda name, p: p.ndim >= 2 and "embed" not in name and "token" not in name),
            'You look for "embed" in the name. That finds `pos_embed`, and `patch_embed.proj.weight` too: the first '
            "matrix of the network, which should decay like any other. Ask for the end of the name.",
        ),
        Mistake(
            "whole_name",
            groups_where(lambda name, p: p.ndim >= 2 and name not in SPARED),
            "You compare whole names, or their beginnings: inside a larger model the positions are called "
            "`vision.pos_embed`, and your rule no longer knows them. Ask how the name ends.",
        ),
        Mistake(
            "linear_only",
            groups_where(lambda name, p: p.ndim == 2),
            "Only what has exactly two axes decays. The patch embedding is a convolution, so its kernel has four. It "
            "is a matrix all the same: (D, C·P·P), as in notebook 07.",
        ),
        Mistake(
            "by_bias",
            groups_where(lambda name, p: "bias" not in name and not name.endswith(SPARED)),
            "The scales of the norms decay: they are called `weight` and have one axis. At 0 such a norm would silence "
            "its whole branch.",
        ),
        Mistake(
            "everything",
            groups_where(lambda *_: True),
            "Everything decays, as with `torch.optim.AdamW(model.parameters())`: biases, norms, class token, positions "
            "too. Only matrices and kernels should.",
        ),
        Mistake(
            "plain_adamw",
            groups_where(lambda *_: True, only_learning=False),
            "One group with all parameters, frozen ones as well: that is AdamW without groups. Biases, norms, class "
            "token and positions should not decay, and what is frozen should not be there.",
        ),
        Mistake(
            "exchanged",
            groups_where(lambda name, p: not right(name, p)),
            "The two groups are the wrong way round: tokens, biases and norms decay, the matrices do not.",
        ),
        Mistake(
            "rest_forgotten",
            lambda model, weight_decay: vit_groups(model, weight_decay)[:1],
            "Norms, biases, class token and positions are in no group, so the optimiser never moves them. They "
            "belong into a second group, with decay 0.0.",
        ),
        Mistake(
            "default_decay",
            lambda model, weight_decay: [
                vit_groups(model, weight_decay)[0],
                {"params": vit_groups(model, weight_decay)[1]["params"]},
            ],
            "The second group names no decay, and AdamW's own default is 0.01, not 0. Write it down.",
        ),
        Mistake(
            "frozen_too",
            groups_where(right, only_learning=False),
            "A frozen patch embedding is in your groups. It has no gradient, so it stays; but it should not be in the "
            "optimiser at all.",
        ),
        Mistake(
            "frozen_in_the_rest",
            lambda model, weight_decay: [
                vit_groups(model, weight_decay)[0],
                {
                    "params": [p for n, p in model.named_parameters() if not (p.requires_grad and right(n, p))],
                    "weight_decay": 0.0,
                },
            ],
            "What is frozen does not decay, but it stands in your second group, which takes all that is left over. It "
            "should be in neither: ask for `requires_grad` first, and sort the rest.",
        ),
    ],
    variants=[by_module, one_a_parameter],
    solved="`parameter_groups` of the package does this by name, and asks a model for further names of its own.",
)

EXERCISES = [VIT_GROUPS]
