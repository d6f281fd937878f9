"""Notebook 15: CutMix, the box and the labels: how it is done, what it is tried on, and other right ways."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]  # top, left, height, width


def cutmix(images: Tensor, labels: Tensor, partner: Tensor, box: Box, num_classes: int) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019, algorithm 1) with one box for the batch, some part of which lies in the image."""
    return pasted()(images, labels, partner, box, num_classes)


def clipped(box: Box, H: int, W: int) -> Box:
    """(top, bottom, left, right) of the part that lies in the image."""
    top, left, height, width = box
    return max(0, top), max(0, min(H, top + height)), max(0, left), max(0, min(W, left + width))


def paste(images: Tensor, partners: Tensor, edges: Box) -> Tensor:
    top, bottom, left, right = edges
    result = images.clone()
    result[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return result


def area(edges: Box, box: Box, H: int, W: int) -> float:
    """The partner's share of the label: its share of the pixels."""
    top, bottom, left, right = edges
    return (bottom - top) * (right - left) / (H * W)


def pasted(
    edges_of: Callable = clipped,
    weight_of: Callable = area,
    put: Callable = paste,
    theirs: Callable = lambda hot, partner: hot[partner],
) -> Callable:
    """`cutmix` with other edges of the box, another weight for the partner's label, another way to paste, or other
    labels of partners."""

    def answer(images, labels, partner, box, num_classes):
        H, W = images.shape[2:]
        edges = edges_of(box, H, W)
        weight = weight_of(edges, box, H, W)
        hot = F.one_hot(labels, num_classes).float()  # (B, K)
        return put(images, images[partner], edges), (1 - weight) * hot + weight * theirs(hot, partner)

    return answer


def batches_to_cut() -> list[tuple]:
    """(images, labels, partner, box, num_classes): a box within, then boxes partly beyond each of the sides; H ≠ W."""

    def draw(b: int, h: int, w: int, k: int, box: Box) -> tuple:
        order = torch.randperm(b)
        partner = torch.empty_like(order)
        partner[order] = order.roll(1)  # one cycle: nobody is their own partner, and partner[partner] is another still
        labels = (torch.arange(b) * (1 + k % 2) + 1) % k  # other numbers than the images'
        return torch.rand(b, 3, h, w), labels, partner, box, k

    cases = [
        draw(3, 4, 6, 3, (1, 2, 2, 3)),
        draw(5, 8, 6, 7, (-2, 1, 5, 2)),
        draw(4, 6, 9, 5, (3, 6, 4, 8)),
        draw(4, 7, 5, 6, (2, -1, 3, 3)),
        draw(5, 6, 7, 2, (1, -1, 3, 4)),  # two classes for an odd cycle: somebody has a partner of the same class
        draw(4, 5, 8, 6, (-1, 2, 5, 7)),  # more than half of the image
    ]
    cases[-1][0][:, :, 1:3, :4] = 0.5  # a patch in which all images are alike, half of it in the box
    return cases


def cutmix_by_mask(images, labels, partner, box, num_classes):
    top, left, height, width = box
    H, W = images.shape[2:]
    rows, cols = torch.arange(H)[:, None], torch.arange(W)
    inside = (rows >= top) & (rows < top + height) & (cols >= left) & (cols < left + width)  # (H, W)
    share = 1 - inside.float().mean()
    hot = torch.eye(num_classes)[labels]
    return torch.where(inside, images[partner], images), torch.lerp(hot[partner], hot, share)


def cutmix_by_loop(images, labels, partner, box, num_classes):
    top, left, height, width = box
    B, _, H, W = images.shape
    mixed, soft = images.clone(), torch.zeros(B, num_classes)
    for i in range(B):
        j, count = int(partner[i]), 0
        for y in range(H):
            for x in range(W):
                if top <= y < top + height and left <= x < left + width:
                    mixed[i, :, y, x], count = images[j, :, y, x], count + 1
        soft[i, labels[i]] += 1 - count / (H * W)
        soft[i, labels[j]] += count / (H * W)
    return mixed, soft


EXERCISES = []
