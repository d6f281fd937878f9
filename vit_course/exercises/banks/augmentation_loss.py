"""Notebook 15: cross-entropy with soft labels."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.banks.training_vit_smoothing import CAPS
from vit_course.exercises.core import Exercise, Mistake


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over the batch of -Σ targets · ln softmax(logits): both (B, K), targets' rows sum to 1."""
    return loss()(logits, targets)


def loss(
    log_p: Callable = lambda logits: logits.log_softmax(dim=1),
    together: Callable = lambda terms: terms.sum(dim=1).mean(),
    weights: Callable = lambda targets: targets,
) -> Callable:
    """`soft_cross_entropy` with another logarithm, other sums, or other weights."""
    return lambda logits, targets: together(-weights(targets) * log_p(logits))


def one_hot_of_largest(targets: Tensor) -> Tensor:
    return F.one_hot(targets.argmax(dim=1), targets.shape[1]).float()


def scores_and_targets() -> list[tuple]:
    """(logits, targets): two classes in some rows, one in others; the last with scores so large that exp overflows."""

    def draw(b: int, k: int, scale: float) -> tuple:
        share = torch.rand(b, 1) * 0.3 + 0.6
        share[-1] = 1.0
        own = torch.arange(b) % k
        hot = F.one_hot(own, k).float()
        with torch.enable_grad():  # no leaf, like a model's output: to change it in place is no error of torch's
            logits = scale * torch.randn(b, k, requires_grad=True)
        return logits, share * hot + (1 - share) * hot.roll(1, dims=1)

    return [draw(3, 2, 1.0), draw(5, 4, 2.0), draw(4, 7, 1.5), draw(6, 3, 4000.0)]


def by_loop(logits: Tensor, targets: Tensor) -> Tensor:
    total = torch.zeros(())
    for z, t in zip(logits, targets, strict=True):
        total = total + (t * (z.logsumexp(0) - z)).sum()
    return total / len(logits)


def by_hand(logits: Tensor, targets: Tensor) -> Tensor:
    z = logits - logits.amax(dim=1, keepdim=True)
    log_sum = z.exp().sum(dim=1).log()  # (B,)
    return (log_sum - torch.einsum("bk,bk->b", targets, z)).mean()


def of_two_classes(logits: Tensor, targets: Tensor) -> Tensor:
    """What MixUp's authors compute: the two labels' cross-entropies, each by its share."""
    weights, classes = targets.topk(2, dim=1)
    each = [F.cross_entropy(logits, classes[:, i], reduction="none") for i in (0, 1)]
    return (weights[:, 0] * each[0] + weights[:, 1] * each[1]).mean()


def divergence(logits: Tensor, targets: Tensor) -> Tensor:
    return F.kl_div(logits.log_softmax(1), targets, reduction="batchmean")


