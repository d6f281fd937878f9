"""Notebook 07, first part: how many patches there are, and what they cost."""

from collections.abc import Callable

import torch

from vit_course.exercises.banks.patches import Sides
from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def patch_numbers(image_size: Sides, patch_size: Sides, channels: int, dim: int) -> tuple[int, int, int]:
    """Tokens, numbers in one patch, and parameters of the linear map that makes tokens of patches."""
    tokens = (image_size[0] // patch_size[0]) * (image_size[1] // patch_size[1])
    length = patch_size[0] * patch_size[1] * channels
    return tokens, length, length * dim + dim


def by_name(answer: Callable, image_size: Sides, patch_size: Sides, channels: int, dim: int) -> object:
    """The three numbers with their names, so that each is compared by itself."""
    found = answer(image_size, patch_size, channels, dim)
    if is_blank(found):
        return found
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Complaint("Return three numbers: tokens, length of a patch, parameters.")
    return dict(zip(("tokens", "length of a patch", "parameters"), found, strict=True))


def size_cases() -> list[tuple]:
    """Small and square first; then nothing is square."""
    return [
        ((8, 8), (4, 4), 3, 5),
        ((224, 224), (16, 16), 3, 768),
        ((12, 40), (3, 8), 2, 6),
        ((128, 60), (16, 10), 1, 9),
    ]


def counted(tokens: Callable | None = None, length: Callable | None = None, parameters: Callable | None = None):
    """`patch_numbers` with one number computed otherwise, from (H, W, P, Q, C, D) and what is counted so far."""

    def answer(image_size, patch_size, channels, dim):
        sizes = (*image_size, *patch_size, channels, dim)
        n, numbers, _ = patch_numbers(image_size, patch_size, channels, dim)
        n = tokens(*sizes) if tokens else n
        numbers = length(*sizes) if length else numbers
        return n, numbers, parameters(n, numbers, *sizes) if parameters else numbers * dim + dim

    return answer


def numbers_by_area(image_size, patch_size, channels, dim):
    (H, W), (P, Q) = image_size, patch_size
    layer = torch.nn.Linear(P * Q * channels, dim)
    return H * W // (P * Q), layer.in_features, sum(p.numel() for p in layer.parameters())


def numbers_by_steps(image_size, patch_size, channels, dim):
    corners = [(i, j) for i in range(0, image_size[0], patch_size[0]) for j in range(0, image_size[1], patch_size[1])]
    length = len([0 for _ in range(patch_size[0]) for _ in range(patch_size[1]) for _ in range(channels)])
    return len(corners), length, (length + 1) * dim


PATCH_NUMBERS = Exercise(
    name="patch_numbers",
    notebook="07",
    title="How many tokens, how long a patch, how many parameters",
    reference=patch_numbers,
    probes=size_cases,
    call=by_name,
    hints=[
        "How many patches fit beside each other, and how many below each other? The grid has as many as both "
        "multiplied.",
        "A patch is a small image: height, width, channels.",
        "A linear layer from `length` numbers to `dim` has a weight for each pair, and a bias for each output. All "
        "patches share it.",
    ],
    mistakes=[
        Mistake(
            "sum_of_sides",
            counted(tokens=lambda H, W, P, Q, C, D: H // P + W // Q),
            "You add rows and columns of the grid. A grid of 2 × 3 has 6 places, not 5.",
        ),
        Mistake(
            "one_row",
            counted(tokens=lambda H, W, P, Q, C, D: W // Q),
            "You count the patches of one row. The sequence holds all rows, one after the other.",
        ),
        Mistake(
            "one_column",
            counted(tokens=lambda H, W, P, Q, C, D: H // P),
            "You count the patches of one column, the rows of the grid. Each row has W / Q patches.",
        ),
        Mistake(
            "area_by_width",
            counted(tokens=lambda H, W, P, Q, C, D: H * W // Q),
            "You divide the pixels by the patch's width alone. A patch covers P × Q pixels.",
        ),
        Mistake(
            "sides_swapped",
            counted(tokens=lambda H, W, P, Q, C, D: (H // Q) * (W // P)),
            "You divide the height by the patch's width and the width by its height. `patch_size` is (P, Q), height "
            "first, as `image_size` is.",
        ),
        Mistake(
            "square_image",
            counted(tokens=lambda H, W, P, Q, C, D: (H // P) ** 2),
            "You square the rows of the grid. That is right for square images of square patches alone; here columns "
            "are counted by themselves.",
        ),
        Mistake(
            "one_side",
            lambda image_size, patch_size, channels, dim: patch_numbers(image_size, patch_size[:1] * 2, channels, dim),
            "You use the patch's height for its width as well, in the grid and in the patch. `patch_size` is a pair, "
            "and the two may differ.",
        ),
        Mistake(
            "area_by_side",
            counted(tokens=lambda H, W, P, Q, C, D: H * W // P),
            "You divide the pixels by one side of the patch. A patch covers an area: that is why halving its side "
            "makes four times as many tokens.",
        ),
        Mistake(
            "overlapping",
            counted(tokens=lambda H, W, P, Q, C, D: (H - P + 1) * (W - Q + 1)),
            "That is the number of places of a convolution that moves by one pixel, as in notebook 02. Patches do "
            "not overlap: the next one begins where the last one ends.",
        ),
        Mistake(
            "class_token",
            counted(tokens=lambda H, W, P, Q, C, D: (H // P) * (W // Q) + 1),
            "You count one too many: perhaps the class token, which the next notebook adds. It is no patch.",
        ),
        Mistake(
            "no_channels",
            counted(length=lambda H, W, P, Q, C, D: P * Q),
            "Your patch has one number a pixel. A pixel has as many as there are channels, three in a colour image.",
        ),
        Mistake(
            "square_patch",
            counted(length=lambda H, W, P, Q, C, D: P * P * C),
            "You square one side of the patch. That is right for square patches alone; height and width are two "
            "numbers here.",
        ),
        Mistake(
            "square_patch_width",
            counted(length=lambda H, W, P, Q, C, D: Q * Q * C),
            "You square the patch's width. A patch has P rows of Q pixels, so its height counts as well.",
        ),
        Mistake(
            "order",
            lambda *sizes: tuple(patch_numbers(*sizes)[i] for i in (1, 0, 2)),
            "All three are right, and the first two have changed places: first the number of tokens, then the length "
            "of a patch.",
        ),
        Mistake(
            "length_in_parameters",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: P * Q * D + D),
            "The length of a patch is right, but the parameters are those for a patch of one channel. The layer reads "
            "the whole flat patch, channels and all.",
        ),
        Mistake(
            "one_bias",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: numbers * D + 1),
            "You count a single bias. There is one for each of the `dim` outputs.",
        ),
        Mistake(
            "own_weights_no_bias",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: n * numbers * D),
            "Your count grows with the number of tokens, and has no biases. All patches share one map, so tokens do "
            "not come in; and each of the `dim` outputs has a bias.",
        ),
        Mistake(
            "no_bias",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: numbers * D),
            "The weights are counted, the biases are not: one for each of the `dim` outputs.",
        ),
        Mistake(
            "bias_per_input",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: numbers * D + numbers),
            "You count a bias for each *input*. A bias is added to an output, so there are `dim` of them.",
        ),
        Mistake(
            "own_weights",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: n * (numbers * D + D)),
            "You give each patch a map of its own. There is one map, and every patch goes through it: this sharing "
            "is what the patch embedding has in common with a convolution.",
        ),
        Mistake(
            "whole_image",
            counted(parameters=lambda n, numbers, H, W, P, Q, C, D: H * W * C * D + D),
            "That is a linear layer on the *whole* image. This one sees a single patch at a time.",
        ),
    ],
    variants=[numbers_by_area, numbers_by_steps],
    solved="Three numbers that you should know of any ViT before you start it.",
)

EXERCISES = [PATCH_NUMBERS]
