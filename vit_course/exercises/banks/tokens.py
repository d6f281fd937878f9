"""Notebook 08, first part: the class token, and equation 1 whole."""

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def prepend_class_token(tokens: Tensor, cls_token: Tensor) -> Tensor:
    """One and the same vector before the tokens of every image: (B, N, D) and (1, 1, D) -> (B, 1 + N, D)."""
    return torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=1)


def seats() -> list[tuple]:
    """(tokens, cls_token) for a batch of one, then B, N and D that differ."""
    sizes = [(1, 2, 3), (3, 4, 5), (4, 2, 6)]
    return [(torch.randn(B, N, D), torch.randn(1, 1, D, requires_grad=True)) for B, N, D in sizes]


def by_repeat(tokens: Tensor, cls_token: Tensor) -> Tensor:
    return torch.hstack([cls_token.repeat(tokens.shape[0], 1, 1), tokens])


def by_assignment(tokens: Tensor, cls_token: Tensor) -> Tensor:
    B, N, D = tokens.shape
    result = tokens.new_zeros(B, N + 1, D)
    result[:, 0] = cls_token[0, 0]
    result[:, 1:] = tokens
    return result


def image_by_image(tokens: Tensor, cls_token: Tensor) -> Tensor:
    return torch.stack([torch.cat((cls_token[0], image)) for image in tokens])


PREPEND_CLASS_TOKEN = Exercise(
    name="prepend_class_token",
    notebook="08",
    title="Give every image's sequence a class token",
    reference=prepend_class_token,
    probes=seats,
    axes={"tokens": "B N D", "cls_token": "1 1 D", "result": "B 1+N D"},
    hints=[
        "`torch.cat([a, b], dim=…)` puts two tensors one behind the other along one axis; all other axes must agree. "
        "Which axis counts the tokens?",
        "The class token has length 1 on the batch axis, the tokens have B. `expand` shows one vector B times without "
        "copying it; -1 leaves an axis as it is.",
        "Order matters: what stands first in the list comes first in the sequence.",
    ],
    mistakes=[
        Mistake(
            "last",
            lambda tokens, cls_token: torch.cat([tokens, cls_token.expand(len(tokens), -1, -1)], dim=1),
            "The class token stands last. Everything after this expects it at place 0: the head would read the "
            "top left patch instead, and published positions would all be off by one. No error would say so.",
        ),
        Mistake(
            "added",
            lambda tokens, cls_token: tokens + cls_token,
            "You added the class token to every patch. It then is one more bias, and there is no seat of its own "
            "that could collect anything. The sequence has to get longer by one.",
        ),
        Mistake(
            "overwritten",
            lambda tokens, cls_token: prepend_class_token(tokens[:, 1:], cls_token),
            "The class token sits on the first patch's seat, so the top left patch of every image is lost. The "
            "sequence has to get longer: 1 + N tokens.",
        ),
        Mistake(
            "features",
            lambda tokens, cls_token: torch.cat([cls_token.expand(len(tokens), tokens.shape[1], -1), tokens], dim=2),
            "You joined along the last axis: every token got twice as wide, and none was added. Tokens are counted by "
            "the middle axis.",
        ),
        Mistake(
            "batch",
            lambda tokens, cls_token: torch.cat([cls_token.expand(1, tokens.shape[1], -1), tokens], dim=0),
            "You joined along the batch axis: the batch now has one more image, made of class tokens alone. The new "
            "token belongs into every image's sequence.",
        ),
        Mistake(
            "dim_0",
            lambda tokens, cls_token: torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=0),
            "`dim=0` is the batch, and it is what `torch.cat` takes unless told. The token goes in front along the "
            "tokens, `dim=1`.",
        ),
        Mistake(
            "dim_0_last",
            lambda tokens, cls_token: torch.cat([tokens, cls_token.expand(len(tokens), -1, -1)], dim=0),
            "`dim=0` is the batch, and it is what `torch.cat` takes unless told. The token goes in front along the "
            "tokens: `dim=1`, and the class token first in the list.",
        ),
        Mistake(
            "dim_2",
            lambda tokens, cls_token: torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=2),
            "The last axis holds the D numbers of a token. The token goes in front along the tokens, `dim=1`.",
        ),
        Mistake(
            "not_expanded",
            lambda tokens, cls_token: torch.cat([cls_token, tokens], dim=1),
            "It works for a batch of one only. `torch.cat` does not broadcast: the class token must be shown once for "
            "each image first.",
        ),
        Mistake(
            "zeros",
            lambda tokens, cls_token: torch.cat([torch.zeros_like(tokens[:, :1]), tokens], dim=1),
            "The new seat holds zeros, and the class token that you were given is not used: it would never get a "
            "gradient, and never learn what to ask for.",
        ),
        Mistake(
            "mean",
            lambda tokens, cls_token: torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1),
            "On the first seat you put the mean of the patches. The class token is the same learned vector for every "
            "image; it collects later, by attention.",
        ),
        Mistake(
            "alone",
            lambda tokens, cls_token: cls_token.expand(len(tokens), -1, -1),
            "Only the class tokens came back; the patches are gone. Join the two.",
        ),
        Mistake(
            "detached",
            lambda tokens, cls_token: prepend_class_token(tokens, cls_token.detach()),
            "The numbers are right, but the class token is cut off from its gradient: it would stay as it was drawn "
            "for the whole training. Leave out `.detach()` and `.data`.",
        ),
    ],
    variants=[by_repeat, by_assignment, image_by_image],
    solved="`expand` copies nothing: B images look at the same D numbers, and their gradients add up in them.",
)


