"""Notebook 19, third part: the sigmoid loss with a few texts at a time."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vit_course.exercises.core import Exercise, Mistake, is_blank


class Largest(TorchDispatchMode):
    """Notes the most numbers that any operation inside gives out."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, Tensor):
                self.numbers = max(self.numbers, part.numel())
        return result


def run_in_chunks(answer: Callable, images: Tensor, texts: Tensor, t: float, b: float, chunk: int) -> object:
    """The loss, and whether more logits were held at once than B × chunk."""
    with Largest() as largest:
        loss = answer(images, texts, t, b, chunk)
    if is_blank(loss):
        return loss
    room = max(len(images) * chunk, images.numel())
    return {"loss": loss, "a B × B table at once": "yes" if largest.numbers > room else "no"}


def chunked_sigmoid_loss(images: Tensor, texts: Tensor, t: float, b: float, chunk: int) -> Tensor:
    """`sigmoid_loss`, `chunk` texts at a time."""
    return in_chunks()(images, texts, t, b, chunk)


def on_place(logits: Tensor, start: int) -> Tensor:
    """+1 where row i meets text i = start + column, -1 elsewhere."""
    rows, columns = torch.arange(len(logits))[:, None], start + torch.arange(logits.shape[1])
    return torch.where(rows == columns, 1.0, -1.0)


def in_chunks(
    signs: Callable[[Tensor, int], Tensor] = on_place,
    each: Callable[[Tensor, Tensor], Tensor] = lambda costs, images: costs.sum(),
    total: Callable = lambda parts, images: torch.stack(parts).sum() / len(images),
    starts: Callable[[int, int], range] = lambda n, chunk: range(0, n, chunk),
    rows: Callable[[Tensor, int, int], Tensor] = lambda images, start, chunk: images,
) -> Callable:
    """The loss in chunks with one thing done otherwise."""

    def answer(images, texts, t, b, chunk):
        parts = []
        for start in starts(len(texts), chunk):
            logits = t * rows(images, start, chunk) @ texts[start : start + chunk].T + b
            parts.append(each(-F.logsigmoid(signs(logits, start) * logits), images))
        return total(parts, images)

    return answer


def whole(images, texts, t, b, chunk):
    logits = t * images @ texts.T + b
    parts = (-F.logsigmoid(on_place(logits, 0) * logits)).split(chunk, dim=1)
    return sum(part.sum() for part in parts) / len(images)


def fresh_diagonal(logits: Tensor, start: int) -> Tensor:
    return 2 * torch.eye(*logits.shape) - 1


def last_taken_for_full(images, texts, t, b, chunk):
    total = 0.0
    for start in range(0, len(texts), chunk):
        z = t * images @ texts[start : start + chunk].T + b
        signs = -torch.ones_like(z)
        for k in range(chunk):
            signs[start + k, k] = 1
        total = total + F.softplus(-signs * z).sum()
    return total / len(images)


def first_only(logits: Tensor, start: int) -> Tensor:
    return fresh_diagonal(logits, 0) if start == 0 else -torch.ones_like(logits)


def with_the_diagonal_apart(images, texts, t, b, chunk):
    total = F.softplus(-(t * (images * texts).sum(1) + b)).sum()
    for start in range(0, len(texts), chunk):
        some = texts[start : start + chunk]
        z = t * images @ some.T + b
        total = total + F.softplus(z).sum() - F.softplus(z[start : start + chunk].diagonal()).sum()
    return total / len(images)


def with_split(images, texts, t, b, chunk):
    total, start = 0.0, 0
    for some in texts.split(chunk):
        z = t * torch.einsum("ie,je->ij", images, some) + b
        yes = torch.zeros_like(z)
        for k in range(len(some)):
            yes[start + k, k] = 1
        total = total + F.binary_cross_entropy_with_logits(z, yes, reduction="sum")
        start += len(some)
    return total / len(images)


def by_images(images, texts, t, b, chunk):
    total = torch.zeros(())
    for start in range(0, len(images), chunk):
        z = t * images[start : start + chunk] @ texts.T + b  # (chunk, B)
        total = total - F.logsigmoid(on_place(z.T, start).T * z).sum()
    return total / len(texts)


def some_chunks() -> list[tuple]:
    """B a multiple of the chunk and not, chunks of one, one chunk alone; E small beside the chunks."""
    cases = [(4, 2, 2), (6, 3, 2), (7, 2, 3), (5, 3, 1), (9, 2, 4), (4, 2, 8)]

    def unit(B: int, E: int) -> Tensor:
        return F.normalize(torch.randn(B, E), dim=-1)

    return [(unit(B, E), unit(B, E), 3.0, -1.5, chunk) for B, E, chunk in cases]


