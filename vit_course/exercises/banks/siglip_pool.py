"""Notebook 19, fourth part: pooling by a question, SigLIP's head."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vit_course.exercises.banks.attention_head import filled
from vit_course.exercises.banks.siglip_pool_answers import (
    ProbePool,
    all_tokens,
    as_they_are,
    by_einsum,
    by_loops,
    by_the_fused_kernel,
    exchanged,
    finish,
    models_width,
    no_projection,
    one_head,
    other,
    residual_from_the_probe,
    tokens_ask,
    viewed,
    weighted,
    with_the_probe_among_the_tokens,
)
from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank

LAYERS = ("q", "k", "v", "proj", "norm", "fc1", "fc2")


def run_pool(answer: Callable, options: dict, tokens: Tensor) -> object:
    """Build the module and run it: shapes of the parameters, and output."""
    D = options["dim"]
    module = answer(**options)
    wanted = {"probe": (1, 1, D)}
    for name in LAYERS:
        outside, inside = {"fc1": (4 * D, D), "fc2": (D, 4 * D)}.get(name, (D, D))
        wanted |= {f"{name}.weight": (D,) if name == "norm" else (outside, inside), f"{name}.bias": (outside,)}
    shapes = filled(module, wanted)
    output = module(tokens)
    if is_blank(output):
        return output
    if isinstance(output, tuple):
        raise Complaint("`forward` gives back more than one thing: here it is the pooled vectors alone, (B, dim).")
    return {"parameters": shapes, "output": output}


def sizes() -> list[tuple]:
    """One token first (values alone), then batch ≠ tokens ≠ dim, more heads than one."""
    cases = [(2, 1, 6, 2), (1, 4, 4, 2), (3, 5, 8, 2), (4, 2, 12, 3), (2, 7, 6, 6)]
    return [({"dim": D, "num_heads": h}, 2 * torch.randn(B, N, D)) for B, N, D, h in cases]


POOL = Exercise(
    name="ProbePool",
    notebook="19",
    title="Pooling by a question",
    reference=ProbePool,
    call=run_pool,
    probes=sizes,
    axes={"tokens": "B N D", "output": "B D"},
    hints=[
        "It is the attention of notebook 09 with one difference: the query is made of `self.probe`, keys and values of "
        "the tokens. Shapes: one query, N keys, N values, for each image and head.",
        "`self.q(self.probe)` is (1, 1, D), the same for all images; `.expand(B, -1, -1)` lends it to each. Split q, k "
        "and v into heads, (B, h, 1, d) and (B, h, N, d), and use `attention`.",
        "The answer is (B, h, 1, d): the heads side by side make (B, D). Then `proj`; then the norm and the MLP, added "
        "to what came out of `proj`. Around the attention itself nothing is added.",
    ],
    mistakes=[
        Mistake(
            "probe_not_lent",
            other(forward=finish(lambda self, y: (y + self.mlp(self.norm(y)))[:1])),
            "You have one vector, whatever the number of images: the probe, (1, 1, D), is not lent to each of them, or "
            "only the first image's answer is kept. The question is the same for all, the answers are not.",
        ),
        Mistake(
            "tokens_ask",
            other(forward=all_tokens),
            "The tokens ask each other, and you take the mean of the answers. That is one more layer of self-attention "
            "with a mean behind it; the probe is not used, and learns nothing. *It* is what asks.",
        ),
        Mistake(
            "first_token_asks",
            other(ask=tokens_ask),
            "The query comes from the first token, as if it were a class token. There is none here: the first token is "
            "the top left patch. The probe asks.",
        ),
        Mistake(
            "mean_of_the_tokens",
            other(ask=lambda self, x: x.mean(dim=1)),
            "You take the mean of the tokens. Nobody asks anything: probe, keys and values are not used.",
        ),
        Mistake(
            "mean",
            other(ask=lambda self, x: self.v(x).mean(dim=1)),
            "You take the mean of the values: every token counts the same, whatever the probe asks. The weights, a "
            "softmax of q·k, are missing.",
        ),
        Mistake(
            "softmax_over_probes",
            other(mixed=weighted(lambda s: s.softmax(dim=-2))),
            "The softmax runs over the queries. There is just one, the probe, so every weight is 1 and you have the "
            "*sum* of the values. It runs over the keys: the last axis.",
        ),
        Mistake(
            "softmax_over_heads",
            other(mixed=weighted(lambda s: s.softmax(dim=1))),
            "The softmax runs over axis 1, and on (B, h, 1, N) the heads stand there. It runs over the tokens, last.",
        ),
        Mistake(
            "softmax_over_the_batch",
            other(mixed=weighted(lambda s: s.softmax(dim=0))),
            "The softmax runs over the batch: one image's answer depends on the others. It runs over the tokens, last.",
        ),
        Mistake(
            "no_softmax",
            other(mixed=weighted(lambda s: s)),
            "The softmax is missing: the values are mixed with bare scores.",
        ),
        Mistake(
            "no_root",
            other(mixed=weighted(scale=lambda q: 1)),
            "The scores are not divided by √d.",
        ),
        Mistake(
            "root_of_the_width",
            other(mixed=models_width),
            "You divide by the root of the model's width. In a head a score has d = dim / num_heads terms.",
        ),
        Mistake(
            "view",
            other(ask=viewed),
            "Heads are split by `view` or `reshape` straight into (B, h, N, d): a head then holds a stretch of the "
            "tokens and not a part of the width. With one token it is right. Cut the width, then move the axis.",
        ),
        Mistake(
            "keys_and_values_exchanged",
            other(ask=exchanged),
            "Keys and values are exchanged: what is compared with the question is `v`, what is mixed is `k`. Both fit.",
        ),
        Mistake(
            "tokens_as_they_are",
            other(ask=as_they_are),
            "The tokens are keys and values as they are: `k` and `v` are not used.",
        ),
        Mistake(
            "one_head",
            other(ask=one_head),
            "You use one head of full width. With `num_heads` heads the probe asks as many questions at once: split q, "
            "k and v first.",
        ),
        Mistake(
            "no_projection",
            other(forward=no_projection),
            "`proj` is not used: the heads' answers lie side by side and are never mixed.",
        ),
        Mistake(
            "no_mlp",
            other(forward=finish(lambda self, y: y)),
            "The attention is right, and what follows is missing: a norm and an MLP, added to it.",
        ),
        Mistake(
            "no_residual",
            other(forward=finish(lambda self, y: self.mlp(self.norm(y)))),
            "Only the MLP's output is left. It is *added* to what came out of `proj`.",
        ),
        Mistake(
            "no_norm",
            other(forward=finish(lambda self, y: y + self.mlp(y))),
            "The norm before the MLP is missing.",
        ),
        Mistake(
            "norm_of_the_stream",
            other(forward=finish(lambda self, y: (z := self.norm(y)) + self.mlp(z))),
            "You add the MLP to the *normed* vector. As in an encoder block the norm stands in the branch alone: what "
            "is added to is the vector before it.",
        ),
        Mistake(
            "norm_afterwards",
            other(forward=finish(lambda self, y: self.norm(y + self.mlp(y)))),
            "The norm stands behind the sum. It belongs in front of the MLP, in the branch.",
        ),
        Mistake(
            "no_activation",
            other(mlp=lambda self, x: self.fc2(self.fc1(x))),
            "There is no GELU between `fc1` and `fc2`: two linear layers in a row are one.",
        ),
        Mistake(
            "relu",
            other(mlp=lambda self, x: self.fc2(F.relu(self.fc1(x)))),
            "You use a ReLU. A transformer's MLP has a GELU between its layers.",
        ),
        Mistake(
            "residual_from_the_probe",
            other(forward=residual_from_the_probe),
            "You add the probe to what it was told, as a residual connection would. Here there is none around the "
            "attention: the probe is the same for all images, so adding it tells nothing of any.",
        ),
        Mistake(
            "probe_among_the_tokens",
            other(ask=with_the_probe_among_the_tokens),
            "The probe stands among the tokens that are asked, as a class token would. It only asks: keys and values "
            "come from the N tokens.",
        ),
        Mistake(
            "probe_not_through_q",
            other(question=lambda self, x: self.probe.expand(len(x), -1, -1)),
            "The probe is used as the query itself. It goes through `q` first, as the tokens go through `k` and `v`.",
        ),
        Mistake(
            "gelu_by_tanh",
            other(mlp=lambda self, x: self.fc2(F.gelu(self.fc1(x), approximate="tanh"))),
            "You use GELU in its tanh form. The published SigLIP does so, and the package has a setting for it; "
            "here it is plain `F.gelu`.",
        ),
        Mistake(
            "tokens_normed",
            other(ask=lambda self, x: ProbePool.ask(self, self.norm(x))),
            "You bring the tokens through `norm` before they are asked. They come from the tower's own last norm; "
            "this one belongs to the MLP behind the attention.",
        ),
        Mistake(
            "residual_from_the_tokens",
            other(forward=lambda self, x: (y := x.mean(dim=1) + self.proj(self.ask(x))) + self.mlp(self.norm(y))),
            "You add the mean of the tokens to the answer, as a residual connection would. There is none around "
            "this attention: what is not asked for is left behind.",
        ),
        Mistake(
            "projected_at_the_end",
            other(forward=lambda self, x: self.proj((y := self.ask(x)) + self.mlp(self.norm(y)))),
            "`proj` comes at the very end. It mixes the heads, straight behind the attention and before the norm "
            "and the MLP.",
        ),
    ],
    variants=[other(forward=by_loops), other(forward=by_einsum), other(forward=by_the_fused_kernel)],
    solved="One question for all images, one answer for each. The package has k and v in one layer, as timm has.",
)
EXERCISES = [POOL]