SOFT_CROSS_ENTROPY = Exercise(
    name="soft_cross_entropy",
    notebook="15",
    title="Cross-entropy with soft labels",
    reference=soft_cross_entropy,
    probes=scores_and_targets,
    axes={"logits": "B K", "targets": "B K"},
    hints=[
        "With a hard label the loss looks at one class: -ln p of the true one. With a soft label it looks at all of "
        "them, each weighted by the label's share.",
        "`logits.log_softmax(dim=1)` gives ln p for every class, safely. Multiply by `targets`, add up over the "
        "classes, average over the images.",
    ],
    mistakes=[
        Mistake(
            "hardened",
            loss(weights=one_hot_of_largest),
            "You made the labels hard again (`argmax`), so all the mixing was for nothing: 60 % star counts as star. "
            "The loss takes every class by its share.",
        ),
        Mistake(
            "mean_over_classes",
            loss(together=lambda terms: terms.mean()),
            "You averaged over the classes too. That makes the loss K times too small, and with it every gradient. "
            "Add up over the classes, average over the images.",
        ),
        Mistake(
            "summed_over_batch",
            loss(together=lambda terms: terms.sum()),
            "You added up over the images as well. Then the step grows with the batch size. Average over the images.",
        ),
        Mistake(
            "sign",
            loss(together=lambda terms: -terms.sum(dim=1).mean()),
            "The sign is wrong: logarithms of probabilities are negative, so the loss carries a minus. Without it, "
            "training makes the right classes *less* likely.",
        ),
        Mistake(
            "softmax_over_batch",
            loss(log_p=lambda logits: logits.log_softmax(dim=0)),
            "Your softmax runs over the batch (`dim=0`): the images compete for each class. It is the classes of one "
            "image that compete.",
        ),
        Mistake(
            "no_softmax",
            loss(log_p=lambda logits: logits),
            "The logits are used as they are. Without the softmax nothing holds them back: the loss falls without end "
            "while one logit grows.",
        ),
        Mistake(
            "no_logarithm",
            loss(log_p=lambda logits: logits.softmax(dim=1)),
            "The logarithm is missing: you have the mean probability with a minus. It hardly moves where the model is "
            "sure and wrong, which is where it should push hardest.",
        ),
        Mistake(
            "log_of_softmax",
            loss(log_p=lambda logits: logits.softmax(dim=1).log()),
            "Right on paper. But a small probability becomes 0 in float32 and its logarithm -inf, and `exp` of a logit "
            "above 88 becomes inf: one such image, and the loss is nan. `log_softmax` does both steps in one and never "
            "overflows; `logsumexp` is as safe.",
        ),
        *[
            Mistake(
                f"capped_{small:g}",
                loss(log_p=lambda logits, small=small: (logits.softmax(dim=1) + small).log()),
                f"A small number inside the logarithm ({small:.2g} here) hides -inf, but it caps the loss: a class at "
                f"p = 0 never costs more than -ln of that number, {-math.log(small):.1f}, and its gradient is gone. "
                "Use `log_softmax`.",
            )
            for small in CAPS
        ],
        Mistake(
            "divergence",
            divergence,
            "This is the Kullback-Leibler divergence: cross-entropy minus the entropy of the labels. Its gradients "
            "are the same, so training is too, but its values are smaller, and the curve cannot be compared with "
            "others.",
        ),
        Mistake(
            "divergence_of_torch",
            lambda logits, targets: F.kl_div(logits.log_softmax(1), targets, reduction="none").mean(),
            "This is the Kullback-Leibler divergence, cross-entropy minus the entropy of the labels, and averaged over "
            "the classes too (`kl_div` does that unless told): K times too small.",
        ),
        Mistake(
            "log_of_sum",
            lambda logits, targets: -(targets * logits.softmax(1)).sum(1).log().mean(),
            "You add up the probabilities first and take the logarithm of the sum. Then a model that is sure of either "
            "of the two classes pays little. The loss wants both: a logarithm for each class, then the weighted sum.",
        ),
        Mistake(
            "roles_swapped",
            lambda logits, targets: -(targets.log() * logits.softmax(1)).sum(1).mean(),
            "Targets and model have changed places: the logarithm goes to the model's probabilities. A label's share "
            "may be 0, and ln 0 is -inf.",
        ),
        Mistake(
            "arguments_swapped",
            lambda logits, targets: F.cross_entropy(targets, logits),
            "The arguments have changed places: `F.cross_entropy` takes the logits first, then the targets. Torch "
            "cannot tell, as both are (B, K).",
        ),
        Mistake(
            "squared",
            lambda logits, targets: F.mse_loss(logits.softmax(dim=1), targets),
            "That is a squared distance between probabilities. It can be trained with, but its gradient vanishes "
            "where the model is sure and wrong. Cross-entropy was asked for.",
        ),
        Mistake(
            "softmax_twice",
            lambda logits, targets: F.cross_entropy(logits.softmax(dim=1), targets),
            "You give probabilities to `F.cross_entropy`, which takes logits and does the softmax itself. Done twice, "
            "the loss can never come near its floor.",
        ),
        Mistake(
            "binary",
            lambda logits, targets: F.binary_cross_entropy_with_logits(logits, targets),
            "That is a yes or no for each class by itself, as SigLIP and multi-label tasks use it. Here the classes "
            "share one softmax: what one gains, the others lose.",
        ),
        Mistake(
            "targets_softmaxed",
            loss(weights=lambda targets: targets.softmax(dim=1)),
            "You put the targets through a softmax. They are probabilities already; done again, every class gets a "
            "share, and a pure star becomes a mixture of everything.",
        ),
    ],
    variants=[by_loop, by_hand, of_two_classes, lambda logits, targets: F.cross_entropy(logits, targets)],
    solved="`F.cross_entropy` takes soft labels too, and it is what `fit` uses: nothing in the loop has to change.",
)

EXERCISES = [SOFT_CROSS_ENTROPY]
