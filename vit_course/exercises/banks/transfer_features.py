"""Notebook 16, the probe: what the head reads."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


class Net(nn.Module):
    """A body that ends in one vector an image, with a norm and dropout, and a head that has learned something."""

    def __init__(self, *, pool: str, classes: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.GELU(), nn.Dropout(0.2))
        self.pool = pool
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images)  # (B, C, H, W)
        return self.head(maps.amax(dim=(2, 3)) if self.pool == "max" else maps.mean(dim=(2, 3)))


def belongings(model: nn.Module) -> dict[str, tuple[set[str], int]]:
    """Of every module: its attributes, but for a method of its class that was put back, and how many hooks it has."""
    hooks = [key for key in vars(nn.Module()) if key.endswith("_hooks")]
    found = {}
    for name, module in model.named_modules(remove_duplicate=False):
        own, kind = vars(module), type(module)
        put_back = {key for key, value in own.items() if getattr(value, "__func__", None) is getattr(kind, key, ...)}
        found[name] = own.keys() - put_back, sum(len(own[key]) for key in hooks)
    return found


def left_over(before: dict[str, tuple[set[str], int]], after: dict[str, tuple[set[str], int]]) -> str:
    """What a model has that it had not, in words."""
    found = [f"the module `model.{name}`" for name in after if name not in before]
    for name in [name for name in after if name in before]:
        (had, hung), (has, hang), place = before[name], after[name], f"model.{name}".rstrip(".")
        found += [f"the attribute `{place}.{key}`" for key in sorted(has - had)]
        found += [f"{'a hook' if hang - hung == 1 else f'{hang - hung} hooks'} on `{place}`"] * (hang > hung)
    return " and ".join(found) or "nothing"


def after_training(answer: Callable, model: nn.Module, images: Tensor, batch_size: int) -> dict:
    """Called on a network that comes out of training; the network is looked at afterwards, too."""
    sizes: list[int] = []
    head = model.head
    model.train()
    model.body.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    before = belongings(model)
    features = answer(model, images, batch_size)
    if features is None:
        raise Complaint("Your function gives back `None`: is the `return` missing?")
    if is_blank(features):
        return features
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    left = left_over(before, belongings(model))
    last = getattr(model, "head", None)
    at_the_end = "its own" if last is head else "gone" if last is None else f"another (`{type(last).__name__}`)"
    for name in model._modules.keys() - before.keys():
        delattr(model, name)  # told below; it need not be told as a change in place
    model.head = head
    return {
        "features": features,
        "the features hold a graph": isinstance(features, Tensor) and features.requires_grad,
        "the model's head afterwards": at_the_end,
        "left on the model": left,
        "parameters that no longer learn": len(frozen),
        "largest batch": max(sizes, default=0),
        "images shown": sum(sizes),
    }


def nets() -> list[tuple]:
    """Batches that fit and that do not, both poolings, more and fewer classes than features."""
    cases = [("max", 3, 5, 6, 3), ("mean", 7, 4, 7, 3), ("max", 2, 6, 4, 10)]
    return [(Net(pool=p, classes=c, width=w), torch.randn(n, 3, 5, 6), batch) for p, c, w, n, batch in cases]


@torch.no_grad()
def features_before_head(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """What `model.head` is given for each image: (N, 3, H, W) -> (N, D), in evaluation mode, without a graph."""
    return caught(model, images, batch_size)


def caught(
    model: nn.Module,
    images: Tensor,
    batch_size: int,
    *,
    mode: bool = False,
    what: Callable[[Tensor, Tensor], Tensor] = lambda inputs, logits: inputs,
    remove: bool = True,
) -> Tensor:
    """`features_before_head` with one thing done otherwise; with a graph, unless the caller says not."""
    kept: list[Tensor] = []
    hook = model.head.register_forward_hook(lambda _, inputs, logits: kept.append(what(inputs[0], logits)))
    model.train(mode)
    for start in range(0, len(images), batch_size):
        model(images[start : start + batch_size])
    if remove:
        hook.remove()
    return torch.cat(kept)


def wrong(**changes: object) -> Callable:
    """A known mistake: `caught` with these changes."""

    @torch.no_grad()
    def answer(model, images, batch_size):
        return caught(model, images, batch_size, **changes)

    return answer


def with_graph(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    return caught(model, images, batch_size)


@torch.no_grad()
def all_at_once(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    return caught(model, images, len(images))


@torch.no_grad()
def full_batches_only(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    return caught(model, images[: max(len(images) // batch_size, 1) * batch_size], batch_size)


@torch.no_grad()
def last_batch_only(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    found = caught(model, images, batch_size)
    return found[(len(images) - 1) // batch_size * batch_size :]


@torch.no_grad()
def head_taken_off(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    model.eval()
    model.head = nn.Identity()
    return torch.cat([model(batch) for batch in images.split(batch_size)])


def pooled_by_hand(pool: Callable[[Tensor], Tensor]) -> Callable:
    """Wrong: around the network's own `forward`, with a pooling of one's own."""

    @torch.no_grad()
    def answer(model, images, batch_size):
        model.eval()
        return torch.cat([pool(model.body(batch)) for batch in images.split(batch_size)])

    return answer


def left_frozen(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    return caught(model.requires_grad_(False), images, batch_size)


@torch.no_grad()
def a_hook_each_batch(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    found: list[Tensor] = []
    model.eval()
    for batch in images.split(batch_size):
        hook = model.head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
        model(batch)
    hook.remove()
    return torch.cat(found)


def head_aside(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    head, model.head = model.head, nn.Identity()
    model.eval()
    with torch.inference_mode():
        found = [model(images[i : i + batch_size]) for i in range(0, len(images), batch_size)]
    model.head = head
    return torch.vstack(found)


def by_pre_hook(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    found = []
    handle = model.head.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0].detach()))
    model.eval()
    for batch in torch.split(images, batch_size):
        model(batch)
    handle.remove()
    return torch.cat(found, dim=0)


FEATURES_BEFORE_HEAD = Exercise(
    name="features_before_head",
    notebook="16",
    title="What the head reads",
    reference=features_before_head,
    call=after_training,
    probes=nets,
    axes={"features": "N D", "images": "N C H W"},
    hints=[
        "Four things: evaluation mode, no graph, batches of `batch_size` (the last may be smaller), and a way to get "
        "at the numbers in front of the head.",
        "Two ways to get at them. A hook: `model.head.register_forward_pre_hook(f)` calls `f(module, inputs)` with a "
        "tuple of inputs; the handle it returns has `.remove()`. Or put `nn.Identity()` in the place of the head.",
        "Leave the model as you found it: hook removed, or head put back.",
    ],
    mistakes=[
        Mistake(
            "no_eval",
            wrong(mode=True),
            "The model is still in training mode: dropout strikes numbers out at random, and batch norm uses the "
            "statistics of the batch that happens to be there, so an image's features depend on its neighbours. "
            "It also writes them into its running statistics: the network is changed by looking. Evaluation mode "
            "first.",
        ),
        Mistake(
            "no_eval_with_graph",
            lambda model, images, batch_size: caught(model, images, batch_size, mode=True),
            "Two things are missing. The model is in training mode, so features depend on dropout and on the other "
            "images of the batch. And every feature holds on to the graph that made it. Evaluation mode, and no graph.",
        ),
        Mistake(
            "with_graph",
            with_graph,
            "The values are right, but each feature still holds the graph that made it: the maps of all layers of all "
            "images stay in memory, and a probe trained on them would send gradients into the network. Switch "
            "gradients off while you collect.",
        ),
        Mistake(
            "logits",
            wrong(what=lambda inputs, logits: logits),
            "These are the head's outputs, one number for each *old* class. What does not help to tell the old "
            "classes apart has been thrown away there. You want what goes into the head.",
        ),
        Mistake(
            "mean_by_hand",
            pooled_by_hand(lambda maps: maps.mean(dim=(2, 3))),
            "You went around the network's own `forward` and took the mean over the places. Some networks take the "
            "maximum there, a ViT may take a token: then these are not the numbers that the head reads. Let the "
            "network run as it is, and look at what arrives.",
        ),
        Mistake(
            "maximum_by_hand",
            pooled_by_hand(lambda maps: maps.amax(dim=(2, 3))),
            "You went around the network's own `forward` and took the maximum over the places. This network has "
            "another pooling. Let it run as it is, and look at what arrives at the head.",
        ),
        Mistake(
            "head_taken_off",
            head_taken_off,
            "The features are right, but the model has lost its head: from now on it answers with features instead of "
            "logits, for everybody who holds it. Put the head back.",
        ),
        Mistake(
            "hook_left",
            wrong(remove=False),
            "The features are right, but your hook is still on the head: it goes on collecting at every call, for as "
            "long as the model lives, and memory fills. The handle that `register_…` returned removes it.",
        ),
        Mistake(
            "a_hook_each_batch",
            a_hook_each_batch,
            "Some images are there more than once: you register a hook for each batch, and the earlier ones still "
            "collect. Register once, before the loop, and remove it after.",
        ),
        Mistake(
            "left_frozen",
            left_frozen,
            "The features are right, but the model's parameters have `requires_grad` False now, so whoever fine-tunes "
            "it later trains nothing. `torch.no_grad()` spares the graph and leaves the model alone.",
        ),
        Mistake(
            "all_at_once",
            all_at_once,
            "All images went through at once. With six that is fine; with 8,000 the maps of the first layer alone need "
            "gigabytes. Go in batches of `batch_size`.",
        ),
        Mistake(
            "full_batches_only",
            full_batches_only,
            "The last, smaller batch is missing: these images have labels and no features. Let the loop go on to the "
            "end.",
        ),
        Mistake(
            "last_batch_only",
            last_batch_only,
            "Only the last batch is left: each one has overwritten the one before. Collect them in a list, and join "
            "them at the end.",
        ),
    ],
    variants=[head_aside, by_pre_hook],
    solved="It works for a VGG and for a ViT alike: the head's input is there in both.",
)

EXERCISES = [FEATURES_BEFORE_HEAD]