CHUNKS = Exercise(
    name="chunked_sigmoid_loss",
    notebook="19",
    title="The sigmoid loss in chunks",
    reference=chunked_sigmoid_loss,
    call=run_in_chunks,
    probes=some_chunks,
    axes={"images": "B E", "texts": "B E"},
    hints=[
        "A loop over `range(0, B, chunk)`: in each round *all* images meet the texts `start … start + chunk`, so the "
        "logits are (B, chunk). `texts.split(chunk)` also deals with a last chunk that is shorter.",
        "Where are the matches in such a part? Text number start + k belongs to image start + k: which row is that, "
        "and which column?",
        "Add up the costs of all parts; divide once, at the end, by B.",
    ],
    mistakes=[
        Mistake(
            "diagonal_in_every_chunk",
            in_chunks(signs=fresh_diagonal),
            "In every chunk your matches begin in row 0. That is right for the first chunk alone: text number start + "
            "k belongs to image start + k. As it is, the loss pulls most pictures towards somebody else's text.",
        ),
        Mistake(
            "matches_in_the_first_chunk",
            in_chunks(signs=first_only),
            "Only the first chunk has matches; in all others every pair counts as a stranger, so most pictures are "
            "pushed away from their own text.",
        ),
        Mistake(
            "chunk_against_chunk",
            in_chunks(signs=fresh_diagonal, rows=lambda images, start, chunk: images[start : start + chunk]),
            "You take a chunk of the images as well, so each picture meets only the texts of its own chunk: most of "
            "the strangers are never asked about. That is the loss of a small batch, several times over.",
        ),
        Mistake(
            "mean_of_chunks",
            in_chunks(total=lambda parts, images: torch.stack(parts).mean() / len(images)),
            "You average over the chunks, so the loss depends on how it was cut: with twice as many chunks it is half "
            "as large. The parts add up.",
        ),
        Mistake(
            "mean_within",
            in_chunks(each=lambda costs, images: costs.mean(), total=lambda parts, images: torch.stack(parts).mean()),
            "You take means within the chunks and a mean of these means. All B² costs are summed, and divided once, "
            "by B.",
        ),
        Mistake(
            "mean_of_each",
            in_chunks(each=lambda costs, images: costs.mean(), total=lambda parts, images: torch.stack(parts).sum()),
            "You add up the *means* of the chunks, so a short last chunk counts as much as a full one, and the loss "
            "depends on how it was cut. Add up the costs, and divide once, by B.",
        ),
        Mistake(
            "last_chunk_taken_for_full",
            last_taken_for_full,
            "Where B is not a multiple of the chunk, the last one is shorter, and you look for matches beyond its end. "
            "Take the number of texts that are there, not `chunk`.",
        ),
        Mistake(
            "divided_by_the_chunk",
            in_chunks(
                each=lambda costs, images: costs.sum() / costs.shape[1],
                total=lambda parts, images: torch.stack(parts).sum(),
            ),
            "You divide each part by the number of its texts. What counts is the number of images, B, once.",
        ),
        Mistake(
            "not_divided",
            in_chunks(total=lambda parts, images: torch.stack(parts).sum()),
            "The sum is right, and not yet divided by B.",
        ),
        Mistake(
            "last_chunk_lost",
            in_chunks(starts=lambda n, chunk: range(0, n // chunk * chunk, chunk)),
            "The last texts are lost where B is not a multiple of the chunk: `B // chunk` rounds down. The last chunk "
            "may be shorter.",
        ),
        Mistake(
            "last_part_alone",
            in_chunks(total=lambda parts, images: parts[-1] / len(images)),
            "Only the last chunk is left: each round overwrites the sum of the one before. Add to it.",
        ),
        Mistake(
            "all_strangers",
            in_chunks(signs=lambda logits, start: -torch.ones_like(logits)),
            "There is no match in any chunk: every pair counts as a stranger.",
        ),
        Mistake(
            "all_at_once",
            whole,
            "The number is right, but a table of B × B was made on the way: of all logits, cut afterwards, or of all "
            "signs. Cut the *texts*, and make (B, chunk) logits and signs in each round: that needs no more room.",
        ),
        Mistake(
            "zeros_for_signs",
            in_chunks(signs=lambda logits, start: on_place(logits, start).clamp(min=0)),
            "Your signs are 0 where they should be -1: a stranger's logit is multiplied by 0 and always costs ln 2.",
        ),
        Mistake(
            "first_part_alone",
            in_chunks(total=lambda parts, images: parts[0] / len(images)),
            "Only the first chunk is there: does `return` stand inside the loop?",
        ),
        Mistake(
            "losses_of_chunks",
            in_chunks(
                signs=fresh_diagonal,
                rows=lambda x, i, n: x[i : i + n],
                each=lambda costs, x: costs.sum() / costs.shape[1],
                total=lambda parts, images: torch.stack(parts).sum(),
            ),
            "You add up the losses of small batches: each picture meets only the texts of its own chunk, and each "
            "loss is divided by the chunk. All pictures meet all texts here, and the sum is divided once, by B.",
        ),
    ],
    variants=[with_the_diagonal_apart, with_split, by_images],
    solved="The same number, with room for B × chunk logits. A softmax is not cut so easily: its sum needs the row.",
)

EXERCISES = [CHUNKS]
