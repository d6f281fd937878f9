"""Notebook 16: another head for a trained network."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, network


class Net(nn.Module):
    """A body and a head, as both of the notebook's networks have them."""

    def __init__(self, *, width: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.GELU())
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def with_zeros(layer: nn.Linear) -> nn.Linear:
    """The layer with weights and biases of zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def other_classes(model: nn.Module, num_classes: int) -> nn.Module:
    """A copy of the network whose head is for `num_classes` classes and starts at zero."""
    return replaced()(model, num_classes)


def zero_head(model: nn.Module, num_classes: int) -> nn.Module:
    return with_zeros(nn.Linear(model.head.in_features, num_classes).to(model.head.weight))


def replaced(
    *, copied: Callable[[nn.Module], nn.Module] = copy.deepcopy, head: Callable[[nn.Module, int], nn.Module] = zero_head
) -> Callable:
    """`other_classes` with one thing done otherwise."""

    def answer(model, num_classes):
        new = copied(model)
        new.head = head(model, num_classes)
        return new

    return answer


def looked_at(answer: Callable, model: nn.Module, num_classes: int, x: Tensor) -> dict:
    """Calls it, and looks at what came back and at what was given, which somebody else still uses."""
    before, old_head = copy.deepcopy(model.state_dict()), model.head
    new = network(answer(model, num_classes))
    if not isinstance(new, nn.Module):
        return new
    if not all(isinstance(getattr(new, part, None), nn.Module) for part in ("body", "head")):
        raise Complaint(
            f"What came back is a {type(new).__name__} that lacks `body` or `head`: whoever reads `model.head` finds "
            "nothing. Keep the network's own class, and put a new layer in the place of `head`."
        )
    head = dict(new.head.named_parameters())
    if lacks := [f"`head.{name}`" for name in ("weight", "bias") if name not in head]:
        has = ", ".join(f"`head.{name}` {tuple(p.shape)}" for name, p in head.items()) or "no parameters"
        raise Complaint(
            f"The new head has no {' and no '.join(lacks)}; what stands there is `{type(new.head).__name__}`, with "
            f"{has}. One `nn.Linear` with weight and bias is to take the old one's place."
        )
    body = {k: v for k, v in new.state_dict().items() if k.startswith("body.")}
    kept = [torch.equal(v, before.get(k, torch.empty(0))) for k, v in body.items()]
    own = {p.data_ptr() for p in model.body.parameters()}
    found = {
        "what came back": "the very network you were given" if new is model else "another network",
        "the head of the model you were given": "its own" if model.head is old_head else "replaced",
        "the body's weights": "as they were" if kept and all(kept) else "others",
        "the new network's body": "shared" if own & {p.data_ptr() for p in new.body.parameters()} else "its own",
    }
    found |= {f"head.{name}": p.detach().clone() for name, p in head.items()}
    found["parameters of the head that learn"] = sum(p.requires_grad for p in head.values())
    return found | {"logits": new.eval()(x).detach()}


def nets() -> list[tuple]:
    """More and fewer classes than before; one in float64; one that was frozen for a probe."""
    found = []
    for width, old, new, kind in ((5, 3, 2, torch.float32), (6, 2, 7, torch.float64), (3, 4, 4, torch.float32)):
        model = Net(width=width, classes=old).to(kind).eval().requires_grad_(len(found) < 2)
        found.append((model, new, torch.randn(3, 4, dtype=kind)))
    return found


def out_features_only(model: nn.Module, num_classes: int) -> nn.Module:
    """Wrong: the number is written over, the weights are not."""
    new = copy.deepcopy(model)
    new.head.out_features = num_classes
    return new


def stacked(model: nn.Module, num_classes: int) -> nn.Module:
    """Wrong: the new head reads the old logits."""
    last = with_zeros(nn.Linear(model.head.out_features, num_classes).to(model.head.weight))
    return nn.Sequential(copy.deepcopy(model.head), last)


def old_rows(model: nn.Module, num_classes: int) -> nn.Module:
    """Wrong: as many of the old classes' rows as there are, zeros for the rest."""
    head = zero_head(model, num_classes)
    count = min(num_classes, model.head.out_features)
    head.weight.data[:count], head.bias.data[:count] = model.head.weight[:count], model.head.bias[:count]
    return head


def body_too(model: nn.Module) -> nn.Module:
    """Wrong: the body starts anew as well."""
    new = copy.deepcopy(model)
    for module in new.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return new


def by_setattr(model: nn.Module, num_classes: int) -> nn.Module:
    model = copy.deepcopy(model)
    like = {"dtype": model.head.weight.dtype, "device": model.head.weight.device}
    head = nn.Linear(model.head.weight.shape[1], num_classes, **like)
    head.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in head.state_dict().items()})
    model.head = head
    return model


def by_parameters(model: nn.Module, num_classes: int) -> nn.Module:
    new = copy.deepcopy(model)
    new.head.out_features = num_classes
    new.head.weight = nn.Parameter(model.head.weight.new_zeros(num_classes, model.head.in_features))
    new.head.bias = nn.Parameter(model.head.weight.new_zeros(num_classes))
    return new


