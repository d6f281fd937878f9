"""Notebook 10, fourth part: the parameters of a block."""

from torch import nn

from vit_course.exercises.core import Exercise, Mistake, Tolerance


def block_parameters(dim: int, mlp_ratio: float) -> int:
    """Weights and biases of two norms, qkv, proj and the MLP's two layers."""
    return counted()(dim, mlp_ratio)


def counted(*, qkv=3, proj=1, biases=True, norms=4, layers=2, ratio=None, norm_of_hidden=0):
    """The count with something left out or counted otherwise."""

    def answer(dim, mlp_ratio):
        hidden = int(dim * (ratio or mlp_ratio))
        count = (qkv + proj) * dim * dim + norms * dim + layers * dim * hidden + norm_of_hidden * hidden
        if biases:
            count += (qkv + proj) * dim + (hidden + dim if layers == 2 else hidden)
        return count

    return answer


def by_counting(dim: int, mlp_ratio: float) -> int:
    """Right: build the layers and count."""
    hidden = int(dim * mlp_ratio)
    layers = [nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)]
    layers += [nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.Linear(hidden, dim)]
    return sum(p.numel() for layer in layers for p in layer.parameters())


BLOCK_PARAMETERS = Exercise(
    name="block_parameters",
    notebook="10",
    title="Count the parameters of a block",
    reference=block_parameters,
    probes=lambda: [(8, 4.0), (6, 2.0), (192, 4.0), (10, 2.5)],
    tolerance=Tolerance(rtol=0, atol=0.5),
    hints=[
        "Six layers in two branches: norm, qkv, proj; norm, fc1, fc2. Write down in and out of each.",
        "A linear layer from a to b has a · b weights and b biases. qkv goes from D to 3D. A LayerNorm has D weights "
        "and D biases.",
        "For ratio 4 everything adds up to 12 D² + 13 D. How do the 12 come about, and what is it for another ratio?",
    ],
    mistakes=[
        Mistake("no_biases", counted(biases=False, norms=4), "The biases of the four linear layers are missing."),
        Mistake(
            "matrices_only",
            counted(biases=False, norms=0),
            "You counted the matrices alone. That is a good estimate, (4 + 2 · ratio) D², and short by every bias "
            "and both norms.",
        ),
        Mistake(
            "no_norms",
            counted(norms=0),
            "The two norms are missing. Each has a weight and a bias for every channel.",
        ),
        Mistake(
            "one_norm",
            counted(norms=2),
            "2 D are missing. Either one norm is not counted, or each has only its weights: there are two, "
            "with D weights and D biases each. Or qkv has D biases in your sum: it has one for each output, 3 D.",
        ),
        Mistake(
            "one_of_three",
            counted(qkv=1),
            "qkv is counted as one D × D matrix. It makes queries, keys *and* values: D to 3 D.",
        ),
        Mistake(
            "no_proj",
            counted(proj=0),
            "A D × D matrix and its bias are missing: `proj`, which mixes the heads at the end of attention.",
        ),
        Mistake(
            "half_an_mlp",
            counted(layers=1),
            "Only the first layer of the MLP is counted. It goes from D to ratio · D; a second one goes back.",
        ),
        Mistake(
            "half_an_mlp_down",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) - (dim + 1) * int(dim * mlp_ratio),
            "Only the second layer of the MLP is counted, from ratio · D to D. The first has as many weights, and a "
            "bias for each of its ratio · D outputs.",
        ),
        Mistake(
            "no_attention",
            counted(qkv=0, proj=0),
            "The two layers of attention are missing: qkv, from D to 3 D, and proj, from D to D.",
        ),
        Mistake(
            "no_mlp",
            lambda dim, mlp_ratio: 4 * dim * dim + 8 * dim,
            "The MLP is missing, and it is the larger part: a layer from D to ratio · D and one back.",
        ),
        Mistake(
            "no_qkv_bias",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) - 3 * dim,
            "3 D are missing: the biases of qkv, one for each of its 3 D outputs.",
        ),
        Mistake(
            "one_bias_short",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) - dim,
            "D are missing: the biases of `proj`, or those of the MLP's second layer.",
        ),
        Mistake(
            "fc1_bias",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) - int(dim * mlp_ratio),
            "The biases of the MLP's first layer are missing. It has one for each output: ratio · D.",
        ),
        Mistake(
            "mlp_biases_dim",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) - int(dim * mlp_ratio) + dim,
            "The MLP's first layer has D biases in your sum. A bias belongs to an output: it has ratio · D of them.",
        ),
        Mistake(
            "fc2_bias_hidden",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) + int(dim * mlp_ratio) - dim,
            "The MLP's second layer has ratio · D biases in your sum. A bias belongs to an output: it has D of them.",
        ),
        Mistake(
            "no_mlp_biases",
            lambda dim, mlp_ratio: block_parameters(dim, mlp_ratio) - int(dim * mlp_ratio) - dim,
            "The MLP's biases are missing: ratio · D in its first layer, D in its second.",
        ),
        Mistake(
            "fixed",
            counted(ratio=4),
            "You always count with ratio 4. The ratio is an argument.",
        ),
        Mistake(
            "no_norm_in_the_middle",
            counted(norm_of_hidden=2),
            "There is a norm too many, as wide as the hidden layer. The norms stand in front of the branches, D wide.",
        ),
        Mistake(
            "a_final_norm",
            counted(norms=6),
            "2 D too many: three norms. A block has two; the last one, of equation 4, stands once behind all blocks.",
        ),
    ],
    variants=[by_counting, lambda d, r: (4 + 2 * r) * d**2 + (9 + r) * d],
    solved="For ViT-B, D = 768: 7,087,872 a block, and twelve of them make 85 of its 86.6 million.",
)

EXERCISES = [BLOCK_PARAMETERS]
