"""Notebook 05: one unit's arithmetic. (The other banks called seeing_… are of the same notebook.)"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake


def unit_output(image: Tensor, kernel: Tensor, bias: Tensor, row: int, column: int) -> Tensor:
    """What one unit says of the window whose top left pixel is (row, column): (C, H, W), (C, k, k) -> ()."""
    k = kernel.shape[1]
    window = image[:, row : row + k, column : column + k]  # (C, k, k)
    return ((window * kernel).sum() + bias).relu()


def units() -> list[tuple]:
    """Units that answer 2, 0 (below zero before the ReLU) and 0.5, on images that are not square."""

    def draw(c: int, h: int, w: int, k: int, row: int, column: int, total: float) -> tuple:
        image, kernel = torch.randn(c, h, w), torch.randn(c, k, k)
        bias = total - (image[:, row : row + k, column : column + k] * kernel).sum()
        return image, kernel, bias, row, column

    return [draw(1, 5, 6, 3, 1, 2, 2.0), draw(3, 6, 8, 3, 2, 4, -1.5), draw(2, 7, 6, 3, 3, 1, 0.5)]


def unit_with(
    weigh: Callable = lambda window, kernel: window * kernel,
    finish: Callable = lambda products, bias: (products.sum() + bias).relu(),
    start: Callable = lambda row, column, k: (row, column),
) -> Callable:
    """`unit_output` with another way to multiply, to add up, or to place the window."""

    def answer(image, kernel, bias, row, column):
        k = kernel.shape[1]
        top, left = start(row, column, k)
        return finish(weigh(image[:, top : top + k, left : left + k], kernel), bias)

    return answer


def unit_by_loops(image: Tensor, kernel: Tensor, bias: Tensor, row: int, column: int) -> Tensor:
    total = bias.clone()
    for c in range(len(kernel)):
        for i in range(kernel.shape[1]):
            for j in range(kernel.shape[2]):
                total = total + image[c, row + i, column + j] * kernel[c, i, j]
    return torch.clamp(total, min=0)


UNIT_OUTPUT = Exercise(
    name="unit_output",
    notebook="05",
    title="One unit's arithmetic",
    reference=unit_output,
    probes=units,
    axes={"image": "C H W", "kernel": "C k k"},
    hints=[
        "Four steps: cut the window out of the image, multiply it by the kernel number by number, add everything up "
        "with the bias, and cut off what is below zero.",
        "A slice `row : row + k` takes k rows. Channels are all taken: window and kernel have the same shape.",
        "The bias is one number for the unit: it is added once, after the sum.",
    ],
    mistakes=[
        Mistake(
            "no_relu",
            unit_with(finish=lambda products, bias: products.sum() + bias),
            "Window, products, sum and bias are right, but a negative sum comes out as it is. The ReLU behind the "
            "convolution is missing: without it, two layers on top of each other are no more than one.",
        ),
        Mistake(
            "bias_each_time",
            unit_with(finish=lambda products, bias: (products + bias).sum().relu()),
            "The bias is added to every product, so it counts C·k·k times. A unit has one bias: it moves the whole sum "
            "once.",
        ),
        Mistake(
            "no_bias",
            unit_with(finish=lambda products, bias: products.sum().relu()),
            "The bias is missing. It says how large the sum must be before the unit answers at all.",
        ),
        Mistake(
            "relu_too_early",
            unit_with(finish=lambda products, bias: products.relu().sum() + bias),
            "You cut off every negative *product*. Then nothing can speak against the pattern, and a unit could not "
            "look for 'light here and dark there'. First add up, then cut off.",
        ),
        Mistake(
            "mean",
            unit_with(finish=lambda products, bias: (products.mean() + bias).relu()),
            "A convolution adds the products up; you averaged them. The answer is C·k·k times too small before the "
            "bias.",
        ),
        Mistake(
            "matrix_product",
            unit_with(weigh=lambda window, kernel: window @ kernel),
            "`@` is the matrix product: it multiplies rows by columns. Here every pixel meets the one weight at its "
            "own place, so multiply number by number.",
        ),
        Mistake(
            "flipped",
            unit_with(weigh=lambda window, kernel: window * kernel.flip(1, 2)),
            "The kernel is turned round. That is convolution as mathematicians define it; torch's layer, and every "
            "network's, lays the kernel on as it is (cross-correlation).",
        ),
        Mistake(
            "one_channel",
            unit_with(weigh=lambda window, kernel: window[0] * kernel[0]),
            "Only the first channel counts. A unit looks at all channels of its window and adds them all into one "
            "number.",
        ),
        Mistake(
            "centred",
            unit_with(start=lambda row, column, k: (row - k // 2, column - k // 2)),
            "Your window has (row, column) in its middle. Without padding the window of output (row, column) *starts* "
            "there: it is its top left corner.",
        ),
        Mistake(
            "row_and_column",
            unit_with(start=lambda row, column, k: (column, row)),
            "Row and column have changed places. The axes are (channel, row, column); a square image would hide it.",
        ),
    ],
    variants=[
        unit_by_loops,
        unit_with(finish=lambda products, bias: torch.clamp(products.sum() + bias, min=0)),
        lambda image, kernel, bias, row, column: nn.functional.conv2d(image[None], kernel[None], bias[None])[
            0, 0, row, column
        ].relu(),
        unit_with(weigh=lambda window, kernel: torch.einsum("cij,cij->", window, kernel)),
    ],
    solved="That is all a unit ever does. What it says depends on what training wrote into the kernel.",
)

EXERCISES = [UNIT_OUTPUT]
