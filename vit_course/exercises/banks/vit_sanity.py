"""Notebook 11, last part: patches that no answer depends on."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake


class Reader(nn.Module):
    """Reads some patches of an image and not others.

    `difference`: only how two pixels of a patch differ; `corner`: one pixel of each patch, the darker the more;
    `blue`: the last channel; `gated`: patch 0 in bright images alone, the last in dark ones; `balanced`: logits that
    add up to 0; `certain`: the number of a logit that is 9, whatever the image.
    """

    def __init__(self, C: int, H: int, W: int, P: int, ignored: tuple[int, ...], **how: int) -> None:
        super().__init__()
        self.P, self.how = P, how
        kept = [i for i in range((H // P) * (W // P)) if i not in ignored]
        self.register_buffer("kept", torch.tensor(kept))
        self.linear = nn.Linear(len(kept) * C * P * P, 4)
        if how.get("corner"):
            self.linear.weight.data.abs_(), self.linear.bias.data.abs_()

    def forward(self, images: Tensor) -> Tensor:
        patches = nn.functional.unfold(images, self.P, stride=self.P)[:, :, self.kept]  # (B, C·P·P, patches)
        if self.how.get("difference"):
            patches = torch.cat([patches[:, :1] - patches[:, 1:2], patches[:, 2:] * 0, patches[:, :1] * 0], dim=1)
        if self.how.get("blue"):
            patches = patches[:, -(self.P**2) :].repeat(1, 3, 1)
        if self.how.get("corner"):
            patches = torch.cat([patches[:, :-1] * 0, 1 - patches[:, -1:]], dim=1)
        if self.how.get("gated"):
            bright = (images.mean((1, 2, 3), keepdim=True) > 1).flatten()
            first, last = patches[..., :1] * bright[:, None, None], patches[..., -1:] * ~bright[:, None, None]
            patches = torch.cat([first, patches[..., 1:-1], last], dim=2)
        logits = self.linear(patches.flatten(1))
        if "certain" in self.how:
            logits = logits * (torch.arange(4) != self.how["certain"]) + 9 * (torch.arange(4) == self.how["certain"])
        return logits - logits.mean(1, keepdim=True) if self.how.get("balanced") else logits


def readers() -> list[tuple]:
    """Networks and images that are not square: some patches ignored, none, all but a few, and awkward readers."""
    found = []
    for (B, C, H, W, P), ignored, how in (
        ((2, 1, 4, 6, 2), (1, 5), {}),
        ((1, 3, 6, 4, 2), (), {"balanced": True}),
        ((2, 3, 6, 9, 3), (0, 2, 3), {"difference": True}),
        ((3, 2, 4, 8, 2), (6,), {"gated": True}),
        ((1, 3, 4, 6, 2), (0, 3), {"corner": True}),
        ((1, 3, 2, 4, 2), (1,), {"blue": True, "certain": 3}),
        ((2, 3, 2, 6, 2), (2,), {"certain": 0}),
    ):
        images = torch.rand(B, C, H, W)
        images[-1] += 2 * (B > 1)  # one bright image, the last
        found.append((Reader(C, H, W, P, ignored, **how), images, P))
    return found


def unread_patches(model: nn.Module, images: Tensor, patch_size: int) -> list[int]:
    """Numbers of the patches that no logit of any image depends on."""
    return by_gradient()(model, images, patch_size)


def looked_at(answer: Callable, model: nn.Module, images: Tensor, patch_size: int) -> object:
    """Call the answer, and see that the images are as they were: wanting no gradient, and without one."""
    numbers = answer(model, images, patch_size)
    if images.requires_grad or images.grad is not None:
        raise Complaint("The caller's images want a gradient from now on: work on a copy, as `images.clone()` makes.")
    return numbers


def cut_anew(model: nn.Module, images: Tensor, patch_size: int) -> list[int]:
    images = images.clone().requires_grad_()
    model(images).square().sum().backward()
    rows = images.grad.abs().amax((0, 1)).reshape(-1, patch_size**2)
    return (rows.amax(1) == 0).nonzero().flatten().tolist()


def no_gradient_wanted(model: nn.Module, images: Tensor, patch_size: int) -> Tensor:
    images = images.clone()
    model(images).square().sum().backward()
    return images.grad.abs()


def by_gradient(
    of: Callable[[Tensor], Tensor] = lambda logits: logits.square().sum(),
    over: Callable[[Tensor], Tensor] = lambda g: g.abs().amax((0, 1)),
    within: Callable[[Tensor], Tensor] = lambda p: p.amax((1, 3)),
    number: Callable[[Tensor], Tensor] = lambda grid: grid.flatten(),
    wanted: Callable[[Tensor], Tensor] = lambda seen: seen == 0,
    start: int = 0,
) -> Callable:
    """`unread_patches` with one step done otherwise."""

    def answer(model, images, patch_size):
        images = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(of(model(images)), images)
        pixels = over(gradient)  # (H, W)
        H, W = pixels.shape
        grid = within(pixels.reshape(H // patch_size, patch_size, W // patch_size, patch_size))
        return [i + start for i in wanted(number(grid)).nonzero().flatten().tolist()]

    return answer


def by_trying(model: nn.Module, images: Tensor, patch_size: int) -> list[int]:
    """Right: each patch painted over in turn, and the answers compared."""
    P, found = patch_size, []
    rows, columns = images.shape[2] // P, images.shape[3] // P
    with torch.no_grad():
        before = model(images)
        for i in range(rows * columns):
            row, column = divmod(i, columns)
            painted = images.clone()
            patch = painted[:, :, row * P : row * P + P, column * P : column * P + P]
            patch += 0.1 * torch.randn_like(patch)
            if torch.equal(model(painted), before):
                found.append(i)
    return found


def by_jacobian(model: nn.Module, images: Tensor, patch_size: int) -> list[int]:
    """Right: the gradient of every logit, patches cut by unfold."""
    jacobian = torch.autograd.functional.jacobian(lambda x: model(x).sum(0), images)  # (classes, B, C, H, W)
    patches = nn.functional.unfold(jacobian.abs().sum((0, 1))[None], patch_size, stride=patch_size)
    return [i for i, total in enumerate(patches.sum((0, 1))) if not total]


UNREAD_PATCHES = Exercise(
    name="unread_patches",
    notebook="11",
    title="Find the patches that no answer depends on",
    reference=unread_patches,
    call=looked_at,
    probes=readers,
    result="numbers",
    axes={"images": "B C H W"},
    hints=[
        "What the logits depend on has a gradient. Let the images want one (`images = images.clone().requires_grad_()`)"
        ", make one number of all logits, and go backward.",
        "Why not add the logits up? After a softmax their sum is 1 whatever the image, and its gradient 0. Add up "
        "their squares.",
        "`images.grad` is (B, C, H, W). Take the largest absolute value over images and channels, then over each patch:"
        " `reshape(rows, P, columns, P)`, as in `patchify`. A patch is unread where 0 is left.",
    ],
    mistakes=[
        Mistake(
            "read_ones",
            by_gradient(wanted=lambda seen: seen > 0),
            "You list the patches that *are* read. Wanted are the others: for a sound network the list is empty.",
        ),
        Mistake(
            "columns",
            by_gradient(number=lambda grid: grid.T.flatten()),
            "You number the patches down the columns. They count row by row, from the top left, as in `patchify`.",
        ),
        Mistake(
            "from_one",
            by_gradient(start=1),
            "The right patches, counted from 1. As everywhere in Python, the first is 0.",
        ),
        Mistake(
            "sum_of_logits",
            by_gradient(of=lambda logits: logits.sum()),
            "You go backward from the sum of the logits. For a network whose outputs always add up to the same, as "
            "after a softmax, that sum depends on nothing, and every patch looks unread. Make a number of them in "
            "which they cannot cancel.",
        ),
        Mistake(
            "cancelled_in_the_patch",
            by_gradient(over=lambda g: g.sum((0, 1)), within=lambda p: p.sum((1, 3))),
            "Positive and negative influences of a patch cancel in what you do, as in a sum of gradients, or when all "
            "its pixels get brighter alike: a network that looks at differences between pixels, as edge detectors do, "
            "seems to be blind. Take absolute values first.",
        ),
        Mistake(
            "largest_with_sign",
            by_gradient(over=lambda g: g.amax((0, 1))),
            "You look for the largest gradient, and negative ones are smaller than 0: a patch with negative ones and "
            "zeros seems unread. Take absolute values first.",
        ),
        Mistake(
            "first_class",
            by_gradient(of=lambda logits: logits[:, 0].square().sum()),
            "You look at the first class alone. A patch that only another class depends on is read too.",
        ),
        Mistake(
            "best_class",
            by_gradient(of=lambda logits: logits.amax(1).sum()),
            "You look at the most probable class alone. A patch that only another class depends on is read too.",
        ),
        Mistake(
            "first_image",
            by_gradient(over=lambda g: g[0].abs().amax(0)),
            "You look at the first image alone. A network may read a patch in one image and not in another; unread is "
            "what it reads in none.",
        ),
        Mistake(
            "any_pixel",
            by_gradient(within=lambda p: p.amin((1, 3))),
            "You report a patch as soon as *one* of its pixels has no influence (or, by a threshold, a small one). It "
            "is unread only if none has any.",
        ),
        Mistake(
            "any_number",
            by_gradient(over=lambda g: g.abs().amin((0, 1)), within=lambda p: p.amin((1, 3))),
            "You report a patch as soon as *one* number of its gradient is 0: one pixel, in one channel of one image. "
            "It is unread only if all are.",
        ),
        Mistake(
            "cut_anew",
            cut_anew,
            "`reshape(-1, P * P)` cuts the picture into stretches of its rows of pixels, not into squares. Give rows "
            "and columns of patches axes of their own, as in `patchify`.",
        ),
        Mistake(
            "no_gradient_wanted",
            no_gradient_wanted,
            "The images have no gradient, `.grad` is None. Only a tensor that was asked to gets one, by "
            "`requires_grad_()`; and it has to be the very tensor that goes into the model.",
        ),
        Mistake(
            "first_channel",
            by_gradient(over=lambda g: g[:, 0].abs().amax(0)),
            "You look at the red channel alone. A patch whose blue is read is read.",
        ),
    ],
    variants=[by_trying, by_jacobian],
    solved="A check that no shape and no loss can replace: does the whole image arrive?",
)

EXERCISES = [UNREAD_PATCHES]
