"""Notebook 03, first part: TinyVGG as a class."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake

# A network is compared by what it computes, whatever its layers are called: the parameters of answer and reference are
# filled with the same numbers in the order in which they were made.


def same_numbers(module: nn.Module) -> nn.Module:
    """Fill the parameters, in their order, with numbers that depend on the place and the shape alone."""
    for place, parameter in enumerate(module.parameters()):
        generator = torch.Generator().manual_seed(place)
        inputs = parameter[0].numel() if parameter.ndim > 1 else 24
        with torch.no_grad():  # of a size at which sums neither grow nor vanish from layer to layer
            parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * (6 / inputs) ** 0.5)
    return module


def looked_at(module: object, images: Tensor) -> object:
    """What an answer's network is judged by: the shapes of its parameters, and its output."""
    if module is None or module is ...:
        return module
    if not isinstance(module, nn.Module):
        raise Complaint(
            f"You return a {type(module).__name__}, and a network is wanted: `nn.Sequential(*modules)` makes one of a "
            "list of layers. Layers in a plain list are not found by `model.parameters()`, so they would never learn."
        )
    same_numbers(module)
    shapes = ["×".join(str(length) for length in p.shape) for p in module.parameters()]
    return {"shapes of the parameters": shapes, "output": module(images)}


def build_class(answer: Callable, options: dict, images: Tensor) -> object:
    """Build the class with `options` and run it on `images`."""
    return looked_at(answer(**options), images)


