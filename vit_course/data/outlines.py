"""The ten shapes of the embedded dataset, as signed distances: negative inside, positive outside, zero on the edge."""

from itertools import pairwise

import torch
from torch import Tensor

# The right half of each straight-edged shape, from its top to its bottom, in units of its radius, y upward. The left
# half is its mirror image, so a horizontal flip never changes a class.
OUTLINES = {
    "square": ((0, 0.79), (0.79, 0.79), (0.79, -0.79), (0, -0.79)),
    "triangle": ((0, 1.12), (0.97, -0.56), (0, -0.56)),
    "diamond": ((0, 1.12), (0.72, 0), (0, -1.12)),
    "star": ((0, 1.12), (0.29, 0.40), (1.06, 0.34), (0.47, -0.15), (0.66, -0.91), (0, -0.49)),
    "cross": ((0, 1), (0.34, 1), (0.34, 0.34), (1, 0.34), (1, -0.34), (0.34, -0.34), (0.34, -1), (0, -1)),
    "arrow": ((0, 1.1), (0.95, 0.1), (0.36, 0.1), (0.36, -1), (0, -1)),
}
CLASSES = ["circle", "ring", "moon", "heart", *OUTLINES]
REACH = 1.12  # no shape is further from its centre than this many radii


def distance(shape: str, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance of points to the edge of `shape` (radius about 1, at the origin, y upward): negative inside."""
    if shape == "circle":
        return (x * x + y * y).sqrt() - 0.95
    if shape == "ring":
        return ((x * x + y * y).sqrt() - 0.78).abs() - 0.25
    if shape == "moon":
        outer = (x * x + y * y).sqrt() - 1.05
        bite = ((x - 0.55) * (x - 0.55) + y * y).sqrt() - 0.80
        return torch.maximum(outer, -bite)
    if shape == "heart":  # a square on its corner with a half-disc on each upper side
        x, y = x.abs() / 1.67, y / 1.67 + 0.56
        lobe = ((x - 0.25) * (x - 0.25) + (y - 0.75) * (y - 0.75)).sqrt() - 0.35355
        t = (x + y).clamp(min=0) / 2
        side = torch.minimum(x * x + (y - 1) * (y - 1), (x - t) * (x - t) + (y - t) * (y - t)).sqrt()
        return torch.where(x + y > 1, lobe, torch.where(x > y, side, -side)) * 1.67
    x, nearest, inside = x.abs(), torch.full_like(x, 99), torch.zeros_like(x, dtype=torch.bool)
    outline = OUTLINES[shape]
    for (x0, y0), (x1, y1) in pairwise(outline):
        dx, dy = x1 - x0, y1 - y0
        px, py = x - x0, y - y0
        t = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0, 1)  # the nearest point of this edge
        qx, qy = px - t * dx, py - t * dy
        nearest = torch.minimum(nearest, qx * qx + qy * qy)
        if dy:  # a ray to the right that crosses the outline an odd number of times started inside
            inside ^= ((y > y0) != (y > y1)) & (px < py * (dx / dy))
    return torch.where(inside, -nearest.sqrt(), nearest.sqrt())
