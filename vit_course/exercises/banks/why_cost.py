"""Notebook 06, fourth part: what a block costs."""

from collections.abc import Callable

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def block_cost(image_size: tuple[int, int], patch_size: int, dim: int) -> tuple[int, int, int]:
    """Patches, multiplications between tokens (2 N² D), and multiplications in the linear layers (12 N D²)."""
    return cost()(image_size, patch_size, dim)


def by_name(answer: Callable, image_size: tuple[int, int], patch_size: int, dim: int) -> object:
    """The three numbers with their names, so that each is compared by itself."""
    found = answer(image_size, patch_size, dim)
    if is_blank(found):
        return found
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Complaint("Return three numbers: tokens, products between tokens, products in the linear layers.")
    return dict(zip(("tokens", "between tokens", "in the linear layers"), found, strict=True))


def cost(
    tokens: Callable = lambda H, W, P: (H // P) * (W // P),
    between: Callable = lambda N, D: 2 * N * N * D,
    within: Callable = lambda N, D: 12 * N * D * D,
) -> Callable[[tuple[int, int], int, int], tuple]:
    """`block_cost` with another count of one of the three."""

    def answer(image_size, patch_size, dim):
        N = tokens(*image_size, patch_size)
        return N, between(N, dim), within(N, dim)

    return answer


def counted_one_by_one(image_size: tuple[int, int], patch_size: int, dim: int) -> tuple[int, int, int]:
    H, W = image_size
    N = len(range(0, H, patch_size)) * len(range(0, W, patch_size))
    scores, mixing = N * N * dim, N * N * dim
    layers = [(dim, 3 * dim), (dim, dim), (dim, 4 * dim), (4 * dim, dim)]
    return N, scores + mixing, sum(N * a * b for a, b in layers)


def in_floats(image_size: tuple[int, int], patch_size: int, dim: int) -> tuple[int, int, int]:
    N = image_size[0] / patch_size * image_size[1] / patch_size
    return round(N), round(N**2 * dim * 2), round(N * 12 * dim**2)


BLOCK_COST = Exercise(
    name="block_cost",
    notebook="06",
    title="What one block costs",
    reference=block_cost,
    probes=lambda: [((8, 8), 4, 3), ((32, 64), 4, 64), ((224, 160), 16, 192), ((12, 30), 3, 7)],
    call=by_name,
    hints=[
        "How many patches fit along the height, and how many along the width? N is their product.",
        "Between tokens: each of N × N pairs needs a score, a sum of D products. Then each of N tokens becomes a "
        "weighted mean of N vectors of length D. That is twice the same number.",
        "Within: a linear layer from a to b numbers costs a · b multiplications a token. From D to 3D, from D to D, "
        "from D to 4D, from 4D to D: how many D² are they together?",
    ],
    mistakes=[
        Mistake(
            "one_side",
            cost(tokens=lambda H, W, P: H // P),
            "Your N is the number of patches along one side. The sequence has the whole grid, rows times columns; all "
            "else follows from N.",
        ),
        Mistake(
            "one_side_width",
            cost(tokens=lambda H, W, P: W // P),
            "Your N is the number of patches in one row of the grid. The sequence has all rows, one after the other.",
        ),
        Mistake(
            "sum_of_sides",
            cost(tokens=lambda H, W, P: H // P + W // P),
            "You add the rows and columns of the grid. A grid of 2 × 4 has 8 places, not 6.",
        ),
        Mistake(
            "square",
            cost(tokens=lambda H, W, P: (H // P) ** 2),
            "You took the image for a square: height counted twice, width not used.",
        ),
        Mistake(
            "square_width",
            cost(tokens=lambda H, W, P: (W // P) ** 2),
            "You took the image for a square: width counted twice, height not used.",
        ),
        Mistake(
            "patch_not_squared",
            cost(tokens=lambda H, W, P: H * W // P),
            "You divided the pixels by P. A patch has P × P pixels, so there are P times fewer tokens than you say.",
        ),
        Mistake(
            "pixels",
            cost(tokens=lambda H, W, P: H * W),
            "You count pixels as tokens: the patch size is not used. That is what makes attention unaffordable, as "
            "you will see.",
        ),
        Mistake(
            "patch_length",
            cost(tokens=lambda H, W, P: P * P),
            "P² is how many pixels are in one patch, not how many patches are in the image.",
        ),
        Mistake(
            "class_token",
            cost(tokens=lambda H, W, P: (H // P) * (W // P) + 1),
            "One token too many: you count a class token. Here it is the patches alone; one more token would hardly "
            "change the numbers.",
        ),
        Mistake(
            "swapped",
            lambda image_size, patch_size, dim: tuple(block_cost(image_size, patch_size, dim)[i] for i in (0, 2, 1)),
            "All three are right, and the last two have changed places: first the part between tokens, then the "
            "linear layers.",
        ),
        Mistake(
            "linear_in_tokens",
            cost(between=lambda N, D: 2 * N * D),
            "The part between tokens grows with N in your count, not with N². Every token looks at *every* token: "
            "N × N pairs, D products for each.",
        ),
        Mistake(
            "one_product",
            cost(between=lambda N, D: N * N * D),
            "You counted one of the two products. The scores cost N² D, and the weighted means cost as much again.",
        ),
        Mistake(
            "no_width",
            cost(between=lambda N, D: 2 * N * N),
            "N² pairs are right, but the score of one pair is not one multiplication: two vectors of length D are "
            "multiplied number by number.",
        ),
        Mistake(
            "pairs_alone",
            cost(between=lambda N, D: N * N),
            "N² is the number of pairs. The score of a pair costs D products, and there is a second step as large as "
            "the scores: the weighted means.",
        ),
        Mistake(
            "width_squared",
            cost(between=lambda N, D: 2 * N * N * D * D),
            "D counts once between tokens, not twice: the score of a pair is the product of two vectors, number by "
            "number. D² belongs to the linear layers, where each output reads each input.",
        ),
        Mistake(
            "not_itself",
            cost(between=lambda N, D: 2 * N * (N - 1) * D),
            "You leave out a token with itself. A token may look at itself as at any other: N × N pairs.",
        ),
        Mistake(
            "half_the_pairs",
            cost(between=lambda N, D: N * (N - 1) * D),
            "You count each pair once and leave out a token with itself. Token 3's score for token 7 is not token 7's "
            "for token 3, and a token may look at itself: N × N.",
        ),
        Mistake(
            "mlp_left_out",
            cost(within=lambda N, D: 4 * N * D * D),
            "Only the linear layers of attention are in your sum, 3 D² and D². The MLP has 8 D² more: from D to 4D and "
            "back.",
        ),
        Mistake(
            "attention_left_out",
            cost(within=lambda N, D: 8 * N * D * D),
            "You count 8 D² a token: 4 D² are missing. If you counted the MLP alone: queries, keys and values are "
            "linear layers too, 3 D², and D² mixes the result. If you counted those: the MLP has two layers, 4 D² on "
            "the way up and as much on the way down.",
        ),
        Mistake(
            "once_not_per_token",
            cost(within=lambda N, D: 12 * D * D),
            "12 D² is how many *weights* the linear layers have. They are used once for each token.",
        ),
        Mistake(
            "qkv_once",
            cost(within=lambda N, D: 10 * N * D * D),
            "Queries, keys and values are three outputs of length D, so that layer goes from D to 3D; you counted one.",
        ),
        Mistake(
            "no_projection",
            cost(within=lambda N, D: 11 * N * D * D),
            "One D² a token is missing: the layer from D to D that mixes the result of attention.",
        ),
        Mistake(
            "width_once",
            cost(within=lambda N, D: 12 * N * D),
            "A linear layer from D to D costs D² multiplications a token, as each of its D outputs reads D numbers. In "
            "your count it is D.",
        ),
    ],
    variants=[counted_one_by_one, in_floats],
    solved="Which of the two is larger depends on whether N or 6 D is.",
)

EXERCISES = [BLOCK_COST]