def embed_tokens(patches: Tensor, cls_token: Tensor, positions: Tensor) -> Tensor:
    """Equation 1: class token first, then every seat's position added: -> (B, 1 + N, D)."""
    return prepend_class_token(patches, cls_token) + positions


def sequences() -> list[tuple]:
    """(patches, cls_token, positions), with B, N and D that differ."""
    sizes = [(2, 2, 3), (3, 4, 5), (2, 6, 4)]
    return [
        (torch.randn(B, N, D), torch.randn(1, 1, D, requires_grad=True), torch.randn(1, 1 + N, D, requires_grad=True))
        for B, N, D in sizes
    ]


def add_in_parts(patches: Tensor, cls_token: Tensor, positions: Tensor) -> Tensor:
    """Right: each part gets its own positions before they are joined."""
    first = (cls_token + positions[:, :1]).repeat(len(patches), 1, 1)
    return torch.cat([first, patches + positions[:, 1:]], dim=1)


def add_seat_by_seat(patches: Tensor, cls_token: Tensor, positions: Tensor) -> Tensor:
    seats = [cls_token[:, 0].expand(len(patches), -1), *patches.unbind(1)]
    return torch.stack([seat + positions[0, i] for i, seat in enumerate(seats)], dim=1)


EMBED_TOKENS = Exercise(
    name="embed_tokens",
    notebook="08",
    title="Equation 1: class token and positions",
    reference=embed_tokens,
    probes=sequences,
    axes={"patches": "B N D", "cls_token": "1 1 D", "positions": "1 1+N D", "result": "B 1+N D"},
    hints=[
        "Two steps, in the order of the equation: first the brackets, then what is added to them.",
        "`positions` has 1 + N rows. After which step does the sequence have 1 + N tokens?",
        "Adding broadcasts by itself: the positions have length 1 on the batch axis, so all images get the same ones.",
    ],
    mistakes=[
        Mistake(
            "before_the_class_token",
            lambda p, c, e: prepend_class_token(p + e[:, 1:], c),
            "The patches have their positions, but the class token goes without: its row of `positions` is never used. "
            "A published model loaded into this gives other logits. First the class token, then all 1 + N positions.",
        ),
        Mistake(
            "shifted",
            lambda p, c, e: prepend_class_token(p + e[:, :-1], c),
            "The positions were added before the class token came in, and from row 0 on: every patch has its left "
            "neighbour's position, the first patch the class token's. Row 0 belongs to the class token.",
        ),
        Mistake(
            "left_out",
            lambda p, c, e: prepend_class_token(p, c),
            "The positions are left out. Nothing crashes, the loss even falls; but the network cannot tell the image "
            "from one with its patches shuffled.",
        ),
        Mistake(
            "multiplied",
            lambda p, c, e: prepend_class_token(p, c) * e,
            "You multiplied by the positions. They start near 0, so nearly nothing of the patches is left. Equation 1 "
            "adds.",
        ),
        Mistake(
            "concatenated",
            lambda p, c, e: torch.cat([prepend_class_token(p, c), e.expand(len(p), -1, -1)], dim=2),
            "You put the positions beside the tokens, so each is twice as wide, and no later layer fits. Equation 1 "
            "adds them.",
        ),
        Mistake(
            "more_tokens",
            lambda p, c, e: torch.cat([prepend_class_token(p, c), e.expand(len(p), -1, -1)], dim=1),
            "You put the positions behind the tokens, as if they were tokens of their own. A position belongs *to* a "
            "token: it is added to it.",
        ),
        Mistake(
            "class_token_last",
            lambda p, c, e: torch.cat([p, c.expand(len(p), -1, -1)], dim=1) + e,
            "The class token stands last, so each patch gets the position of the seat before its own, and the head "
            "reads a patch for the class token.",
        ),
        Mistake(
            "no_class_token",
            lambda p, c, e: p + e[:, 1:],
            "The patches have their positions, but there is no class token: nothing would stand on seat 0.",
        ),
        Mistake(
            "not_prepended",
            lambda p, c, e: p + e,
            "N patches meet 1 + N positions: the class token has not come in yet. First put it in front, then add.",
        ),
        Mistake(
            "one_for_all",
            lambda p, c, e: prepend_class_token(p, c) + e[:, :1],
            "Every seat got the same position, that of row 0. Then it says nothing about the place: to the network it "
            "is one more bias.",
        ),
        Mistake(
            "positions_alone",
            lambda p, c, e: e.expand(len(p), -1, -1),
            "Only positions come back: there is nothing of the image in it.",
        ),
        Mistake(
            "scaled",
            lambda p, c, e: prepend_class_token(p, c) * p.shape[-1] ** 0.5 + e,
            "You scaled the tokens by √D before adding. The Transformer of 2017 does that with its words; the ViT, and "
            "equation 1, do not.",
        ),
        Mistake(
            "twice",
            lambda p, c, e: prepend_class_token(p + e[:, 1:], c) + e,
            "The patches got their positions twice: once before the class token came in, and once after.",
        ),
    ],
    variants=[add_in_parts, add_seat_by_seat],
    solved="This is all that a ViT does to an image before its first block.",
)

EXERCISES = [PREPEND_CLASS_TOKEN, EMBED_TOKENS]
