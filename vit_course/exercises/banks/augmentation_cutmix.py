"""Notebook 15: CutMix, the box and the labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.banks.augmentation_boxes import (
    Box,
    area,
    batches_to_cut,
    clipped,
    cutmix,
    cutmix_by_loop,
    cutmix_by_mask,
    paste,
    pasted,
)
from vit_course.exercises.core import Exercise, Mistake


def from_the_corner(images: Tensor, partners: Tensor, edges: Box) -> Tensor:
    top, bottom, left, right = edges
    result = images.clone()
    result[:, :, top:bottom, left:right] = partners[:, :, : bottom - top, : right - left]
    return result


def cut_first(box: Box, H: int, W: int) -> Box:
    top, left = max(0, box[0]), max(0, box[1])
    return top, min(H, top + box[2]), left, min(W, left + box[3])


def one_overwrites_the_other(images, labels, partner, box, num_classes):
    H, W = images.shape[2:]
    weight, rows = area(clipped(box, H, W), box, H, W), torch.arange(len(images))
    soft = torch.zeros(len(images), num_classes)
    soft[rows, labels] = 1 - weight
    soft[rows, labels[partner]] = weight
    return cutmix(images, labels, partner, box, num_classes)[0], soft


def by_difference(images, labels, partner, box, num_classes):
    mixed = cutmix(images, labels, partner, box, num_classes)[0]
    share = (mixed != images).float().mean()
    return mixed, pasted(weight_of=lambda *_: share)(images, labels, partner, box, num_classes)[1]


def in_place(images, labels, partner, box, num_classes):
    mixed, soft = cutmix(images, labels, partner, box, num_classes)
    return images.copy_(mixed), soft


def overwritten(images, labels, partner, box, num_classes):
    """One image after the other, each from a batch whose first images are pasted over already."""
    top, bottom, left, right = clipped(box, *images.shape[2:])
    mixed = images.clone()
    for i, j in enumerate(partner.tolist()):
        mixed[i, :, top:bottom, left:right] = mixed[j, :, top:bottom, left:right]
    return mixed, cutmix(images, labels, partner, box, num_classes)[1]


def sides_swapped(box: Box, H: int, W: int) -> Box:
    top, left, height, width = box
    return clipped((left, top, width, height), H, W)


CUTMIX = Exercise(
    name="cutmix",
    notebook="15",
    title="CutMix: paste a box, and share the label by its area",
    reference=cutmix,
    probes=batches_to_cut,
    result=("mixed", "soft"),
    axes={"images": "B C H W", "labels": "B", "partner": "B", "mixed": "B C H W", "soft": "B K"},
    hints=[
        "First cut the box down to what lies in the image: its first row is at least 0, its last at most H. The same "
        "for the columns.",
        "Copy the images, then write into the copy: `mixed[:, :, top:bottom, left:right] = images[partner][:, :, "
        "top:bottom, left:right]`.",
        "The partner's share of the label is its share of the *pixels*: rows times columns of the box that is left, "
        "over H times W.",
    ],
    mistakes=[
        Mistake(
            "not_clipped_label",
            pasted(weight_of=lambda edges, box, H, W: box[2] * box[3] / (H * W)),
            "The label counts pixels that are not in the image: the box reaches beyond the border, and you used the "
            "area that it was asked to have. Count what is left of it after cutting.",
        ),
        Mistake(
            "side_for_area",
            pasted(weight_of=lambda edges, box, H, W: (edges[1] - edges[0]) / H),
            "You took a *side* of the box as a share. Half as high and half as wide is a quarter of the pixels: shares "
            "are areas, rows times columns.",
        ),
        Mistake(
            "root_of_area",
            pasted(weight_of=lambda edges, box, H, W: area(edges, box, H, W) ** 0.5),
            "The partner's share is the root of the area. In the paper the root gives the box's *sides*; the label "
            "goes by the area itself.",
        ),
        Mistake(
            "weights_swapped",
            pasted(weight_of=lambda edges, box, H, W: 1 - area(edges, box, H, W)),
            "The weights are swapped: the smaller the box, the more of the label goes to the partner. What is pasted "
            "is the partner's, the rest stays your image's.",
        ),
        Mistake(
            "labels_not_mixed",
            pasted(weight_of=lambda edges, box, H, W: 0.0),
            "A piece of another class is in the picture, and the label does not know. That is Cutout with a misleading "
            "fill; CutMix shares the label by area.",
        ),
        Mistake(
            "larger_share_takes_all",
            pasted(weight_of=lambda edges, box, H, W: float(area(edges, box, H, W) > 0.5)),
            "The label goes wholly to whoever has more of the pixels. A box of 49 % then counts like none, and one of "
            "51 % like the whole image. Both classes belong in, each by its area.",
        ),
        Mistake(
            "by_difference",
            by_difference,
            "You count the pixels that *differ*. Where both images have the same colour, sky on sky, a pasted pixel "
            "looks like the old one and is not counted. Count the pixels of the box.",
        ),
        Mistake(
            "half_and_half",
            pasted(weight_of=lambda edges, box, H, W: 0.5),
            "Every label is half and half, however small the box. It goes by area.",
        ),
        Mistake(
            "negative_start",
            pasted(edges_of=lambda box, H, W: (box[0], min(H, box[0] + box[2]), box[1], min(W, box[1] + box[3]))),
            "A box that begins at row -2 means two rows beyond the top. In a Python slice, -2 counts from the *end*: "
            "the box lands at the bottom, or is empty. Cut it at 0 first.",
        ),
        Mistake(
            "nothing_clipped",
            pasted(
                edges_of=lambda box, H, W: (box[0], box[0] + box[2], box[1], box[1] + box[3]),
                weight_of=lambda edges, box, H, W: box[2] * box[3] / (H * W),
            ),
            "The box is used as it comes. Where it begins above the image, the slice begins at -2, which Python "
            "counts from the *end*; and the label counts pixels that are not there. Cut the box down to the image "
            "first: then both are right.",
        ),
        Mistake(
            "cut_first",
            pasted(edges_of=cut_first),
            "You cut the beginning at 0 and *then* add the height: a box that begins two rows above the image gets two "
            "rows too many at its end. Its end is `top + height` with the `top` that you were given.",
        ),
        Mistake(
            "corners",
            pasted(edges_of=lambda box, H, W: (max(0, box[0]), min(H, box[2]), max(0, box[1]), min(W, box[3]))),
            "You took the last two numbers of the box for its lower right corner. They are its height and width.",
        ),
        Mistake(
            "share_of_the_box",
            pasted(weight_of=lambda edges, box, H, W: area(edges, box, H, W) * H * W / (box[2] * box[3])),
            "You divide by the area of the box, so a box that lies in the image gives all of the label to the partner. "
            "It is a share of the image: divide by H times W.",
        ),
        Mistake(
            "one_overwrites_the_other",
            one_overwrites_the_other,
            "Where both images are of the *same* class, its entry is the second share alone: it overwrites the first. "
            "Add the two; then the row sums to 1.",
        ),
        Mistake(
            "sides_swapped",
            pasted(edges_of=sides_swapped),
            "Rows and columns have changed places: `box` is (top, left, height, width), and the images are (B, C, H, "
            "W), rows first. On square images it would look right.",
        ),
        Mistake(
            "one_too_many",
            pasted(edges_of=lambda box, H, W: clipped((box[0], box[1], box[2] + 1, box[3] + 1), H, W)),
            "Your box is one row and one column too large: a slice leaves out its end, so `top + height` is right as "
            "it stands.",
        ),
        Mistake(
            "from_the_corner",
            pasted(put=from_the_corner),
            "The piece comes from the partner's upper left corner. It is cut out at the *same place* where it is put "
            "in; otherwise objects near the middle are hardly ever seen.",
        ),
        Mistake(
            "the_rest",
            pasted(put=lambda images, partners, edges: paste(partners, images, edges)),
            "Inside and outside are swapped: your picture is the partner with a window onto the image. The labels say "
            "it the other way round.",
        ),
        Mistake(
            "other_partner",
            pasted(theirs=lambda hot, partner: hot[partner.argsort()]),
            "Pixels and labels come from different partners: image i gets its piece from image partner[i], so the "
            "label comes from there too.",
        ),
        Mistake(
            "partner_as_class",
            pasted(theirs=lambda hot, partner: F.one_hot(partner % hot.shape[1], hot.shape[1])),
            "`partner` numbers images, not classes: take `labels[partner]`. Where image 2 is pasted, the label names "
            "class 2, whatever image 2 shows.",
        ),
        Mistake(
            "overwritten",
            overwritten,
            "You paste into the batch that you also cut from, so some pieces come from images that were pasted over "
            "before: they show a third image, and the label does not know. Cut from the untouched images.",
        ),
        Mistake(
            "in_place",
            in_place,
            "The result is right, but it is written into the images that you were given: whoever called you loses the "
            "originals. Work on a copy.",
        ),
    ],
    variants=[cutmix_by_mask, cutmix_by_loop],
    solved="The package draws a box of its own for each image, as a mask, and counts its pixels.",
)

EXERCISES = [CUTMIX]
