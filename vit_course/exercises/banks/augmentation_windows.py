"""Notebook 15: which windows of the padded images an answer gave back, read off its results."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.contract import a
from vit_course.exercises.core import Complaint, is_blank

# The answers draw random numbers, each in its own way. So what is compared is not the crops but properties that hold
# for every right answer: which windows of the padded image come back, over many calls.

CALLS = 40


def batches_to_crop() -> list[tuple]:
    """(images, padding): pixels that all differ and are never 0, the colour of the border; no square image."""
    sizes = [(4, 2, 4, 6, 1), (6, 3, 7, 5, 2), (5, 1, 6, 9, 3)]
    return [((torch.randperm(b * c * h * w) + 1).float().reshape(b, c, h, w), p) for b, c, h, w, p in sizes]


def crop_properties(answer: Callable, images: Tensor, padding: int) -> object:
    """Which windows come back, over many calls: the first property that is amiss is what the learner reads."""
    results = []
    for _ in range(CALLS):
        given = images.clone()
        try:
            result = answer(given, padding)
        except RuntimeError as error:  # its text has sizes in it that depend on the dice
            if "equal size" not in str(error):
                raise
            raise Complaint("Your windows differ in size, so they cannot be stacked.") from None
        if is_blank(result):
            return result
        if not torch.equal(given, images):
            raise Complaint("The images that you were given are changed.")
        if not isinstance(result, Tensor):
            raise Complaint(f"You returned {a(result)}, expected a torch tensor like `images`.")
        if result.shape != images.shape or result.dtype != images.dtype:
            raise Complaint(f"You returned {shown(result)}, expected {shown(images)}, like `images`.")
        results.append(result)
    many = torch.stack(results)  # (calls, B, C, H, W)
    reach = 2 * padding + 1  # further than any shift should go
    down, right, found = windows(many, images, reach)
    if not found.all():
        raise Complaint(f"Images come back {oddity(many, images, padding)}, not as windows of the padded images.")
    return {
        "every call decides the same": bool((down == down[0]).all() and (right == right[0]).all()),
        "images of one batch can differ in their rows": bool((down != down[:, :1]).any()),
        "images of one batch can differ in their columns": bool((right != right[:, :1]).any()),
        "shifts of the rows": span(down),
        "shifts of the columns": span(right),
        "different shifts of the rows": len(down.unique()),
        "different shifts of the columns": len(right.unique()),
        "rows and columns are shifted independently": bool((down != right).any() and (down != -right).any()),
    }


def windows(many: Tensor, images: Tensor, reach: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each image of each call: how far its window lies down and right, and whether it is a window at all."""
    H, W = images.shape[2:]
    padded = F.pad(images, (reach,) * 4)
    down, right = (torch.zeros(many.shape[:2], dtype=torch.int64) for _ in range(2))
    found = torch.zeros(many.shape[:2], dtype=torch.bool)
    for d in range(-reach, reach + 1):
        for r in range(-reach, reach + 1):
            window = padded[:, :, reach + d : reach + d + H, reach + r : reach + r + W]
            same = (many == window).flatten(2).all(2)
            down[same], right[same], found[same] = d, r, True
    return down, right, found


def span(shifts: Tensor) -> str:
    return f"{int(shifts.min())} … {int(shifts.max())}" if shifts.any() else "none"


def oddity(many: Tensor, images: Tensor, padding: int) -> str:
    """What came instead of windows, to be read after "Images come back …"."""
    for mode in ("reflect", "replicate", "circular"):
        bordered = F.pad(images, (padding,) * 4, mode=mode)
        if all(is_window(result, bordered) for result in many):
            return {"circular": "with what was pushed out at the other side"}.get(
                mode, "with a border that is not black"
            )
    if all(
        is_window(r[:, c : c + 1], F.pad(images[:, c : c + 1], (padding,) * 4)) for r in many for c in range(r.shape[1])
    ):
        return "with their colours shifted apart"
    padded = F.pad(images, (padding,) * 4)
    if all(any(is_window(image[None], other[None]) for other in padded) for image in many[0]):
        return "in other places of the batch"
    return "with other pixels than a window has"


def is_window(result: Tensor, padded: Tensor) -> bool:
    """Whether each image of `result` is a window of its padded image."""
    H, W = result.shape[2:]
    all_windows = padded.unfold(2, H, 1).unfold(3, W, 1)  # (B, C, rows, columns, H, W)
    same = (all_windows == result[:, :, None, None]).all(-1).all(-1).all(1)  # (B, rows, columns)
    return bool(same.flatten(1).any(1).all())


def shown(images: Tensor) -> str:
    return f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"


EXERCISES = []
