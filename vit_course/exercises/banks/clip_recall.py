"""Notebook 18, fourth part: how often the right one is found."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def recall_at_k(similarities: Tensor, k: int) -> float:
    """Share of queries (rows) whose own item (column i of row i) is among the k most similar; ties count against it."""
    return counted()(similarities, k)


def before(similarities: Tensor) -> Tensor:
    """How many columns go before the row's own: (N,)."""
    return (similarities >= similarities.diagonal()[:, None]).sum(dim=1) - 1


def counted(
    ahead: Callable = before,
    found: Callable = lambda ahead, k: ahead < k,
    share: Callable = lambda hits: hits.float().mean().item(),
) -> Callable:
    """`recall_at_k` with one part done otherwise."""

    def answer(similarities, k):
        return share(found(ahead(similarities), k))

    return answer


def optimistic(similarities: Tensor) -> Tensor:
    """Wrong: ties count for the query."""
    return (similarities > similarities.diagonal()[:, None]).sum(dim=1)


def by_topk(similarities: Tensor, k: int) -> float:
    """Wrong for ties: torch decides who goes first."""
    best = similarities.topk(k, dim=1).indices
    return (best == torch.arange(len(similarities))[:, None]).any(dim=1).float().mean().item()


def kth_alone(similarities: Tensor, k: int) -> float:
    return (similarities.topk(k, dim=1).indices[:, -1] == torch.arange(len(similarities))).float().mean().item()


def share_of_the_places(similarities: Tensor, k: int) -> float:
    return (similarities.topk(k, dim=1).indices == torch.arange(len(similarities))[:, None]).float().mean().item()


def not_a_column(similarities: Tensor, k: int) -> float:
    best = similarities.topk(k, dim=1).indices
    return (best == torch.arange(len(similarities))).any(dim=1).float().mean().item()


def ascending(similarities: Tensor, k: int) -> float:
    best = similarities.argsort(dim=1)[:, :k]
    return (best == torch.arange(len(similarities))[:, None]).any(dim=1).float().mean().item()


def best_alone(similarities: Tensor, k: int) -> float:
    """Wrong: k is not used, and ties go to whoever comes first."""
    return (similarities.argmax(dim=1) == torch.arange(len(similarities))).float().mean().item()


def places_for_ranks(similarities: Tensor, k: int) -> float:
    """Wrong: argsort says who is at each place, not at which place one is."""
    return (similarities.argsort(dim=1, descending=True).diagonal() < k).float().mean().item()


def own_of_the_column(similarities: Tensor) -> Tensor:
    """Wrong: (N,) lines up with the columns."""
    return (similarities >= similarities.diagonal()).sum(dim=1) - 1


def by_loop(similarities, k):
    hits = 0
    for i, row in enumerate(similarities.tolist()):
        others = [value for j, value in enumerate(row) if j != i]
        hits += sorted(others, reverse=True)[k - 1] < row[i] if len(others) >= k else 1
    return hits / len(similarities)


def by_threshold(similarities, k):
    others = similarities.masked_fill(torch.eye(len(similarities), dtype=torch.bool), float("-inf"))
    return (similarities.diagonal() > others.topk(k, dim=1).values[:, -1]).float().mean().item()


def by_sorting(similarities, k):
    ahead = similarities.clone()
    ahead.diagonal().sub_(1e-6)  # last of all that are equal
    order = ahead.argsort(dim=1, descending=True)[:, :k]
    return (order == torch.arange(len(ahead))[:, None]).any(dim=1).double().mean().item()


def tables() -> list[tuple]:
    """A small one by hand, larger ones where rows and columns differ, and one where everything is equal."""
    small = torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.8, 0.7, 0.1, 0.0], [0.1, 0.6, 0.5, 0.7], [0.0, 0.2, 0.9, 0.4]])
    found = [(small, 1), (small, 2)]
    for size, k in ((12, 1), (15, 3), (20, 4)):
        noise = torch.randn(size, size) + 1.5 * torch.eye(size)
        found.append((noise + torch.randn(size) * 1.5, k))  # some columns are popular
    return [*found, (torch.ones(5, 5), 2)]


