"""Notebook 18, second part: where a text's vector is read."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def at_the_end(features: Tensor, tokens: Tensor, end: int) -> Tensor:
    """The features of each text's end token: (B, L, D) and (B, L) -> (B, D)."""
    return read()(features, tokens, end)


def read(place: Callable = lambda tokens, end: (tokens == end).int().argmax(dim=1)) -> Callable:
    """`at_the_end` that reads at another place of each row."""

    def answer(features, tokens, end):
        return features[torch.arange(len(tokens)), place(tokens, end)]

    return answer


def words_only(tokens: Tensor, end: int) -> Tensor:
    """True up to the end token, (B, L)."""
    return (tokens == end).int().cumsum(dim=1) - (tokens == end).int() == 0


def averaged(mask: Callable) -> Callable:
    def answer(features, tokens, end):
        m = mask(tokens, end)[:, :, None].to(features.dtype)
        return (features * m).sum(dim=1) / m.sum(dim=1)

    return answer


def largest_feature(features: Tensor, tokens: Tensor, end: int) -> Tensor:
    """Wrong: the place where the feature is largest, for each number of the vector."""
    return features.max(dim=1).values


def by_loop(features, tokens, end):
    return torch.stack([f[row.tolist().index(end)] for f, row in zip(features, tokens, strict=True)])


def by_mask(features, tokens, end):
    return features[tokens == end]


def by_gather(features, tokens, end):
    place = (tokens == end).nonzero()[:, 1]
    return features.gather(1, place[:, None, None].expand(-1, 1, features.shape[2])).squeeze(1)


def by_sum(features, tokens, end):
    return torch.einsum("bl,bld->bd", (tokens == end).to(features.dtype), features)


def texts() -> list[tuple]:
    """Rows of different lengths, the first neither longest nor shortest; ends that are high or low numbers; padding
    that is 0, and padding that is not.
    """
    found = []
    for rows, end in (
        ([[1, 5, 7, 2, 0, 0], [1, 4, 6, 8, 3, 2], [1, 9, 2, 0, 0, 0]], 2),
        ([[1, 4, 3, 9, 0, 0, 0], [1, 9, 0, 0, 0, 0, 0], [1, 2, 3, 4, 8, 9, 0], [1, 7, 9, 0, 0, 0, 0]], 9),
        ([[3, 8, 8, 4, 9], [3, 7, 4, 9, 9]], 4),
    ):
        tokens = torch.tensor(rows)
        found.append((torch.randn(*tokens.shape, 3 + len(found)), tokens, end))
    return found


AT_THE_END = Exercise(
    name="at_the_end",
    notebook="18",
    title="Read a text at its end token",
    reference=at_the_end,
    probes=texts,
    result="vectors",
    axes={"features": "B L D", "tokens": "B L", "vectors": "B D"},
    hints=[
        "Two steps: at which place of its row does each text have its end token? Then one vector a row, from that "
        "place.",
        "`tokens == end` is True at one place a row. `.int().argmax(dim=1)` says where: (B,).",
        "`features[rows, places]` with two index tensors of length B picks one token a row. What is `rows`?",
    ],
    mistakes=[
        Mistake(
            "last_place",
            lambda features, tokens, end: features[:, -1],
            "You read the last place of the row. For every text that is shorter than the longest this is *padding*, "
            "whose output depends on how much padding stood before it.",
        ),
        Mistake(
            "fixed_place",
            read(lambda tokens, end: (tokens[0] == end).int().argmax().repeat(len(tokens))),
            "All texts are read at the place where the *first* one ends. A longer text is read in mid-sentence, a "
            "shorter one in its padding. Each row has a place of its own.",
        ),
        Mistake(
            "highest_number",
            read(lambda tokens, end: tokens.argmax(dim=1)),
            "You look for the highest *number* of the row. OpenAI's code does this, as its end token has the highest "
            "number of the vocabulary. Here it has not: you read at whichever word has the highest number.",
        ),
        Mistake(
            "number_as_place",
            lambda features, tokens, end: features[:, min(end, features.shape[1] - 1)],
            "You read at place `end` of every row. `end` is the *number* of the end token, what stands in the row; at "
            "which place it stands, each row has to be asked.",
        ),
        Mistake(
            "mostly_zeros",
            lambda features, tokens, end: (features * (tokens == end)[:, :, None]).mean(dim=1),
            "You pick out the right vector and then average it with zeros over all L places: it comes out L times too "
            "small. Add up, or index.",
        ),
        Mistake(
            "last_word",
            read(lambda tokens, end: (tokens == end).int().argmax(dim=1) - 1),
            "You read one place too early, at the last word. It has seen all words too, but it also has its own to "
            "tell. The end token comes after it.",
        ),
        Mistake(
            "after_the_end",
            read(lambda tokens, end: ((tokens == end).int().argmax(dim=1) + 1).clamp(max=tokens.shape[1] - 1)),
            "You read one place too late: the padding behind the end token. Places are counted from 0, so a text of 4 "
            "tokens has them at 0 to 3.",
        ),
        Mistake(
            "first",
            lambda features, tokens, end: features[:, 0],
            "You read the first place, as with a ViT's class token. Behind a causal mask the first token has seen "
            "nothing but itself: it gives the same vector for every text.",
        ),
        Mistake(
            "mean_of_all",
            lambda features, tokens, end: features.mean(dim=1),
            "You average over all places, padding included: the shorter the text, the more its vector consists of "
            "padding. Asked for is one token's vector.",
        ),
        Mistake(
            "mean_of_words",
            averaged(words_only),
            "You average over the text without its padding. That is a fair choice for a model without a causal mask. "
            "Asked for is the end token's vector, which has seen all others already.",
        ),
        Mistake(
            "largest",
            largest_feature,
            "You take the largest value over all places, for each number of the vector by itself. Asked for is the "
            "vector of one place.",
        ),
        Mistake(
            "every_row_for_every_row",
            lambda features, tokens, end: features[:, (tokens == end).int().argmax(dim=1)],
            "`features[:, places]` takes *all* B places from *every* row: (B, B, D). One place a row needs two index "
            "tensors, one for the rows and one for the places.",
        ),
        Mistake(
            "features_argmax",
            lambda features, tokens, end: features[torch.arange(len(tokens)), features.sum(dim=2).argmax(dim=1)],
            "You look for the place in the *features*. They are the answers of the network; where the text ends is "
            "written in the *tokens*.",
        ),
        Mistake(
            "by_the_padding",
            read(lambda tokens, end: (tokens == 0).int().argmax(dim=1) - 1),
            "You find the end by the padding: the place before the first 0, or the last number that is not 0. Our "
            "tokenizer pads with 0; others pad with other numbers. `end` is what you were given: look for that.",
        ),
        Mistake(
            "largest_of_the_masked",
            lambda features, tokens, end: (features * (tokens == end)[:, :, None]).amax(dim=1),
            "You set all other places to 0 and take the largest: wherever the end token's own number is negative, a "
            "0 wins. Add up, or index.",
        ),
    ],
    variants=[by_loop, by_mask, by_gather, by_sum],
    solved="It does not matter how long a text is, nor how much padding comes after it.",
)

EXERCISES = [AT_THE_END]