class TwoBlocks(nn.Module):
    """TinyVGG: two blocks of convolution, ReLU, convolution, ReLU, max-pooling, then one linear layer."""

    def __init__(self, in_channels: int, hidden_units: int, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, hidden_units, 3),
            nn.ReLU(),
            nn.Conv2d(hidden_units, hidden_units, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(hidden_units, hidden_units, 3),
            nn.ReLU(),
            nn.Conv2d(hidden_units, hidden_units, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        flat = self.features(torch.zeros(1, in_channels, image_size, image_size)).numel()
        self.classifier = nn.Linear(flat, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


def sizes_and_images() -> list[tuple]:
    """CNN Explainer's own numbers first, then others, so that what is typed in shows. All sizes differ."""
    options = [
        {"in_channels": 3, "hidden_units": 10, "num_classes": 10, "image_size": 64},
        {"in_channels": 1, "hidden_units": 4, "num_classes": 5, "image_size": 28},
        {"in_channels": 3, "hidden_units": 6, "num_classes": 7, "image_size": 33},
    ]
    return [(o, torch.rand(2, o["in_channels"], o["image_size"], o["image_size"])) for o in options]


def tiny(
    *,
    padding: int = 0,
    relus: Sequence[bool] = (True, True),
    pool: Callable[[], nn.Module] = lambda: nn.MaxPool2d(2),
    pools: int = 2,
    growth: int = 1,
    bias: bool = True,
    shared: bool = False,
    flat: Callable[[int, int], int] | None = None,
    flatten: Callable[[Tensor], Tensor] = lambda x: x.flatten(1),
    end: Callable[[Tensor], Tensor] = lambda x: x,
) -> type[nn.Module]:
    """A class like TwoBlocks, with one thing done otherwise. `flat(hidden_units, image_size)`: the linear layer's."""

    class Other(nn.Module):
        def __init__(self, in_channels, hidden_units, num_classes, image_size):
            super().__init__()
            channels = in_channels
            modules = []
            for block in range(2):
                width = hidden_units * growth**block
                for i in range(2):
                    again = shared and channels == width and i == 1
                    conv = modules[-2] if again else nn.Conv2d(channels, width, 3, padding=padding, bias=bias)
                    modules += [conv, nn.ReLU() if relus[i] else nn.Identity()]
                    channels = width
                modules += [pool()] if block < pools else []
            self.features = nn.Sequential(*modules)
            size = flat(hidden_units, image_size) if flat else 0
            size = size or self.features(torch.zeros(1, in_channels, image_size, image_size)).numel()
            self.classifier = nn.Linear(size, num_classes)

        def forward(self, images):
            return end(self.classifier(flatten(self.features(images))))

    return Other


class ByBlocks(nn.Module):
    """Right: other names, blocks of their own, and the flatten size from arithmetic."""

    def __init__(self, in_channels, hidden_units, num_classes, image_size):
        super().__init__()
        self.block_1 = self.block(in_channels, hidden_units)
        self.block_2 = self.block(hidden_units, hidden_units)
        side = ((image_size - 4) // 2 - 4) // 2
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(hidden_units * side * side, num_classes))

    @staticmethod
    def block(inputs, outputs):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.Conv2d(outputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2, 2)
        )

    def forward(self, x):
        return self.head(self.block_2(self.block_1(x)))


class ByFunctions(nn.Module):
    """Right: ReLU and pooling as functions in forward, ReLU after the pooling (the two may change places)."""

    def __init__(self, in_channels, hidden_units, num_classes, image_size):
        super().__init__()
        widths = [in_channels] + [hidden_units] * 4
        self.convs = nn.ModuleList([nn.Conv2d(a, b, (3, 3)) for a, b in pairwise(widths)])
        self.linear = nn.Linear(self.shrink(torch.zeros(1, in_channels, image_size, image_size)).shape[1], num_classes)

    def shrink(self, x):
        for i, conv in enumerate(self.convs):
            x = conv(x)
            x = torch.relu(nn.functional.max_pool2d(x, 2) if i % 2 else x)
        return x.reshape(len(x), -1)

    def forward(self, x):
        return self.linear(self.shrink(x))


def after_two_poolings(hidden_units: int, image_size: int) -> int:
    """What many type: the side a quarter of the image's, as if the convolutions had padding."""
    return hidden_units * (image_size // 4) ** 2


TWO_BLOCKS = Exercise(
    name="TwoBlocks",
    notebook="03",
    title="TinyVGG as a class, for any image size",
    reference=TwoBlocks,
    probes=sizes_and_images,
    call=build_class,
    axes={"images": "B C H W", "output": "B classes"},
    hints=[
        "Two parts: `self.features` with the ten layers in an `nn.Sequential`, and `self.classifier` with one "
        "`nn.Linear`. In `forward` the first gives (B, C, H, W); what does the second want?",
        "`x.flatten(1)` keeps the batch axis and puts the rest in one row. How long that row is depends on the image "
        "size: send one empty image, `torch.zeros(1, in_channels, image_size, image_size)`, through `self.features` "
        "and look at what comes out.",
        "The number of numbers in a tensor is `.numel()`. With a batch of one image, that is the linear layer's width. "
        "No softmax at the end: the loss wants the plain scores.",
    ],
    mistakes=[
        Mistake(
            "typed_in",
            tiny(flat=lambda hidden_units, image_size: 1690),
            "The 1690 is typed in. It fits images of 64 × 64 and 10 hidden units, and nothing else: any other size "
            "stops with an error at the linear layer. Let the network tell you the number when it is built.",
        ),
        Mistake(
            "typed_side",
            tiny(flat=lambda hidden_units, image_size: hidden_units * 13 * 13),
            "The channels are computed, but the 13 × 13 is typed in: it belongs to images of 64 × 64. Another size "
            "stops at the linear layer. Compute the side from `image_size`, or measure it with an empty image.",
        ),
        Mistake(
            "quarter",
            tiny(flat=after_two_poolings),
            "Two poolings leave a quarter of the side, but that is not all that happens: a 3×3 convolution without "
            "padding takes 2 pixels as well, four times in all. Measure with an empty image, and nothing is forgotten.",
        ),
        Mistake(
            "padding",
            tiny(padding=1),
            "Your convolutions have padding, so they keep the size: 64, 64, 32, 32, 32, 16. The big VGG does that; CNN "
            "Explainer's network has none, and goes 62, 60, 30, 28, 26, 13. The linear layer comes out longer for it.",
        ),
        Mistake(
            "softmax",
            tiny(end=lambda x: x.softmax(1)),
            "`forward` ends in a softmax. The loss that you will use, cross-entropy, does a softmax of its own, and "
            "two of them flatten the gradients: training becomes slow and stops early, without any error. Return the "
            "linear layer's scores as they are.",
        ),
        Mistake(
            "log_softmax",
            tiny(end=lambda x: x.log_softmax(1)),
            "`forward` ends in a log-softmax. Cross-entropy would do it once more, for nothing, and what you return "
            "are no longer the scores that others expect. Return the linear layer's output as it is.",
        ),
        Mistake(
            "relu_at_the_end",
            tiny(end=torch.relu),
            "There is a ReLU after the last layer. It makes every negative score 0, so classes that the network has "
            "ruled out become equal, and get no gradient. Scores may be negative: leave the last layer bare.",
        ),
        Mistake(
            "no_last_relu",
            tiny(relus=(True, False)),
            "The second convolution of each block has no ReLU after it. Between it and the next layer there is only a "
            "pooling, so depth is wasted. Every convolution here has a ReLU.",
        ),
        Mistake(
            "one_relu",
            tiny(relus=(False, True)),
            "The first convolution of each block has no ReLU after it. Two convolutions in a row without anything "
            "between are one 5×5 convolution, as notebook 02 showed: the depth buys nothing. Put a ReLU after each.",
        ),
        Mistake(
            "no_relu",
            tiny(relus=(False, False)),
            "There is no ReLU anywhere. Convolutions alone are linear, and a stack of them is one linear map: only the "
            "max-pooling is left to make this a network. Put a ReLU after each convolution.",
        ),
        Mistake(
            "average",
            tiny(pool=lambda: nn.AvgPool2d(2)),
            "You take the average of each window, not its largest value. The shapes are the same, so nothing warns "
            "you, but a strong answer at one pixel is thinned out by its neighbours. VGG takes the maximum.",
        ),
        Mistake(
            "one_pooling",
            tiny(pools=1),
            "The second block ends without its pooling. The linear layer gets four times as many inputs, and most of "
            "the network's parameters sit there. Each of the two blocks ends in a max-pooling.",
        ),
        Mistake(
            "wider",
            tiny(growth=2),
            "Your second block has twice the channels. That is the big VGG's rule; CNN Explainer's network has "
            "`hidden_units` channels in all four convolutions.",
        ),
        Mistake(
            "no_bias",
            tiny(bias=False),
            "Your convolutions have no bias. That is right before a batch norm, which adds one of its own; here "
            "nothing else can shift a channel, so each detector fires at the same threshold, zero.",
        ),
        Mistake(
            "shared",
            tiny(shared=True),
            "One convolution is used twice. A layer that you make once has one set of weights, wherever you call it: "
            "both places then learn the same filters, and the network has fewer parameters than it looks. Make a new "
            "`nn.Conv2d` for each place. (One ReLU may be used everywhere: it has no weights.)",
        ),
        Mistake(
            "flattened_batch",
            tiny(flatten=lambda x: x.flatten()),
            "`flatten()` without an argument puts everything in one row, the batch too: the images of a batch run "
            "together. Keep axis 0.",
        ),
    ],
    variants=[ByBlocks, ByFunctions],
    solved="It is the network of CNN Explainer, and it now fits images of any size from 16 pixels up.",
)


EXERCISES = [TWO_BLOCKS]
