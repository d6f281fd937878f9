"""Notebook 19, last part: from vectors to yes or no."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def yes_probabilities(images: Tensor, texts: Tensor, logit_scale: Tensor, logit_bias: Tensor) -> Tensor:
    """σ(exp(logit_scale) · cos + logit_bias) of every image with every text."""
    return answers()(images, texts, logit_scale, logit_bias)


def answers(
    *,
    prepare: Callable[[Tensor], Tensor] = lambda x: F.normalize(x, dim=-1),
    logits: Callable = lambda similarity, scale, bias: scale.exp() * similarity + bias,
    end: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> Callable:
    """`yes_probabilities` with one thing done otherwise."""
    return lambda images, texts, scale, bias: end(logits(prepare(images) @ prepare(texts).T, scale, bias))


def some_vectors() -> list[tuple]:
    """Vectors of any length; images ≠ texts ≠ width; also no image that fits any text, and one that fits two."""
    near = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.5, 0.0]])
    names = torch.tensor([[2.0, 0.0, 0.5], [1.0, 0.1, 0.5], [0.0, 0.0, -2.0], [-1.0, 0.0, 0.0]])
    first = (near, names, torch.tensor(1.5), torch.tensor(-2.0))
    cases = [(3, 5, 4, 2.0, -3.0), (5, 2, 3, 0.7, -0.4), (4, 1, 6, 1.2, 0.9)]
    return [first] + [
        (2 * torch.randn(B, E), 3 * torch.randn(T, E), torch.tensor(s), torch.tensor(b)) for B, T, E, s, b in cases
    ]


def by_loops(images, texts, logit_scale, logit_bias):
    rows = []
    for image in images:
        cosines = [image @ text / (image.norm() * text.norm()) for text in texts]
        rows.append(torch.stack([1 / (1 + torch.exp(-(torch.exp(logit_scale) * c + logit_bias))) for c in cosines]))
    return torch.stack(rows)


def by_cosine_similarity(images, texts, logit_scale, logit_bias):
    cosines = F.cosine_similarity(images[:, None], texts[None], dim=-1)
    return F.logsigmoid(cosines * logit_scale.exp() + logit_bias).exp()


ANSWERS = Exercise(
    name="yes_probabilities",
    notebook="19",
    title="Zero-shot by yes and no",
    reference=yes_probabilities,
    probes=some_vectors,
    result="probabilities",
    axes={"images": "B E", "texts": "T E", "probabilities": "B T"},
    hints=[
        "The logits are those of the loss: similarities of unit vectors, times t, plus b. What the towers give here is "
        "not of length 1 yet.",
        "`logit_scale` is what is learned: t' with t = exp(t').",
        "Each pair was trained as a question of its own. Which function makes one probability of one logit?",
    ],
    mistakes=[
        Mistake(
            "softmax_over_texts",
            answers(end=lambda z: z.softmax(dim=1)),
            "That is CLIP's way: a softmax shares out 100 % among the texts, however badly they all fit, so one of "
            "them always looks right. Here each text is a question of its own, and the answers need not sum to 1.",
        ),
        Mistake(
            "softmax_over_images",
            answers(end=lambda z: z.softmax(dim=0)),
            "A softmax over the images: they compete for a text. Here nothing competes; each pair is a question of its "
            "own.",
        ),
        Mistake(
            "shared_out",
            answers(end=lambda z: z.sigmoid() / z.sigmoid().sum(dim=1, keepdim=True)),
            "You take the right probabilities and then divide each row by its sum. They are answers to separate "
            "questions: two names may both fit, or none, and the sum says so.",
        ),
        Mistake(
            "no_bias",
            answers(logits=lambda s, scale, bias: scale.exp() * s),
            "The bias is forgotten. The order of the texts stays as it is, so an accuracy does not notice. But every "
            "text that is not quite orthogonal to the image becomes a yes: without b, 50 % lies at similarity 0.",
        ),
        Mistake(
            "scale_as_it_is",
            answers(logits=lambda s, scale, bias: scale * s + bias),
            "You multiply by `logit_scale` itself. It is the logarithm of t: the model learned t = exp(logit_scale), "
            "and with the logarithm alone all similarities count far too little.",
        ),
        Mistake(
            "no_scale",
            answers(logits=lambda s, scale, bias: s + bias),
            "The similarities are not multiplied by t: they lie in -1 … 1, so nearly all that is left is the bias.",
        ),
        Mistake(
            "divided",
            answers(logits=lambda s, scale, bias: s / scale.exp() + bias),
            "You divide by t. It is a factor, 1 / temperature.",
        ),
        Mistake(
            "bias_scaled",
            answers(logits=lambda s, scale, bias: scale.exp() * (s + bias)),
            "The bias is multiplied by t as well. First t times the similarity, then the bias.",
        ),
        Mistake(
            "bias_subtracted",
            answers(logits=lambda s, scale, bias: scale.exp() * s - bias),
            "You take the bias off. It was learned as something to *add*, and is negative of itself: with the sign "
            "turned the model says yes to everything.",
        ),
        Mistake(
            "not_of_length_1",
            answers(prepare=lambda x: x),
            "The vectors are not brought to length 1. A long vector then gives large logits, whatever its direction, "
            "and the loss has never seen such.",
        ),
        Mistake(
            "along_the_batch",
            answers(prepare=lambda x: F.normalize(x, dim=0)),
            "The vectors are brought to length 1 along the wrong axis: each *number* over the batch, in place of each "
            "vector over its numbers. An image's answer then depends on the other images.",
        ),
        Mistake(
            "logits",
            answers(end=lambda z: z),
            "Those are the logits. They are in the right order; the sigmoid makes probabilities of them.",
        ),
        Mistake(
            "only_the_best",
            answers(end=lambda z: (z == z.max(dim=1, keepdim=True).values).float()),
            "You mark the best text of each image with a 1. Asked is for a probability for each text.",
        ),
        Mistake(
            "texts_first",
            answers(end=lambda z: z.sigmoid().T),
            "Your result is (T, B): a row for each text. A row for each image is expected.",
        ),
        Mistake(
            "texts_not_of_length_1",
            lambda x, y, scale, bias: (scale.exp() * F.normalize(x, dim=-1) @ y.T + bias).sigmoid(),
            "The images have length 1, the texts have not: a name with a long vector says yes to too much.",
        ),
        Mistake(
            "images_not_of_length_1",
            lambda x, y, scale, bias: (scale.exp() * x @ F.normalize(y, dim=-1).T + bias).sigmoid(),
            "The texts have length 1, the images have not: an image with a long vector gets a surer yes, and a "
            "surer no, than the others.",
        ),
        Mistake(
            "normed_whole",
            answers(prepare=lambda x: x / x.norm()),
            "You divide by the length of the whole matrix: a picture's answer then depends on how many others are "
            "asked about. Each *row* gets length 1.",
        ),
        Mistake(
            "logarithm",
            answers(end=F.logsigmoid),
            "Those are the logarithms of the probabilities, as the loss takes them. Asked for are the probabilities.",
        ),
        Mistake(
            "similarity_alone",
            answers(logits=lambda s, scale, bias: s),
            "Neither scale nor bias is used. A sigmoid of a number in -1 … 1 lies between 0.27 and 0.73: nothing is "
            "ever sure.",
        ),
    ],
    variants=[by_loops, by_cosine_similarity],
    solved="An image may get two names, or none: the rows do not sum to 1, and need not.",
)

EXERCISES = [ANSWERS]
