"""Notebook 07, fourth part: a kernel as the weight of a linear layer."""

import torch
from torch import Tensor

from vit_course.exercises.banks.patches import patchify_reshape
from vit_course.exercises.core import Exercise, Mistake


def kernel_to_linear(kernel: Tensor) -> Tensor:
    """A kernel (D, C, P, Q) -> the weight (D, P·Q·C) of the linear layer that does the same to flat patches."""
    return kernel.permute(0, 2, 3, 1).flatten(1)


def kernels() -> list[tuple]:
    """Kernels in which no two sizes and no two weights are alike, but for the first."""
    shapes = [(2, 1, 2, 2), (5, 3, 2, 4), (4, 2, 3, 3)]
    return [(torch.randperm(torch.Size(shape).numel()).float().reshape(shape),) for shape in shapes]


def kernel_by_loops(kernel):
    D, C, P, Q = kernel.shape
    weight = torch.empty(D, P * Q * C)
    for i in range(P):
        for j in range(Q):
            for c in range(C):
                weight[:, (i * Q + j) * C + c] = kernel[:, c, i, j]
    return weight


KERNEL_TO_LINEAR = Exercise(
    name="kernel_to_linear",
    notebook="07",
    title="A kernel as the weight of a linear layer",
    reference=kernel_to_linear,
    probes=kernels,
    result="weight",
    axes={"kernel": "D C P Q", "weight": "D L"},
    hints=[
        "Each row of the weight belongs to one output, as each kernel does. So the first axis stays where it is.",
        "The numbers of a row must stand as the numbers of a patch do: row in the patch, column in the patch, "
        "channel. In what order does the kernel have them?",
        "One `permute`, then merge all axes but the first.",
    ],
    mistakes=[
        Mistake(
            "channels_first",
            lambda kernel: kernel.flatten(1),
            "The shape is right and the order is the kernel's own: all weights for red first. In a patch the "
            "channels of a pixel stand together, so weights for red would meet values of green. Weights that are "
            "loaded in this order give wrong answers without an error. Move the channel to the end before you merge.",
        ),
        Mistake(
            "columns_first",
            lambda kernel: kernel.permute(0, 3, 2, 1).flatten(1),
            "The channel is in place, but rows and columns have changed places: each filter lies on its side. The "
            "row in the patch comes before the column.",
        ),
        Mistake(
            "sides_swapped",
            lambda kernel: kernel.transpose(2, 3).flatten(1),
            "You swap rows and columns, and the channel stays in front. Rows and columns are right as they are in the "
            "kernel; it is the channel that has to go to the end.",
        ),
        Mistake(
            "columns_before_channels",
            lambda kernel: kernel.permute(0, 3, 1, 2).flatten(1),
            "You moved the last axis, the column, to the front. The one that moves is the channel, and it goes to the "
            "end: row, column, channel.",
        ),
        Mistake(
            "channels_between",
            lambda kernel: kernel.transpose(1, 2).flatten(1),
            "The channel has moved one place only, to between row and column. It belongs at the end.",
        ),
        Mistake(
            "the_papers_way",
            lambda kernel: kernel.permute(2, 3, 1, 0).flatten(0, 2),
            "That is the paper's **E**, (P·Q·C, D), for patches that are multiplied from the left. `nn.Linear` keeps "
            "its transpose: a row for each output.",
        ),
        Mistake(
            "turned",
            lambda kernel: kernel.flip(2, 3).permute(0, 2, 3, 1).flatten(1),
            "You turn the kernel by half a turn, as a mathematician's convolution does. Torch's `conv2d` does not: "
            "see notebook 02, *A word about the name*.",
        ),
        Mistake(
            "outputs_mixed",
            lambda kernel: kernel.permute(2, 3, 1, 0).reshape(kernel.shape[0], -1),
            "The shape is right, but the outputs are mixed: after `permute` the output axis is the last one, and "
            "`reshape` then cuts through all outputs. Keep it in front.",
        ),
        Mistake(
            "outputs_mixed_channel_first",
            lambda kernel: kernel.permute(1, 2, 3, 0).reshape(kernel.shape[0], -1),
            "You moved the *output* to the end, not the channel, and `reshape` cuts through all outputs. The output "
            "axis stays in front, since each output has a row; the channel is the one that goes last.",
        ),
        Mistake(
            "flat_and_transposed",
            lambda kernel: kernel.flatten(1).T,
            "Two things: `nn.Linear` keeps a row for each output, so nothing is to be transposed; and within a row the "
            "numbers are in the kernel's order, channel first, where a patch has the channel last.",
        ),
        Mistake(
            "channels_added",
            lambda kernel: kernel.sum(1).flatten(1),
            "You add up the weights of the channels. That would treat red, green and blue alike; each has its own "
            "weight.",
        ),
        Mistake(
            "not_merged",
            lambda kernel: kernel.permute(0, 2, 3, 1),
            "The order is right. What is missing is to merge all axes but the first: the weight of a linear layer is "
            "a matrix.",
        ),
    ],
    variants=[
        kernel_by_loops,
        lambda kernel: kernel.movedim(1, -1).reshape(len(kernel), -1),
        lambda kernel: torch.einsum("dcpq->dpqc", kernel).flatten(1),
        lambda kernel: patchify_reshape(kernel, tuple(kernel.shape[2:]))[:, 0],
    ],
    solved="A strided convolution and a linear layer on patches are one thing, written in two orders.",
)

EXERCISES = [KERNEL_TO_LINEAR]
