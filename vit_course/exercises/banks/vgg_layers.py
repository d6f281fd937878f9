"""Notebook 03, second part: a row of VGG's table as layers."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from vit_course.exercises.banks.vgg import looked_at
from vit_course.exercises.core import Exercise, Mistake


def build_layers(answer: Callable, layers: list, in_channels: int, images: Tensor) -> object:
    """Build a row of the table and run it on `images`."""
    return looked_at(answer(layers, in_channels), images)


def conv_layers(layers: list[int | str], in_channels: int) -> nn.Sequential:
    """Convolution and ReLU for a number, max-pooling for "M"."""
    modules = []
    for layer in layers:
        if layer == "M":
            modules.append(nn.MaxPool2d(2))
        else:
            modules += [nn.Conv2d(in_channels, layer, 3, padding=1), nn.ReLU()]
            in_channels = layer
    return nn.Sequential(*modules)


def rows() -> list[tuple]:
    """Small rows; channels go up, stay and go down; images are not square, and odd."""
    cases = [([4, "M"], 3, (4, 6)), ([4, 4, "M", 6, 5, "M"], 3, (9, 14)), ([3, 6, "M", 6, 6, "M", 2], 1, (13, 8))]
    return [(row, channels, torch.rand(2, channels, *size)) for row, channels, size in cases]


def built(
    *,
    padding: int = 1,
    relu: str = "each",
    pool: Callable[[], nn.Module] = lambda: nn.MaxPool2d(2),
    update: str = "conv",
    where: str = "M",
    bias: bool = True,
) -> Callable:
    """`conv_layers` with one thing done otherwise."""

    def build(layers, in_channels):
        modules, first = [], in_channels
        for place, layer in enumerate(layers):
            if layer == "M":
                modules += [pool()] if where == "M" else []
                in_channels = {"pool": layer, "reset": first}.get(update, in_channels)
                continue
            modules.append(nn.Conv2d(in_channels, layer, 3, padding=padding, bias=bias))
            last = layers[place + 1 : place + 2] == ["M"]
            if relu == "each" or (relu == "not last" and not last) or (relu == "last" and last):
                modules.append(nn.ReLU())
            modules += [pool()] if where == "each" else []
            in_channels = in_channels if update == "never" else layer
        return nn.Sequential(*modules)

    return build


def named_layers(layers: list[int | str], in_channels: int) -> nn.Sequential:
    found = nn.Sequential()
    for i, layer in enumerate(layers):
        if isinstance(layer, str):
            found.add_module(f"pool{i}", nn.MaxPool2d(kernel_size=2, stride=2))
        else:
            found.add_module(f"conv{i}", nn.Conv2d(in_channels, layer, (3, 3), stride=1, padding="same"))
            found.add_module(f"relu{i}", nn.ReLU(inplace=True))
        in_channels = in_channels if isinstance(layer, str) else layer
    return found


def in_pieces(layers: list[int | str], in_channels: int) -> nn.Sequential:
    """Right: one piece a convolution; the ReLU after the pooling gives the same."""
    widths = [in_channels] + [layer for layer in layers if layer != "M"]
    convs = iter([nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(widths)])
    pieces = [
        nn.MaxPool2d(2) if layer == "M" else nn.Sequential(next(convs), nn.LeakyReLU(negative_slope=0.0))
        for layer in layers
    ]
    return nn.Sequential(*pieces)


CONV_LAYERS = Exercise(
    name="conv_layers",
    notebook="03",
    title="Build the convolutional part from one row of the table",
    reference=conv_layers,
    probes=rows,
    call=build_layers,
    axes={"images": "B C H W", "output": "B C H W"},
    hints=[
        'Go through the row and collect modules in a list: for "M" a pooling, for a number a convolution and a ReLU. '
        "At the end, `nn.Sequential(*modules)`.",
        "How many channels does a convolution get? As many as the convolution before it gave out; the first one gets "
        "`in_channels`. Keep that number in a variable and change it at the right moment.",
        "A 3×3 convolution with padding 1 keeps height and width. `nn.MaxPool2d(2)` halves them and leaves the "
        "channels alone.",
    ],
    mistakes=[
        Mistake(
            "channels",
            built(update="never"),
            "Every convolution is built for the channels of the image. The first one is right; the second gets as "
            "many channels as the first gave out. Keep account of the number from layer to layer.",
        ),
        Mistake(
            "pool_as_channels",
            built(update="pool"),
            'You take "M" for the number of channels: it went into the variable that counts them. A pooling leaves the '
            "channels as they are, so only a convolution changes that number.",
        ),
        Mistake(
            "reset",
            built(update="reset"),
            "After a pooling you start again with the image's channels. A pooling makes the map smaller and keeps its "
            "channels: the next convolution gets as many as the last one gave out.",
        ),
        Mistake(
            "no_padding",
            built(padding=0),
            "Without padding each convolution takes 2 pixels off height and width. TinyVGG does that. VGG keeps the "
            "size with padding 1, so that only poolings shrink: 16 convolutions without it would cost too much border.",
        ),
        Mistake(
            "no_last_relu",
            built(relu="not last"),
            "The convolution before each pooling has no ReLU. What follows is then fed with negative values that the "
            "paper's network never passes on, and torchvision's weights would give other answers. Every convolution "
            "has its ReLU.",
        ),
        Mistake(
            "relu_per_block",
            built(relu="last"),
            "Only the last convolution of a block has a ReLU. Convolutions with nothing between them are one larger "
            "linear convolution, so the point of stacking them is lost. Put a ReLU after each.",
        ),
        Mistake(
            "no_relu",
            built(relu="none"),
            "There is no ReLU. A stack of convolutions is then one linear map but for the poolings, and the depth "
            "buys nothing. Put one after each convolution.",
        ),
        Mistake(
            "no_pooling",
            built(where="nowhere"),
            'The "M" makes nothing. Without poolings the map keeps the size of the image: the operations of the deep '
            "layers grow two hundredfold, and the first linear layer would be a thousand times as large.",
        ),
        Mistake(
            "pool_each_time",
            built(where="each"),
            "You pool after every convolution. The map is gone after a few of them. The table says where: only "
            'at an "M".',
        ),
        Mistake(
            "pool_stride",
            built(pool=lambda: nn.MaxPool2d(2, stride=1)),
            "Your pooling moves by one pixel, so it takes off one row and one column and halves nothing. The stride of "
            "VGG's pooling is 2, as wide as its window, which is also what `nn.MaxPool2d` does if you say nothing.",
        ),
        Mistake(
            "overlapping",
            built(pool=lambda: nn.MaxPool2d(3, stride=2)),
            "Your pooling looks at windows of 3×3, which overlap. AlexNet does that; VGG's windows are 2×2. On 224 "
            "pixels the sides come out as 111, 55, 27, 13, 6 instead of 112, 56, 28, 14, 7, and the head does not fit.",
        ),
        Mistake(
            "average",
            built(pool=lambda: nn.AvgPool2d(2)),
            "You take the average of each window, and VGG takes the maximum. The shapes agree, so nothing would warn "
            "you; only the answers of published weights would be wrong.",
        ),
        Mistake(
            "no_bias",
            built(bias=False),
            "The convolutions have no bias. VGG's have one for each output channel, with batch norm and without, and "
            "published weights hold them: a state dict would not load.",
        ),
    ],
    variants=[named_layers, in_pieces],
    solved="One function and one row: that is the whole convolutional part of any VGG.",
)

EXERCISES = [CONV_LAYERS]
