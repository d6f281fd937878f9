"""Notebook 10, first part: layer normalisation."""

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake


def layer_norm_by_hand(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Each token to mean 0 and variance 1 over its own channels (Ba et al. 2016), then scaled and shifted."""
    return normed()(x, weight, bias, eps)


def normed(
    axes: int | tuple[int, ...] = -1,
    *,
    centre: bool = True,
    unbiased: bool = False,
    root=lambda variance, eps: (variance + eps).sqrt(),
    affine=lambda x, weight, bias: x * weight + bias,
    before=lambda x, weight, bias: x,
    subtract: bool = True,
    keepdim: bool = True,
):
    """`layer_norm_by_hand` with one thing done otherwise."""

    def answer(x, weight, bias, eps):
        x = before(x, weight, bias)
        mean = x.mean(dim=axes, keepdim=keepdim) if centre else 0.0
        variance = x.var(dim=axes, unbiased=unbiased, keepdim=keepdim) if centre else (x**2).mean(axes, keepdim=True)
        return affine((x - mean if subtract else x) / root(variance, eps), weight, bias)

    return answer


def outside(variance: Tensor, eps: float) -> Tensor:
    return variance.sqrt() + eps


def as_typed(name: str, message: str, axes: int | tuple[int, ...] = -1, **options) -> list[Mistake]:
    """A mistake, and the same mistake by `var` and by `std` as they come: unbiased, and eps outside the root."""
    var = " And `var` and `std` divide by one less than the count unless you say otherwise; LayerNorm by the count."
    std = (
        " And `std` has two more traps: it divides by one less than the count unless you say otherwise, and with it "
        "eps stands outside the root. LayerNorm divides by the count and adds eps to the variance, inside."
    )
    found = [
        Mistake(name, normed(axes, **options), message),
        Mistake(f"{name}_by_var", normed(axes, unbiased=True, **options), message + var),
    ]
    if "root" not in options:
        found.append(Mistake(f"{name}_by_std", normed(axes, unbiased=True, root=outside, **options), message + std))
    return found


def by_loops(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    images = []
    for image in x:
        tokens = []
        for token in image:
            mean = sum(token) / len(token)
            variance = sum((value - mean) ** 2 for value in token) / len(token)
            tokens.append((token - mean) / (variance + eps) ** 0.5 * weight + bias)
        images.append(torch.stack(tokens))
    return torch.stack(images)


def by_einsum(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    centred = x - torch.einsum("bnd->bn", x)[..., None] / x.shape[2]
    variance = torch.einsum("bnd,bnd->bn", centred, centred) / x.shape[2]
    return torch.einsum("bnd,bn,d->bnd", centred, torch.rsqrt(variance + eps), weight) + bias


def by_module(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    norm = nn.LayerNorm(x.shape[-1], eps=eps, elementwise_affine=False)
    return torch.addcmul(bias, norm(x), weight)


def by_moments(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Right: variance as the mean of squares less the square of the mean, tokens in one long list."""
    rows = x.flatten(0, 1)
    mean, square = rows.mean(1), (rows * rows).mean(1)
    rows = (rows - mean[:, None]) / torch.sqrt(square - mean**2 + eps)[:, None]
    return (weight * rows + bias).reshape(x.shape)


def tokens() -> list[tuple]:
    """Tokens off zero, of different sizes; an eps large enough to be seen; weights and biases that are not 1 and 0."""
    found = []
    for (b, n, d), eps in (((1, 2, 3), 0.5), ((2, 5, 4), 0.1), ((4, 3, 7), 0.02)):
        scale = torch.linspace(0.3, 2, b * n).reshape(b, n, 1)
        x = (torch.randn(b, n, d) + torch.randn(d)) * scale + 1
        found.append((x, torch.rand(d) + 0.5, torch.randn(d), eps))
    return found


LAYER_NORM_BY_HAND = Exercise(
    name="layer_norm_by_hand",
    notebook="10",
    title="Layer normalisation by hand",
    reference=layer_norm_by_hand,
    probes=tokens,
    axes={"x": "B N D", "weight": "D", "bias": "D", "result": "B N D"},
    hints=[
        "Mean and variance belong to one token: both are taken over the last axis. `keepdim=True` keeps them "
        "(B, N, 1), so that they can be subtracted from (B, N, D).",
        "Divide the sum of squares by D, not by D - 1: `x.var(-1, unbiased=False, keepdim=True)`, or the mean of the "
        "squared deviations.",
        "Order: subtract the mean, divide by the root of (variance + eps), multiply by the weight, add the bias. The "
        "last two have one number a channel and broadcast by themselves.",
    ],
    mistakes=[
        *as_typed(
            "over_tokens",
            "Your mean and variance are taken over the *tokens*: every channel comes out with mean 0 over the image. "
            "That ties the patches of an image together and changes with their number. LayerNorm looks at one token at "
            "a time, over its D channels: which axis is that?",
            axes=1,
        ),
        *as_typed(
            "over_the_batch",
            "Your mean and variance are taken over the *batch*. Then an image's result depends on the images that "
            "happen to lie beside it, and in a batch of one there is nothing to compare with. LayerNorm looks at one "
            "token at a time: the last axis.",
            axes=0,
        ),
        *as_typed(
            "batch_norm",
            "This is BatchNorm: one mean and variance for each channel, over all tokens of all images. LayerNorm turns "
            "it round: one mean and variance for each *token*, over its channels.",
            axes=(0, 1),
        ),
        *as_typed(
            "over_the_image",
            "One mean and variance for a whole image, over its tokens *and* channels. A token that is larger than the "
            "others stays larger, and loud patches quieten the rest. Each token gets its own: only the last axis.",
            axes=(1, 2),
        ),
        *as_typed(
            "over_everything",
            "One mean and one variance for the whole batch. A mean without `dim` goes over all axes. Each token needs "
            "its own.",
            axes=(0, 1, 2),
        ),
        Mistake(
            "unbiased_and_outside",
            normed(unbiased=True, root=outside),
            "Two things at once. `std` (as `var`) divides by D - 1 unless you say otherwise, and LayerNorm divides by "
            "D. And eps is added to the deviation; it belongs *inside* the root, to the variance. Published weights "
            "would give slightly other answers, block after block.",
        ),
        Mistake(
            "eps_outside",
            normed(root=outside),
            "Your eps stands outside the root. Inside, it is added to the variance: √(variance + eps). For a token "
            "whose channels are all alike the one divides by 10⁻⁶, the other by 10⁻³, and the gradient of the root "
            "at 0 is infinite.",
        ),
        Mistake(
            "unbiased",
            normed(unbiased=True),
            "Your variance divides by D - 1, which is what `var` does if you say nothing. LayerNorm describes these D "
            "numbers and estimates nothing, so it divides by D. With D = 64 the result is 0.8 % too small: no error "
            "message, but no agreement with published weights.",
        ),
        *as_typed(
            "no_eps",
            "The eps is not used. A token whose channels are all equal has variance 0, and 0 / 0 is NaN: one blank "
            "token is enough to spoil a training run.",
            root=lambda variance, eps: variance.sqrt(),
        ),
        *as_typed(
            "variance_not_root",
            "You divide by the variance; the root is missing. Large tokens come out small and small ones large, where "
            "all should come out with variance 1.",
            root=lambda variance, eps: variance + eps,
        ),
        Mistake(
            "not_centred",
            normed(centre=False),
            "The mean is not subtracted: you divide by the root mean square. That is RMSNorm (Zhang and Sennrich "
            "2019), which many language models use. ViT's norm also takes the mean away.",
        ),
        *as_typed(
            "centred_for_the_variance_only",
            "The mean is subtracted for the variance only: what you divide is x itself, with its mean still in there.",
            subtract=False,
        ),
        *as_typed(
            "no_affine",
            "Weight and bias are not used. Without them every norm's output has the same size, and the network cannot "
            "learn which channels a branch should hear louder. They come last.",
            affine=lambda x, weight, bias: x,
        ),
        *as_typed(
            "no_bias",
            "The bias is not added. At the start it is 0, so nothing shows; after training a published model's biases "
            "are not.",
            affine=lambda x, weight, bias: x * weight,
        ),
        *as_typed(
            "bias_first",
            "You add the bias before you multiply, so the weight scales it as well. First times the weight, then plus "
            "the bias.",
            affine=lambda x, weight, bias: (x + bias) * weight,
        ),
        *as_typed(
            "weight_first",
            "You scale and shift before you normalise. The normalisation then takes most of it away again. Weight and "
            "bias come last.",
            before=lambda x, weight, bias: x * weight + bias,
            affine=lambda x, weight, bias: x,
        ),
        Mistake(
            "default_eps",
            normed(root=lambda variance, eps: (variance + 1e-5).sqrt()),
            "You use a fixed eps, 10⁻⁵, which is PyTorch's default. `eps` is an argument: hand it on.",
        ),
        Mistake(
            "not_squared",
            normed(root=lambda variance, eps: (0 * variance + eps) ** 0.5),
            "The deviations are not squared. Their plain mean is always 0, so only eps is left under the root.",
        ),
        Mistake(
            "summed",
            lambda x, weight, bias, eps: normed(root=lambda v, eps: (x.shape[2] * v + eps).sqrt())(
                x, weight, bias, eps
            ),
            "You add up the squared deviations and do not divide. The variance is their *mean* over the D channels.",
        ),
        Mistake(
            "squares_of_x",
            lambda x, weight, bias, eps: (
                (x - x.mean(2, keepdim=True)) / ((x**2).mean(2, keepdim=True) + eps).sqrt() * weight + bias
            ),
            "You subtract the mean above, but under the root stand the squares of x itself. The variance is the mean "
            "of the squared *deviations* from the mean.",
        ),
        Mistake(
            "no_keepdim",
            normed(keepdim=False),
            "Mean and variance are (B, N), and x is (B, N, D). Broadcasting lines shapes up from the right, so N meets "
            "D. They need a last axis of length 1: `keepdim=True`.",
        ),
    ],
    variants=[by_loops, by_einsum, by_module, by_moments],
    solved="That is all of `nn.LayerNorm`.",
)

EXERCISES = [LAYER_NORM_BY_HAND]
