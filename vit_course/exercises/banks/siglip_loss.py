"""Notebook 19, first part: the sigmoid loss."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def sigmoid_loss(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    """Minus the sum over all B² pairs of log σ(± (t x·y + b)), divided by B; plus on the diagonal, minus beside it."""
    logits = t * images @ texts.T + b  # (B, B)
    signs = 2 * torch.eye(len(images)) - 1
    return -F.logsigmoid(signs * logits).sum() / len(images)


def unit(rows: int, width: int) -> Tensor:
    return F.normalize(torch.randn(rows, width), dim=-1)


def some_pairs() -> list[tuple]:
    """B from 2, never the width; biases of both signs; one batch so far off that exp of a logit overflows."""
    cases = [(2, 3, 1.5, -0.5), (3, 5, 4.0, -2.0), (5, 4, 10.0, -10.0), (4, 6, 2.5, 0.7)]
    drawn = [(unit(B, E), unit(B, E), t, b) for B, E, t, b in cases]
    return [*drawn, (unit(3, 4), unit(3, 4), 300.0, -20.0)]


def other(
    *,
    signs: Callable[[int], Tensor] = lambda n: 2 * torch.eye(n) - 1,
    logits: Callable = lambda x, y, t, b: t * x @ y.T + b,
    cost: Callable[[Tensor], Tensor] = lambda z: -F.logsigmoid(z),
    total: Callable[[Tensor], Tensor] = lambda costs: costs.sum() / len(costs),
) -> Callable:
    """`sigmoid_loss` with one thing done otherwise."""
    return lambda images, texts, t, b: total(cost(signs(len(images)) * logits(images, texts, t, b)))


def cross_entropy(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    logits = t * images @ texts.T + b
    targets = torch.arange(len(images))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def zero_to_one(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    return -F.logsigmoid(torch.eye(len(images)) * (t * images @ texts.T + b)).sum() / len(images)


def sign_outside(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    return -((2 * torch.eye(len(images)) - 1) * F.logsigmoid(t * images @ texts.T + b)).sum() / len(images)


def two_means(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    z, stranger = t * images @ texts.T + b, ~torch.eye(len(images), dtype=torch.bool)
    return F.softplus(-z.diagonal()).mean() + F.softplus(z[stranger]).mean()


def by_probabilities(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    p, match = torch.sigmoid(t * images @ texts.T + b), torch.eye(len(images))
    return -(match * p.log() + (1 - match) * (1 - p).log()).sum() / len(images)


def by_loops(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    total = torch.zeros(())
    for i in range(len(images)):
        for j in range(len(texts)):
            z = t * images[i].dot(texts[j]) + b
            total = total + F.softplus(-z if i == j else z)
    return total / len(images)


def by_binary_cross_entropy(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    logits = torch.einsum("ie,je->ij", images, texts) * t + b
    costs = F.binary_cross_entropy_with_logits(logits, torch.eye(len(images)), reduction="sum")
    return costs / images.shape[0]


def in_two_parts(images: Tensor, texts: Tensor, t: float, b: float) -> Tensor:
    z = t * (images @ texts.transpose(0, 1)) + b
    yes = F.softplus(-z.diagonal()).sum()
    no = F.softplus(z).sum() - F.softplus(z.diagonal()).sum()
    return (yes + no) / len(z)


LOSS = Exercise(
    name="sigmoid_loss",
    notebook="19",
    title="The sigmoid loss of a batch",
    reference=sigmoid_loss,
    probes=some_pairs,
    result="loss",
    axes={"images": "B E", "texts": "B E"},
    hints=[
        "First all B² logits at once, as in CLIP, times t, and then one number more. Then a matrix of the same size "
        "that says +1 where the answer is yes and -1 where it is no. Where is it yes?",
        "`2 * torch.eye(B) - 1` is such a matrix. Times the logits, it turns every question into the same one: how "
        "sure is the model of what is *right*?",
        "`F.logsigmoid` gives the logarithm without overflow. What is summed are B² numbers; what it is divided by is "
        "the number of images.",
    ],
    mistakes=[
        Mistake(
            "labels_zero_and_one",
            zero_to_one,
            "Your labels are 0 and 1 where they should be -1 and +1. Times 0 every wrong pair becomes the logit 0 and "
            "costs ln 2, whatever the model says of it: nothing ever pushes a wrong pair apart, and all pictures and "
            "texts may fall together on one point.",
        ),
        Mistake(
            "mean_of_all",
            other(total=lambda costs: costs.mean()),
            "You take the mean over all B² pairs. The paper divides by B: each image has one right text, and its "
            "weight must not shrink as the batch grows. With B = 256 your loss and its gradients are 256 times too "
            "small.",
        ),
        Mistake(
            "sum",
            other(total=lambda costs: costs.sum()),
            "That is the sum, not divided by B. Twice the batch would mean twice the step.",
        ),
        Mistake(
            "signs_exchanged",
            other(signs=lambda n: 1 - 2 * torch.eye(n)),
            "Your loss grows where the model is *right*. Either the signs are exchanged (+1 belongs on the diagonal, "
            "where a picture meets its own text), or the cost is softplus(z) for softplus(-z). Training would tear the "
            "pairs apart and pull strangers together.",
        ),
        Mistake(
            "no_signs",
            other(signs=lambda n: torch.ones(n, n)),
            "Every pair counts as a match. The loss is lowest where all pictures and texts are one and the same point. "
            "Only the diagonal is a yes.",
        ),
        Mistake(
            "no_bias",
            other(logits=lambda x, y, t, b: t * x @ y.T),
            "The bias is not used. It is what lets the model say *no* to everything at first; the next section shows "
            "what happens without it.",
        ),
        Mistake(
            "bias_after_the_sign",
            lambda images, texts, t, b: (
                -F.logsigmoid((2 * torch.eye(len(images)) - 1) * (t * images @ texts.T) + b).sum() / len(images)
            ),
            "You add the bias after the sign. It belongs to the logit: what makes a yes less likely must make a no "
            "more likely. As it stands it makes every *right* answer less likely.",
        ),
        Mistake(
            "bias_scaled",
            other(logits=lambda x, y, t, b: t * (x @ y.T + b)),
            "The bias stands inside the brackets and is multiplied by t as well: with t = 10 a bias of -10 acts as "
            "-100, and no gradient comes through a sigmoid as flat as that. First t times the similarity, then "
            "the bias.",
        ),
        Mistake(
            "bias_subtracted",
            other(logits=lambda x, y, t, b: t * x @ y.T - b),
            "You take the bias off. It is added: a negative b makes every yes less likely.",
        ),
        Mistake(
            "t_as_a_logarithm",
            other(logits=lambda x, y, t, b: torch.tensor(t).exp() * x @ y.T + b),
            "You take exp of t. A model learns t' with t = exp(t'), but this function is given t itself.",
        ),
        Mistake(
            "temperature_divided",
            other(logits=lambda x, y, t, b: x @ y.T / t + b),
            "You divide by t. It is already 1 / temperature, a factor: at t = 10 all your logits lie within 0.1 of the "
            "bias, so that a match and a stranger look alike.",
        ),
        Mistake(
            "negative",
            other(cost=lambda z: F.logsigmoid(z)),
            "The minus is missing: log σ is negative, and so is your loss. An optimizer would drive it towards minus "
            "infinity, which is where every answer is wrong.",
        ),
        Mistake(
            "no_logarithm",
            other(cost=lambda z: -torch.sigmoid(z)),
            "The logarithm is missing. Without it a pair that is hopelessly wrong hardly pulls at all, since the "
            "sigmoid is flat there.",
        ),
        Mistake(
            "logarithm_of_sigmoid",
            other(cost=lambda z: -torch.sigmoid(z).log()),
            "Right on small logits, and infinite on large ones: in float32 the sigmoid of -200 is 0 and its logarithm "
            "-inf, and exp(200) is inf. `F.logsigmoid` and `F.softplus` do both steps at once.",
        ),
        Mistake(
            "probabilities_first",
            by_probabilities,
            "Right on small logits, and nan on large ones: a sure pair has probability 1 in float32, and log(1 - p) "
            "is -inf. Go from the logit to the logarithm in one step: `F.logsigmoid`, of the logit times the sign.",
        ),
        Mistake(
            "softmax",
            cross_entropy,
            "That is CLIP's loss: a softmax over the row, and one over the column. Here each pair is a question of its "
            "own, and nothing is normalised over the others. (The softmax does not even see the bias.)",
        ),
        Mistake(
            "only_matches",
            lambda images, texts, t, b: -F.logsigmoid(t * (images * texts).sum(1) + b).mean(),
            "Only the B matches are asked about. The B² - B strangers, to which the answer is no, are missing, so the "
            "easiest way out is to say yes to everything.",
        ),
        Mistake(
            "matches_missing",
            other(total=lambda costs: (costs.sum() - costs.trace()) / len(costs)),
            "The diagonal is missing: only strangers are asked about. Saying no to everything would be perfect.",
        ),
        Mistake(
            "sign_outside",
            sign_outside,
            "The sign stands in front of the logarithm: for a stranger you take +log σ(z), which has no end "
            "downwards, so the loss falls for ever as its logit goes to minus infinity. It belongs inside, to the "
            "logit.",
        ),
        Mistake(
            "sigmoid_twice",
            lambda x, y, t, b: (
                F.binary_cross_entropy_with_logits((t * x @ y.T + b).sigmoid(), torch.eye(len(x)), reduction="sum")
                / len(x)
            ),
            "You give probabilities to a function that takes logits and does the sigmoid itself. Done twice, a "
            "stranger never costs less than ln 2.",
        ),
        Mistake(
            "two_means",
            two_means,
            "You take the mean over the matches plus the mean over the strangers, so that both weigh the same. A "
            "fair idea, and another loss: here each pair counts once, and a bias deals with the many strangers.",
        ),
        Mistake(
            "halved",
            other(total=lambda costs: costs.sum() / len(costs) / 2),
            "That is half of the loss. CLIP's has two directions to average; here each pair is asked about once.",
        ),
    ],
    variants=[by_loops, by_binary_cross_entropy, in_two_parts],
    solved="It is `siglip_loss` of the package, and B² binary cross-entropies, added up and divided by B.",
)

EXERCISES = [LOSS]
