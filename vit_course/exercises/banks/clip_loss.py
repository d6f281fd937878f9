"""Notebook 18, third part: the symmetric contrastive loss."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def contrastive_loss(images: Tensor, texts: Tensor, temperature: float) -> Tensor:
    """Each image among the texts, each text among the images: (B, E) and (B, E) -> a scalar."""
    return made()(images, texts, temperature)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def diagonal(logits: Tensor) -> Tensor:
    return torch.arange(len(logits))


def rows(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def both(logits: Tensor, labels: Tensor) -> Tensor:
    return (rows(logits, labels) + rows(logits.T, labels)) / 2


def made(
    norm: Callable = unit,
    scaled: Callable = lambda similarities, temperature: similarities / temperature,
    labels: Callable = diagonal,
    loss: Callable = both,
    other: Callable | None = None,
) -> Callable:
    """`contrastive_loss` with one part done otherwise; `other`: the texts' norm where it is not the images'."""

    def answer(images, texts, temperature):
        logits = scaled(norm(images) @ (other or norm)(texts).T, temperature)
        return loss(logits, labels(logits))

    return answer


def temperature_in_one(images: Tensor, texts: Tensor, temperature: float) -> Tensor:
    cosines = unit(images) @ unit(texts).T
    return (rows(cosines / temperature, diagonal(cosines)) + rows(cosines.T, diagonal(cosines))) / 2


def one_by_one(images, texts, temperature):
    losses = []
    for i in range(len(images)):
        to_texts = F.cosine_similarity(images[i : i + 1], texts) / temperature
        to_images = F.cosine_similarity(texts[i : i + 1], images) / temperature
        losses += [to_texts.logsumexp(0) - to_texts[i], to_images.logsumexp(0) - to_images[i]]
    return sum(losses) / len(losses)


def on_the_diagonal(images, texts, temperature):
    logits = torch.einsum("ie,te->it", F.normalize(images, dim=-1), F.normalize(texts, dim=-1)) / temperature
    log_rows, log_columns = logits.log_softmax(dim=1), logits.log_softmax(dim=0)
    return -(log_rows + log_columns).diagonal().mean() / 2


def with_one_hot(images, texts, temperature):
    logits = F.normalize(images) @ F.normalize(texts).T / temperature
    targets = torch.eye(len(logits))
    return 0.5 * F.cross_entropy(logits, targets) + 0.5 * F.cross_entropy(logits.T, targets)


def stacked(images, texts, temperature):
    logits = F.normalize(images) @ F.normalize(texts).T / temperature
    return F.cross_entropy(torch.cat([logits, logits.T]), torch.arange(len(logits)).repeat(2))


LOSS = Exercise(
    name="contrastive_loss",
    notebook="18",
    title="The symmetric contrastive loss",
    reference=contrastive_loss,
    probes=lambda: [
        (torch.randn(3, 2) * 2, torch.randn(3, 2) * 3, 0.5),
        (torch.randn(5, 4), torch.randn(5, 4) / 2, 0.1),
        (torch.randn(2, 6) + 1, torch.randn(2, 6) * 4, 2.0),
    ],
    result="loss",
    axes={"images": "B E", "texts": "B E"},
    hints=[
        "Four steps: unit vectors, all B × B similarities, divided by the temperature, cross-entropy in both "
        "directions.",
        "`F.normalize(x, dim=-1)` gives rows of length 1. `a @ b.T` compares every row of a with every row of b.",
        "Row i of the logits is a classification with B classes, and its right class is i. The columns are the rows "
        "of the transpose.",
    ],
    mistakes=[
        Mistake(
            "images_only",
            made(loss=rows),
            "One direction is missing. Each image chooses among the texts, but no text chooses among the images: a "
            "picture that draws all texts to itself is not punished for it. Columns count as much as rows.",
        ),
        Mistake(
            "texts_only",
            made(loss=lambda logits, labels: rows(logits.T, labels)),
            "One direction is missing. Each text chooses among the images, but no image chooses among the texts. That "
            "is the softmax over the wrong axis for half of the loss: rows count as much as columns.",
        ),
        Mistake(
            "not_halved",
            made(loss=lambda logits, labels: rows(logits, labels) + rows(logits.T, labels)),
            "You add the two directions and do not halve them. Training with Adam would hardly notice, but the loss "
            "of a model that knows nothing would be 2 ln B, and no longer comparable with anybody's.",
        ),
        Mistake(
            "summed",
            made(loss=lambda logits, labels: len(logits) * both(logits, labels)),
            "You add up the pairs' losses where the mean is asked for: the step would grow with the batch size.",
        ),
        Mistake(
            "no_norm",
            made(norm=lambda x: x),
            "The vectors are not normalised: a long vector is then similar to everything it points roughly towards. "
            "The network can lower the loss by making vectors longer, and the temperature means nothing. Bring each "
            "row to length 1 first.",
        ),
        Mistake(
            "images_not_normed",
            made(norm=lambda x: x, other=unit),
            "The texts have length 1, the images have not: an image with a long vector gets a lower temperature than "
            "the others. Both sides are normalised.",
        ),
        Mistake(
            "texts_not_normed",
            made(other=lambda x: x),
            "The images have length 1, the texts have not: a text with a long vector draws more images to itself than "
            "it should. Both sides are normalised.",
        ),
        Mistake(
            "normed_columns",
            made(norm=lambda x: x / x.norm(dim=0, keepdim=True)),
            "You normalise along the batch: each of the E columns has length 1, no vector has. One row's result then "
            "depends on who else is in the batch. Which axis holds one vector's numbers?",
        ),
        Mistake(
            "normed_whole",
            made(norm=lambda x: x / x.norm()),
            "You divide by the length of the *whole* matrix: the rows keep different lengths, and all of them are "
            "below 1. A norm needs to know along which axis.",
        ),
        Mistake(
            "not_rooted",
            made(norm=lambda x: x / x.square().sum(dim=-1, keepdim=True)),
            "You divide by the *squared* length: long vectors become short and short ones long. The root is missing.",
        ),
        Mistake(
            "multiplied",
            made(scaled=lambda s, t: s * t),
            "You multiply by the temperature where it divides. A temperature of 0.1 then makes all similarities "
            "nearly equal instead of ten times as far apart, the softmax is nearly uniform, and the loss sticks near "
            "ln B.",
        ),
        Mistake(
            "unused",
            made(scaled=lambda s, t: s),
            "The temperature is not used. Cosines lie between -1 and 1, so that no softmax over them can be sure of "
            "anything: the loss has a floor far above 0.",
        ),
        Mistake(
            "exponential",
            made(scaled=lambda s, t: s * torch.tensor(t).exp()),
            "You multiply by e to the power of the temperature. The package's `clip_loss` does this with its "
            "`logit_scale`, which is the *logarithm* of 1 / temperature. Here the temperature itself is given: divide.",
        ),
        Mistake(
            "softmax_first",
            made(loss=lambda z, labels: (rows(z.softmax(dim=1), labels) + rows(z.T.softmax(dim=1), labels)) / 2),
            "You give probabilities to `F.cross_entropy`, which takes raw logits and does the softmax itself. Done "
            "twice, the loss can never come near 0.",
        ),
        Mistake(
            "exponentials_first",
            made(scaled=lambda s, t: (s / t).exp()),
            "You take exponentials and then call `F.cross_entropy`, which takes raw logits and does this itself. Done "
            "twice, the loss explodes at low temperatures.",
        ),
        Mistake(
            "log_of_the_mean",
            made(loss=lambda z, labels: -sum(z.softmax(dim=i).diagonal().mean().log() for i in (0, 1)) / 2),
            "You average the probabilities and take the logarithm of that. Each pair has its own loss, minus the "
            "logarithm of its probability: logarithm first, then the mean.",
        ),
        Mistake(
            "no_norm_multiplied",
            made(norm=lambda x: x, scaled=lambda s, t: s * t),
            "Two things: the vectors are not brought to length 1, and you multiply by the temperature where it "
            "divides.",
        ),
        Mistake(
            "labels_zero",
            made(labels=lambda logits: torch.zeros(len(logits), dtype=torch.long)),
            "Every row is told that class 0 is right: all images are drawn to the first text. Row i belongs to text i.",
        ),
        Mistake(
            "labels_one",
            made(labels=lambda logits: torch.ones(len(logits), dtype=torch.long)),
            "Every row is told that class 1 is right: a label of `F.cross_entropy` is no yes or no, but the *number* "
            "of the right class. Row i belongs to text i.",
        ),
        Mistake(
            "minus_sign",
            made(scaled=lambda s, t: -s / t),
            "The sign is wrong: the loss falls as matching pairs move *apart*.",
        ),
        Mistake(
            "no_negatives",
            made(loss=lambda logits, labels: -logits.diagonal().mean()),
            "You pull matching pairs together and push nothing apart. The best answer is then one and the same vector "
            "for everything. The other pairs of the batch belong into the softmax.",
        ),
        Mistake(
            "sigmoid",
            made(loss=lambda logits, labels: F.binary_cross_entropy_with_logits(logits, torch.eye(len(logits)))),
            "You ask of each pair by itself, yes or no. That is on the way to SigLIP, the next notebook. CLIP has "
            "each row *choose*: a softmax, and the right class is the row's own number.",
        ),
        Mistake(
            "temperature_twice",
            made(scaled=lambda s, t: s / t**2),
            "You divide by the temperature twice: both vectors by it, perhaps, before they meet. With 0.1 the "
            "cosines count 100 times where they should count 10 times.",
        ),
        Mistake(
            "temperature_in_one",
            temperature_in_one,
            "The temperature is used in one direction and not in the other. Both read the same table: divide before "
            "you split the ways.",
        ),
        Mistake(
            "product_normed",
            made(norm=lambda x: x, scaled=lambda s, t: unit(s) / t),
            "You normalise the *rows of the table*, after the product. It is the vectors that get length 1, before "
            "they meet; then a product is a cosine.",
        ),
    ],
    variants=[one_by_one, on_the_diagonal, with_one_hot, stacked],
    solved="A model that knows nothing has the loss ln B: a batch is an exam with B answers to choose from.",
)

EXERCISES = [LOSS]
