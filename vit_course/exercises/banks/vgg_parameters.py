"""Notebook 03, third part: parameters counted by hand."""

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from vit_course.exercises.core import Exercise, Mistake, value


def conv_parameters(layers: list[int | str], in_channels: int) -> int:
    """Weights and biases of the 3×3 convolutions in a row of the table."""
    return counted()(layers, in_channels)


def counted(
    of_one: Callable[[int, int], int] = lambda inputs, outputs: 9 * inputs * outputs + outputs,
    update: str = "conv",
    of_pool: Callable[[int], int] = lambda channels: 0,
) -> Callable:
    """A count that calls `of_one(inputs, outputs)` for each convolution and `of_pool(channels)` for each pooling."""

    def count(layers, in_channels):
        total, first = 0, in_channels
        for layer in layers:
            if layer == "M":
                total += of_pool(in_channels)
                in_channels = first if update == "reset" else in_channels
                continue
            total += of_one(in_channels, layer)
            in_channels = in_channels if update == "never" else layer
        return total

    return count


def rows() -> list[tuple]:
    """Rows whose counts by different rules all differ, smallest first."""
    return [([4, "M"], 3), ([8, 8, "M", 16, "M"], 3), ([64, 64, "M", 128, 128, "M", 256, "M"], 1)]


def by_building(layers: list[int | str], in_channels: int) -> int:
    total = 0
    for layer in layers:
        if layer != "M":
            total += sum(p.numel() for p in nn.Conv2d(in_channels, layer, 3).parameters())
            in_channels = layer
    return total


def by_pairs(layers: list[int | str], in_channels: int) -> int:
    widths = [in_channels, *(layer for layer in layers if layer != "M")]
    return sum((3 * 3 * a + 1) * b for a, b in pairwise(widths))


CONV_PARAMETERS = Exercise(
    name="conv_parameters",
    notebook="03",
    title="Count the parameters of a row without building it",
    reference=conv_parameters,
    probes=rows,
    result="count",
    hints=[
        "Take one convolution by itself. Each of its output channels has one kernel. What does one kernel look at: how "
        "many pixels, of how many channels?",
        "A kernel has 3 · 3 · inputs weights and one bias, and there is one kernel for each output channel. A pooling "
        "chooses the largest of four numbers: what is there to learn?",
        "Go through the row with two variables: the total, and the number of channels that arrive at the next "
        "convolution.",
    ],
    mistakes=[
        Mistake(
            "no_bias",
            counted(lambda inputs, outputs: 9 * inputs * outputs),
            "The weights are right, the biases are missing: each output channel has one number that is added to all "
            "its pixels. They are few, but a count that is off by few is off: it no longer tells you whether your "
            "network is the one you meant.",
        ),
        Mistake(
            "three",
            counted(lambda inputs, outputs: 3 * inputs * outputs + outputs),
            "A 3×3 kernel has 9 weights for each input channel, not 3. With 3 you would expect a network a third as "
            "large as the one that lands in memory.",
        ),
        Mistake(
            "kernels_alone",
            counted(lambda inputs, outputs: 9 * outputs + outputs),
            "You count one 3×3 table for each output channel. A kernel looks at all input channels at once and has a "
            "table of its own for each of them: 64 tables, where 64 channels arrive.",
        ),
        Mistake(
            "bias_per_input",
            counted(lambda inputs, outputs: 9 * inputs * outputs + inputs),
            "You count one bias for each input channel. The bias is added to the sum over all inputs, so there is one "
            "for each *output* channel.",
        ),
        Mistake(
            "bias_per_kernel_table",
            counted(lambda inputs, outputs: (9 + 1) * inputs * outputs),
            "You count a bias for each pair of input and output channel. The sums over all input channels are added "
            "first, and then one bias follows: one for each output channel.",
        ),
        Mistake(
            "never_updated",
            counted(update="never"),
            "You count every convolution as if the image's channels arrived at it. Only the first sees the image; "
            "the others get what the one before gives out. The deep layers, which have nearly all the weights, come "
            "out far too small.",
        ),
        Mistake(
            "reset",
            counted(update="reset"),
            "After a pooling you start again with the image's channels. A pooling changes the side of the map and "
            "leaves its channels alone.",
        ),
        Mistake(
            "pools",
            counted(of_pool=lambda channels: 4),
            "You count four weights for a 2×2 pooling. It takes the largest of four numbers: there is nothing to "
            "learn in it. That is also why VGG-16 is not called VGG-21.",
        ),
        Mistake(
            "pools_per_channel",
            counted(of_pool=lambda channels: 4 * channels),
            "You count four weights for each channel of a pooling. It takes the largest of four numbers: there is "
            "nothing to learn in it, so it counts for no layer and no parameter.",
        ),
        Mistake(
            "sum",
            counted(lambda inputs, outputs: 9 * (inputs + outputs) + outputs),
            "You add inputs and outputs. Every output channel looks at every input channel, so their numbers multiply. "
            "This is why width is so expensive: twice the channels, four times the weights.",
        ),
    ],
    variants=[by_building, by_pairs],
    solved="Counts that are met exactly are the cheapest test that a network is the one you meant.",
)


FC6_PARAMETERS = Exercise(
    name="fc6_parameters",
    notebook="03",
    title="Predict the parameters of VGG-16's first linear layer",
    reference=512 * 7 * 7 * 4096 + 4096,
    call=value,
    hints=[
        "The image has 224 × 224 pixels and is halved five times. What is the side of the last map, and how many "
        "channels has it?",
        "All numbers of the last map are put in one row. The layer connects each of them with each of its 4096 "
        "outputs, and adds a bias to each output.",
    ],
    mistakes=[
        Mistake(
            "no_bias",
            512 * 7 * 7 * 4096,
            "Nearly: you have the weights. Each of the 4096 outputs has a bias as well.",
        ),
        Mistake(
            "no_grid",
            512 * 4096 + 4096,
            "You count the 512 channels once. The last map is 7 × 7 pixels, and the layer has weights of its own for "
            "each of its 49 places. (Averaging the map first, as later networks do, gives your number.)",
        ),
        Mistake(
            "one_side",
            512 * 7 * 4096 + 4096,
            "The last map has a height *and* a width: 7 × 7 places, not 7.",
        ),
        Mistake(
            "second_layer",
            4096 * 4096 + 4096,
            "That is the second linear layer, from 4096 to 4096. The first one gets the whole last map.",
        ),
        Mistake(
            "one_pooling_less",
            512 * 14 * 14 * 4096 + 4096,
            "You took the map before the last pooling, 14 × 14. There are five poolings: 112, 56, 28, 14, 7.",
        ),
        Mistake(
            "only_the_inputs",
            512 * 7 * 7,
            "That is the length of the row that goes in. Each of its numbers is connected with each of 4096 outputs.",
        ),
    ],
    solved="Three of four parameters of VGG-16 sit in this one layer.",
)


EXERCISES = [CONV_PARAMETERS, FC6_PARAMETERS]
