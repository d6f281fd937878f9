"""Notebook 09, fifth part: multi-head self-attention as a whole."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.banks.attention_head import filled
from vit_course.exercises.banks.attention_module_answers import (
    ByEinsum,
    ByTheFusedKernel,
    InTheBatch,
    LoopOverHeads,
    SelfAttentionFromScratch,
    TorchsOwn,
    in_thirds,
    module,
    unmoved,
    unmoved_parts,
    viewed,
)
from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def run_attention(answer: Callable, options: dict, x: Tensor) -> object:
    """Build the module and run it: shapes of the parameters, and output."""
    D = options["dim"]
    module = answer(**options)
    wanted = {"qkv.weight": (3 * D, D), "qkv.bias": (3 * D,), "proj.weight": (D, D), "proj.bias": (D,)}
    shapes = filled(module, wanted)
    output = module(x)
    if is_blank(output):
        return output
    if isinstance(output, tuple):
        raise Complaint("`forward` gives back more than one thing: here it is the output alone, (B, N, dim).")
    return {"parameters": shapes, "output": output}


def unmoved_back(x: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(len(x), x.shape[1], -1)


def thirds_of_the_batch(x: Tensor, h: int) -> list[Tensor]:
    q, k, v = x.chunk(3)
    return [part.reshape(*x.shape[:2], h, -1).transpose(1, 2) for part in (q, k, v)]


def sizes() -> list[tuple]:
    """One token first (values and output alone), then batch ≠ tokens ≠ dim; one of them with heads of width 1."""
    cases = [(2, 1, 6, 2), (1, 3, 4, 2), (2, 5, 12, 3), (3, 4, 5, 5), (2, 6, 8, 4)]
    return [({"dim": D, "num_heads": h}, 2 * torch.randn(B, N, D)) for B, N, D, h in cases]


SELF_ATTENTION = Exercise(
    name="SelfAttentionFromScratch",
    notebook="09",
    title="Multi-head self-attention, on an empty page",
    reference=SelfAttentionFromScratch,
    call=run_attention,
    probes=sizes,
    axes={"x": "B N D", "output": "B N D"},
    hints=[
        "Two layers: `self.qkv = nn.Linear(dim, 3 * dim)` and `self.proj = nn.Linear(dim, dim)`. Keep `num_heads`.",
        "`self.qkv(x)` is (B, N, 3·D). `.chunk(3, dim=-1)` gives q, k and v, each (B, N, D). Split each into heads.",
        "On (B, h, N, d) the four steps of `attend` work as they are: matrix products leave the axes in front alone. "
        "Then merge the heads, and `proj`.",
    ],
    mistakes=[
        Mistake(
            "no_root",
            module(scale=lambda q, dim: 1.0),
            "The scores are not divided by √d. Nothing else in this module is amiss.",
        ),
        Mistake(
            "models_width",
            module(scale=lambda q, dim: dim**-0.5),
            "You divide by the root of the model's width. In a head a score has d = dim / num_heads terms: with 12 "
            "heads your scores are √12 times too small, and the weights too even. No shape and no error shows it.",
        ),
        Mistake(
            "over_queries",
            module(softmax=-2),
            "The softmax runs over the queries. On (B, h, N, N) both last axes are N long, so no shape warns you. Keys "
            "last, and each row adds up to 1.",
        ),
        Mistake(
            "over_heads",
            module(softmax=1),
            "The softmax runs over axis 1. In one head that was the queries; now the *heads* stand there, and they "
            "compete for each pair of tokens. Count the axis from the end.",
        ),
        Mistake(
            "over_the_batch",
            module(softmax=0),
            "The softmax runs over the images of the batch, so what one image gives depends on the others. Count the "
            "axis from the end.",
        ),
        Mistake(
            "no_softmax",
            module(normalise=lambda scores: scores),
            "The softmax is missing: the values are mixed with bare scores, negative ones and large ones.",
        ),
        Mistake(
            "view_both_ways",
            module(heads=viewed, merged=unmoved),
            "Heads are split *and* merged by `reshape` (or `view`) alone. The two undo each other, and between them a "
            "head holds a stretch of the sequence: tokens of different stretches never meet. With one head or one "
            "token it is right, and training goes down as if nothing were wrong.",
        ),
        Mistake(
            "view",
            module(heads=viewed),
            "Heads are split by `reshape` (or `view`) straight into (B, h, N, d): the rows of a head mix tokens. "
            "Look at the first input: with one token you are right, so layers and order are fine. Cut the width, "
            "then move the axis.",
        ),
        Mistake(
            "view_refused",
            module(heads=lambda x, h: [part.view(len(x), h, x.shape[1], -1) for part in x.chunk(3, dim=-1)]),
            "torch refuses this `view`, because a third of `qkv` does not lie in one piece in memory. Its advice, "
            "`reshape`, silences the error and walks into the trap: heads that mix tokens. Cut the width first, (B, N, "
            "h, d), and then move the axis of the heads.",
        ),
        Mistake(
            "merge_refused",
            module(merged=lambda x: x.transpose(1, 2).view(len(x), x.shape[2], -1)),
            "All is right up to the last `view`, which torch refuses: after `transpose` the numbers no longer lie in "
            "memory in the order of the axes. Here `reshape`, which copies where it must, is what you want.",
        ),
        Mistake(
            "heads_compared",
            module(heads=unmoved_parts, merged=lambda x: x.flatten(2)),
            "The heads still stand behind the tokens, (B, N, h, d). So the product over the last two axes compares the "
            "*heads* of one token, and no token ever sees another. Move the heads in front of the tokens first.",
        ),
        Mistake(
            "heads_compared_and_moved",
            module(heads=unmoved_parts, merged=unmoved_back),
            "You move the axis of the heads after the products, but not before: on (B, N, h, d) the heads of one token "
            "are compared, not the tokens of one head.",
        ),
        Mistake(
            "view_of_all",
            module(heads=lambda x, h: x.reshape(len(x), 3, h, x.shape[1], -1).unbind(1)),
            "You cut all of `qkv` by one `reshape` straight into (B, 3, h, N, d), and tokens and thirds get mixed. "
            "First cut the width where it stands, (B, N, 3, h, d), then move the axes by `permute`.",
        ),
        Mistake(
            "view_of_all_thirds_first",
            module(heads=lambda x, h: x.reshape(3, len(x), h, x.shape[1], -1).unbind(0)),
            "You cut all of `qkv` by one `reshape` straight into (3, B, h, N, d), which mixes images, tokens and "
            "thirds. First cut the width where it stands, (B, N, 3, h, d), then move the axes by `permute`.",
        ),
        Mistake(
            "not_moved_back",
            module(merged=unmoved),
            "The heads are merged without moving their axis back: (B, h, N, d) is read row by row into (B, N, D), so a "
            "token gets pieces of other tokens. Up to there all is right.",
        ),
        Mistake(
            "no_projection",
            module(end=lambda s, out, x: out),
            "`proj` is not used. Side by side, the heads know nothing of each other: this last layer mixes what they "
            "found. Unused, it gets no gradient.",
        ),
        Mistake(
            "one_head",
            module(heads=lambda x, h: in_thirds(x, 1)),
            "`num_heads` is not used: it is one head of the full width. It sees one pattern of weights a token, where "
            "several heads see several.",
        ),
        Mistake(
            "query_and_key_swapped",
            module(heads=lambda x, h: [in_thirds(x, h)[i] for i in (1, 0, 2)]),
            "Queries and keys have changed places. The three parts of `qkv` stand in the order of its name; published "
            "weights rely on it.",
        ),
        Mistake(
            "values_first",
            module(heads=lambda x, h: [in_thirds(x, h)[i] for i in (1, 2, 0)]),
            "The three parts of `qkv` are taken in another order: the first third are the queries, then keys, then "
            "values. Trained from scratch it is as good; with published weights it is nonsense.",
        ),
        Mistake(
            "values_and_keys_swapped",
            module(heads=lambda x, h: [in_thirds(x, h)[i] for i in (0, 2, 1)]),
            "Keys and values have changed places. The three parts of `qkv` stand in the order of its name.",
        ),
        Mistake(
            "backwards",
            module(heads=lambda x, h: in_thirds(x, h)[::-1]),
            "You take values, keys, queries. The three parts of `qkv` stand in the order of its name.",
        ),
        Mistake(
            "keys_as_values",
            module(heads=lambda x, h: [in_thirds(x, h)[i] for i in (0, 1, 1)]),
            "The weights mix the keys. What a token hands over is its value, the last third.",
        ),
        Mistake(
            "thirds_of_the_batch",
            module(heads=thirds_of_the_batch),
            "`chunk(3)` cuts the first axis, the batch, if you say nothing. Queries, keys and values stand side by "
            "side on the last one.",
        ),
        Mistake(
            "heads_before_thirds",
            module(heads=lambda x, h: x.unflatten(-1, (h, 3, -1)).permute(3, 0, 2, 1, 4).unbind(0)),
            "You cut 3·D into heads first and each head into q, k and v. From scratch that is as good, but the "
            "convention is the other way round: first thirds, then heads. Published weights need it.",
        ),
        Mistake(
            "thirds_last",
            module(heads=lambda x, h: x.unflatten(-1, (h, -1, 3)).permute(4, 0, 2, 1, 3).unbind(0)),
            "You deal the places of `qkv` out to queries, keys and values in turn. The first third are all queries: "
            "cut 3·D into (3, h, d), in this order.",
        ),
        Mistake(
            "dealt_out",
            module(heads=lambda x, h: [p.unflatten(-1, (-1, h)).permute(0, 3, 1, 2) for p in x.chunk(3, -1)]),
            "The places of each token are dealt out to the heads like cards. Head 0 has the *first* d places: cut D "
            "into (h, d), in this order.",
        ),
        Mistake(
            "residual",
            module(end=lambda s, out, x: x + s.proj(out)),
            "You add the input to the output. That belongs to the encoder block, around this module: here it would be "
            "added twice.",
        ),
        Mistake(
            "no_qkv_bias",
            module(bias=False),
            "`qkv` has no bias. Some implementations leave it out; the ViT has it, and its published weights hold it.",
        ),
        Mistake(
            "images_as_tokens",
            module(outside=lambda x: x.transpose(0, 1)),
            "Your tokens look at the same place in the *other images* of the batch: the first axis is taken for the "
            "sequence. `nn.MultiheadAttention` does that too, unless told `batch_first=True`. Images must not know of "
            "each other.",
        ),
    ],
    variants=[LoopOverHeads, ByEinsum, ByTheFusedKernel, InTheBatch, TorchsOwn, module()],
    solved="This is the heart of every transformer, and you wrote it.",
)

EXERCISES = [SELF_ATTENTION]