RECALL = Exercise(
    name="recall_at_k",
    notebook="18",
    title="How often the right one is among the k best",
    reference=recall_at_k,
    probes=tables,
    result="recall",
    axes={"similarities": "N N"},
    hints=[
        "For row i, the right column is i, so its similarity stands on the diagonal. How many *other* columns of the "
        "row are at least as similar?",
        "`similarities.diagonal()[:, None]` is (N, 1), to be compared with every column of its row. The comparison "
        "also counts the item itself.",
        "Found means: fewer than k others go before it. Then the share of rows that are found.",
    ],
    mistakes=[
        Mistake(
            "other_direction",
            lambda similarities, k: recall_at_k(similarities.T, k),
            "You go down the columns. Then the columns search among the rows, which is the retrieval the other way: "
            "texts find images where images were to find texts. Each *row* is a query.",
        ),
        Mistake(
            "other_direction_topk",
            lambda similarities, k: by_topk(similarities.T, k),
            "You take the k best of each *column*: texts find images where images were to find texts. Each row is a "
            "query. (And mind the docstring's word on ties.)",
        ),
        Mistake(
            "own_of_the_column",
            counted(ahead=own_of_the_column),
            "You compare column j with the similarity of item j, whatever the row: a vector (N,) lines up with the "
            "*last* axis. Row i has to be compared with its own diagonal entry: make it (N, 1).",
        ),
        Mistake(
            "best_alone",
            best_alone,
            "That is recall at 1 by `argmax`, whatever k is: only the very best counts. With k = 3 the right one may "
            "be third. (And among equals `argmax` keeps one as it likes.)",
        ),
        Mistake(
            "places_for_ranks",
            places_for_ranks,
            "`argsort` says *who* is at place i. You need the reverse: at which place item i is. Count who goes "
            "before it, or look for i among the first k.",
        ),
        Mistake(
            "optimistic",
            counted(ahead=optimistic),
            "Right but for ties: you let the right item win against others that are *equally* similar. A model that "
            "gives every picture the same vector then scores 100 %. Equals go before it.",
        ),
        Mistake(
            "topk",
            by_topk,
            "Right but for ties. Among equals `topk` and sorting keep whichever they like, so a model that gives "
            "every picture the same vector still scores. Equals go before the right item: count how many others are "
            "at least as similar.",
        ),
        Mistake(
            "one_too_many",
            counted(found=lambda ahead, k: ahead <= k),
            "k is off by one: you accept the right item at place k + 1. *Fewer* than k others may go before it.",
        ),
        Mistake(
            "one_too_few",
            counted(found=lambda ahead, k: ahead < k - 1),
            "k is off by one: you count the item itself among those that go before it, so with k = 1 nothing is ever "
            "found.",
        ),
        Mistake(
            "k_not_used",
            counted(found=lambda ahead, k: ahead < 1),
            "That is recall at 1, whatever k is: only the very best counts. With k = 3 the right one may be third.",
        ),
        Mistake(
            "least_similar",
            lambda similarities, k: recall_at_k(-similarities, k),
            "You take the *least* similar for the best, as one would with distances. These are similarities: more is "
            "nearer.",
        ),
        Mistake(
            "counts",
            counted(share=lambda hits: hits.float().sum().item()),
            "You return how many were found. The share is asked for: divide by the number of queries.",
        ),
        Mistake(
            "percent",
            counted(share=lambda hits: 100 * hits.float().mean().item()),
            "That is in percent. A share, 0 … 1, is asked for.",
        ),
        Mistake(
            "divided_by_k",
            lambda similarities, k: recall_at_k(similarities, k) / k,
            "You divide by k as well. That is *precision* at k, the share of the k answers that are right. Recall "
            "asks whether the one right item is among them.",
        ),
        Mistake(
            "missed",
            counted(found=lambda ahead, k: ahead >= k),
            "That is the share of queries that do *not* find their item.",
        ),
        Mistake(
            "kth_alone",
            kth_alone,
            "You look at the k-th best alone. Found is an item at *any* of the first k places.",
        ),
        Mistake(
            "share_of_the_places",
            share_of_the_places,
            "You average over all N × k places, and at most one of a row's k can be the right one: that is "
            "*precision* at k. Found is a row with a hit *anywhere* among its k: `.any(dim=1)` before the mean. "
            "(And mind ties.)",
        ),
        Mistake(
            "not_a_column",
            not_a_column,
            "You compare (N, k) with a vector (N,). With k = 1 torch makes an N × N table of it, in which every row "
            "has a hit; with other k it stops. Row i has to be compared with i: `torch.arange(N)[:, None]`.",
        ),
        Mistake(
            "ascending",
            ascending,
            "You take the first k of an order that begins with the *least* similar: `argsort` sorts upwards unless "
            "it is told `descending=True`.",
        ),
    ],
    variants=[by_loop, by_threshold, by_sorting],
    solved="By chance it is k / N. So a recall says nothing without the number of items searched.",
)

EXERCISES = [RECALL]
