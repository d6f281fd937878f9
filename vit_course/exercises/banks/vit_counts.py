"""Notebook 11, fifth part: the parameters by formula."""

from collections.abc import Callable

from torch import nn

from vit_course.exercises.core import Exercise, Mistake


def vit_parameters(
    image_size: int, patch_size: int, in_channels: int, num_classes: int, dim: int, depth: int, hidden: int
) -> int:
    """Patch embedding, class token, positions, blocks, final norm, head."""
    N, D = (image_size // patch_size) ** 2, dim
    start = (patch_size**2 * in_channels + 1) * D + D + (1 + N) * D
    attention = D * 3 * D + 3 * D + D * D + D
    mlp = D * hidden + hidden + hidden * D + D
    return start + depth * (2 * D + attention + 2 * D + mlp) + 2 * D + (D + 1) * num_classes


def apart(difference: Callable) -> Callable:
    """The right count plus `difference(N, P, C, K, D, L, h)`."""

    def answer(image_size, patch_size, in_channels, num_classes, dim, depth, hidden):
        right = vit_parameters(image_size, patch_size, in_channels, num_classes, dim, depth, hidden)
        N = (image_size // patch_size) ** 2
        return right + difference(N, patch_size, in_channels, num_classes, dim, depth, hidden)

    return answer


def configurations() -> list[tuple]:
    """Small ones, whose counts by different rules all differ, then ViT-B/16."""
    return [(12, 4, 1, 3, 8, 2, 20), (30, 5, 3, 10, 64, 5, 128), (224, 16, 3, 1000, 768, 12, 3072)]


def by_modules(image_size, patch_size, in_channels, num_classes, dim, depth, hidden):
    """Right: layers made on the meta device, and counted."""

    def block() -> list[nn.Module]:
        linear = [nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, hidden), nn.Linear(hidden, dim)]
        return [nn.LayerNorm(dim), nn.LayerNorm(dim), *linear]

    modules = [nn.Conv2d(in_channels, dim, patch_size, device="meta"), nn.Linear(dim, num_classes, device="meta")]
    modules += [module.to("meta") for module in block() for _ in range(depth)] + [nn.LayerNorm(dim)]
    tokens = 1 + (image_size // patch_size) * (image_size // patch_size)
    return sum(p.numel() for module in modules for p in module.parameters()) + dim * (1 + tokens)


def collected(image_size, patch_size, in_channels, num_classes, dim, depth, hidden):
    """Right: 12 D² and the like, for any hidden width."""
    D = dim
    weights = depth * (4 * D * D + 2 * D * hidden) + patch_size * patch_size * in_channels * D + D * num_classes
    vectors = depth * (9 * D + hidden) + num_classes
    return weights + vectors + (5 + (image_size // patch_size) ** 2) * D


VIT_PARAMETERS = Exercise(
    name="vit_parameters",
    notebook="11",
    title="Count the parameters of a ViT without building it",
    reference=vit_parameters,
    probes=configurations,
    result="count",
    hints=[
        "A linear layer from a to b has a · b weights and b biases, a LayerNorm of width D has 2 · D numbers. Write "
        "one line for each part: patch embedding, class token, positions, one block, final norm, head.",
        "One block: a norm, `qkv` from D to 3 · D, `proj` from D to D, another norm, a layer from D to hidden, and one "
        "back. Only this is multiplied by the depth.",
        "There are (image_size // patch_size)² patches, and the class token has a position too. The number of heads "
        "does not appear anywhere: they share out the same matrices.",
    ],
    mistakes=[
        Mistake(
            "qkv_bias",
            apart(lambda N, P, C, K, D, L, h: -3 * D * L),
            "You are short by 3 · D in every block: the biases of queries, keys and values. The ViT has them.",
        ),
        Mistake(
            "one_norm",
            apart(lambda N, P, C, K, D, L, h: -2 * D * L),
            "You are short by 2 · D in every block. Most likely that is one of its two LayerNorms, before attention "
            "and before the MLP; two of the three biases of `qkv` would be as many.",
        ),
        Mistake(
            "four_vectors_a_block",
            apart(lambda N, P, C, K, D, L, h: -4 * D * L),
            "You are short by 4 · D in every block: either both LayerNorms, or all biases of attention, 3 · D in `qkv` "
            "and D in `proj`.",
        ),
        Mistake(
            "biases_of_the_blocks",
            apart(lambda N, P, C, K, D, L, h: -(5 * D + h) * L),
            "You are short by 5 · D + hidden in every block: the biases of its four linear layers.",
        ),
        Mistake(
            "second_bias_hidden",
            apart(lambda N, P, C, K, D, L, h: (h - D) * L),
            "You have hidden - D too many in every block. A layer has a bias for each number that it *gives out*: the "
            "MLP's second layer gives out D.",
        ),
        Mistake(
            "final_norm_in_every_block",
            apart(lambda N, P, C, K, D, L, h: 2 * D * (L - 1)),
            "You count three LayerNorms in every block. The third is the final one: once, after the last block.",
        ),
        Mistake(
            "final_norm",
            apart(lambda N, P, C, K, D, L, h: -2 * D),
            "You are short by 2 · D, once. Most likely that is the final LayerNorm, between the last block and the "
            "head. The class token together with its position would be as many.",
        ),
        Mistake(
            "one_vector",
            apart(lambda N, P, C, K, D, L, h: -D),
            "You are short by exactly D, one vector of the model's width. Three could be meant: the class token, *its* "
            "position (there are 1 + N of them), or the bias of the patch embedding.",
        ),
        Mistake(
            "one_vector_more",
            apart(lambda N, P, C, K, D, L, h: D),
            "You have exactly D too many, one vector of the model's width. Did the class token or its position come in "
            "twice?",
        ),
        Mistake(
            "one_bias_a_block",
            apart(lambda N, P, C, K, D, L, h: -D * L),
            "You are short by D in every block: a bias. Either that of attention's output, `proj`, or that of the "
            "MLP's second layer.",
        ),
        Mistake(
            "hidden_bias",
            apart(lambda N, P, C, K, D, L, h: -h * L),
            "You are short by `hidden` in every block: the biases of the MLP's first layer.",
        ),
        Mistake(
            "mlp_biases",
            apart(lambda N, P, C, K, D, L, h: -(h + D) * L),
            "You are short by hidden + D in every block: both biases of the MLP.",
        ),
        Mistake(
            "norms_without_bias",
            apart(lambda N, P, C, K, D, L, h: -(2 * L + 1) * D),
            "You count one number a channel for a LayerNorm. It has two: a weight that stretches and a bias that "
            "shifts.",
        ),
        Mistake(
            "no_norms",
            apart(lambda N, P, C, K, D, L, h: -(4 * L + 2) * D),
            "The LayerNorms are missing, two in every block and one at the end. Each has a weight and a bias of "
            "width D.",
        ),
        Mistake(
            "no_proj",
            apart(lambda N, P, C, K, D, L, h: -(D * D + D) * L),
            "Attention has a fourth matrix: `proj`, from D to D, which mixes what the heads found. You count queries, "
            "keys and values alone.",
        ),
        Mistake(
            "one_qkv",
            apart(lambda N, P, C, K, D, L, h: -2 * (D * D + D) * L),
            "Queries, keys and values have a matrix *each*, D · D with D biases. You count one of the three.",
        ),
        Mistake(
            "half_mlp",
            apart(lambda N, P, C, K, D, L, h: -(h * D + D) * L),
            "The MLP has two layers: from D to hidden, and back from hidden to D. You count the first.",
        ),
        Mistake(
            "positions_of_a_row",
            apart(lambda N, P, C, K, D, L, h: (round(N**0.5) - N) * D),
            "You count the patches of one row, and the grid is square: (image_size // patch_size)² patches.",
        ),
        Mistake(
            "no_positions",
            apart(lambda N, P, C, K, D, L, h: -(1 + N) * D),
            "The positions are missing: a learned vector of width D for each of the 1 + N tokens.",
        ),
        Mistake(
            "grey",
            apart(lambda N, P, C, K, D, L, h: -P * P * (C - 1) * D),
            "A patch has `in_channels` numbers for every pixel: its row is P · P · C long.",
        ),
        Mistake(
            "always_colour",
            apart(lambda N, P, C, K, D, L, h: P * P * (3 - C) * D),
            "You count three channels always. `in_channels` may be another number: here it is 1.",
        ),
        Mistake(
            "side_not_squared",
            apart(lambda N, P, C, K, D, L, h: -(P - 1) * P * C * D),
            "You count `patch_size` pixels in a patch. That is one side of it: it has patch_size² pixels.",
        ),
        Mistake(
            "always_four_times",
            lambda *numbers: vit_parameters(*numbers[:-1], 4 * numbers[4]),
            "You take 4 · D for the MLP's hidden width. That is usual, and need not be so: `hidden` says it.",
        ),
        Mistake(
            "no_head",
            apart(lambda N, P, C, K, D, L, h: -(D + 1) * K),
            "The head is missing: a linear layer from D to `num_classes`.",
        ),
        Mistake(
            "head_bias",
            apart(lambda N, P, C, K, D, L, h: -K),
            "You are short by `num_classes`: the bias of the head.",
        ),
        Mistake(
            "one_block",
            apart(lambda N, P, C, K, D, L, h: -(L - 1) * (4 * D * D + 2 * D * h + 9 * D + h)),
            "You count one block. There are `depth` of them, each with weights of its own.",
        ),
        Mistake(
            "no_biases",
            apart(lambda N, P, C, K, D, L, h: -D - K - (5 * D + h) * L),
            "All linear layers are there without their biases: D for the patch embedding, 3 · D, D, hidden and D in "
            "every block, `num_classes` for the head.",
        ),
    ],
    variants=[by_modules, collected],
    solved="Met exactly. From now on a wrong count tells you which part is missing before you have trained anything.",
)

EXERCISES = [VIT_PARAMETERS]