OTHER_CLASSES = Exercise(
    name="other_classes",
    notebook="16",
    title="A head for other classes",
    reference=other_classes,
    call=looked_at,
    probes=nets,
    axes={"logits": "B C", "head.weight": "C D", "head.bias": "C"},
    hints=[
        "Somebody else still holds the network that you are given: work on a copy. Which kind of copy has its own "
        "layers?",
        "A new `nn.Linear` needs two numbers: how many features come in, which the old head knows, and how many "
        "classes go out. It also needs the old head's dtype and device: `.to(old.weight)`.",
        "`nn.init.zeros_(tensor)` fills with zeros. Weight and bias.",
    ],
    mistakes=[
        Mistake(
            "in_place",
            replaced(copied=lambda model: model),
            "You changed the network that you were given: whoever loaded it for CIFAR-10 now has one without its ten "
            "classes, and two experiments that start from it share all weights. Work on a deep copy.",
        ),
        Mistake(
            "in_place_random",
            replaced(
                copied=lambda model: model,
                head=lambda model, n: nn.Linear(model.head.in_features, n).to(model.head.weight),
            ),
            "Two things. You changed the network that you were given: whoever loaded it for CIFAR-10 now has one "
            "without its ten classes. Work on a deep copy. And the new head starts from random weights: asked for is "
            "zero.",
        ),
        Mistake(
            "in_place_random_float32",
            replaced(copied=lambda model: model, head=lambda model, n: nn.Linear(model.head.in_features, n)),
            "Three things. You changed the network that you were given: work on a deep copy. The new head starts from "
            "random weights: asked for is zero. And it is float32 whatever the network is: give it the old head's "
            "dtype and device.",
        ),
        Mistake(
            "shallow",
            replaced(copied=copy.copy),
            "`copy.copy` makes a new outer shell around the same inner dictionary of layers: replace the head of one, "
            "and the other has it as well; train one, and the other moves. The copy has to be deep.",
        ),
        Mistake(
            "in_from_out",
            replaced(head=lambda model, n: with_zeros(nn.Linear(model.head.out_features, n).to(model.head.weight))),
            "The new head expects as many inputs as there were old *classes*. It takes the old one's place, so it is "
            "given features: `in_features` of the old head.",
        ),
        Mistake(
            "in_and_out_swapped",
            replaced(head=lambda model, n: with_zeros(nn.Linear(n, model.head.in_features).to(model.head.weight))),
            "In and out have changed places: `nn.Linear(in_features, out_features)`, and the features come in.",
        ),
        Mistake(
            "stacked",
            replaced(head=stacked),
            "The new head reads the old head's logits: only what tells the old classes apart comes through. It is to "
            "take the old one's place, and read the features.",
        ),
        Mistake(
            "out_features_only",
            out_features_only,
            "The head is still the old one, with the old classes. If you set `out_features`: that is a note which a "
            "Linear keeps about itself. If you gave the new layer another name: `forward` reads `head`. A new layer "
            "has to take its place.",
        ),
        Mistake(
            "random",
            replaced(head=lambda model, n: nn.Linear(model.head.in_features, n).to(model.head.weight)),
            "The new head starts from random weights, PyTorch's default. Asked for is zero: then all classes start "
            "equally likely, and the first step changes the head alone, as the gradient below passes through the "
            "head's weights.",
        ),
        Mistake(
            "float32",
            replaced(head=lambda model, n: with_zeros(nn.Linear(model.head.in_features, n))),
            "One of the networks computes in float64, and your head is float32 on the CPU whatever comes: on a GPU it "
            "would be on the wrong device just so. Give it the old head's dtype and device.",
        ),
        Mistake(
            "no_bias",
            replaced(
                head=lambda model, n: with_zeros(nn.Linear(model.head.in_features, n, bias=False).to(model.head.weight))
            ),
            "The new head has no bias. Without it no class can be likelier than another where the features are near 0.",
        ),
        Mistake(
            "bias_random",
            replaced(
                head=lambda model, n: (
                    (head := nn.Linear(model.head.in_features, n).to(model.head.weight)),
                    nn.init.zeros_(head.weight),
                )[0]
            ),
            "The weight starts at zero, the bias does not: some classes start likelier than others, at random.",
        ),
        Mistake(
            "frozen",
            replaced(head=lambda model, n: zero_head(model, n).requires_grad_(False)),
            "The new head does not learn: `requires_grad` is False, so it stays at zero and every class stays equally "
            "likely. Where you freeze, freeze before you put the new head in.",
        ),
        Mistake(
            "old_rows",
            replaced(head=old_rows),
            "The old classes' rows live on in the new head: class 0 starts as *airplane*. The new classes have "
            "nothing to do with the old ones of the same number. Start from zero.",
        ),
        Mistake(
            "body_too",
            replaced(copied=body_too),
            "The body's weights are others than those you were given: what was learned there is lost, and nothing is "
            "transferred. Copy the network with its weights, and make only the head anew.",
        ),
    ],
    variants=[by_setattr, by_parameters],
    solved="The network that you were given is as it was, and yours starts from its body.",
)

EXERCISES = [OTHER_CLASSES]
