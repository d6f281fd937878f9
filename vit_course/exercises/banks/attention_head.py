"""Notebook 09, third part: one head as a class; and how the answers of this kind are called."""

import zlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def filled(module: object, names: dict[str, tuple]) -> dict[str, tuple]:
    """Put the reference's numbers into the parameters, by name or, where all names are others, by their order.

    Returns the parameters' shapes, under the reference's names where they could be told.
    """
    if not isinstance(module, nn.Module):
        raise Complaint("Pass a class that inherits from `nn.Module`, so that its weights are found.")
    own = dict(module.named_parameters())
    if not own.keys() & names.keys() and [tuple(p.shape) for p in own.values()] == list(names.values()):
        own = dict(zip(names, own.values(), strict=True))
    for name, parameter in own.items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        with torch.no_grad():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    return {name: tuple(p.shape) for name, p in own.items()}


def run_head(answer: Callable, options: dict, x: Tensor) -> object:
    """Build one head and run it: shapes of the parameters, output and weights."""
    dim, d = options["dim"], options["head_dim"]
    module = answer(**options)
    kinds = ("query", "key", "value")
    wanted = {f"{k}.{kind}": (d, dim)[: 2 - (kind == "bias")] for k in kinds for kind in ("weight", "bias")}
    shapes = filled(module, wanted)
    result = module(x)
    if is_blank(result):
        return result
    if not isinstance(result, tuple) or len(result) != 2:
        raise Complaint("`forward` gives back two things: the output, and the weights to look at.")
    return {"parameters": shapes, "output": result[0], "weights": result[1]}


class OneHead(nn.Module):
    """A head of self-attention: three linear maps of the same tokens, (B, N, dim) -> (B, N, d) and (B, N, N)."""

    def __init__(self, dim: int, head_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, head_dim)
        self.key = nn.Linear(dim, head_dim)
        self.value = nn.Linear(dim, head_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = self.query(x), self.key(x), self.value(x)
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1)
        return weights @ v, weights


def head(
    forward: Callable = lambda s, x: s.attend(s.query(x), s.key(x), s.value(x)),
    *,
    scale: Callable[[Tensor, int], float] = lambda q, dim: q.shape[-1] ** -0.5,
    softmax: int = -1,
    bias: bool = True,
    full: bool = False,
    back: Callable = lambda output, weights, scores: (output, weights),
) -> type[nn.Module]:
    """A class like OneHead, with one thing done otherwise."""

    class Other(OneHead):
        def __init__(self, dim, head_dim):
            super().__init__(dim, head_dim)
            self.dim = dim
            for name in ("query", "key", "value"):
                setattr(self, name, nn.Linear(dim, dim if full else head_dim, bias=bias))

        def attend(self, q, k, v):
            scores = q @ k.transpose(-2, -1) * scale(q, self.dim)
            weights = scores.softmax(dim=softmax)
            return back(weights @ v, weights, scores)

        def forward(self, x):
            return forward(self, x)

    return Other


class OneLayer(OneHead):
    def __init__(self, dim, head_dim):
        super().__init__(dim, head_dim)
        self.key = self.value = self.query


class FusedKernelHead(nn.Module):
    """Right: other names, and torch's own attention."""

    def __init__(self, dim, head_dim):
        super().__init__()
        self.W_q, self.W_k, self.W_v = (nn.Linear(dim, head_dim) for _ in range(3))

    def forward(self, x):
        q, k, v = self.W_q(x), self.W_k(x), self.W_v(x)
        attention = nn.functional.scaled_dot_product_attention
        identity = torch.eye(x.shape[1]).expand(len(x), -1, -1)
        return attention(q, k, v), attention(q, k, identity)


class LoopHead(nn.Module):
    """Right: image by image and token by token; the layers made in another order."""

    def __init__(self, dim, head_dim):
        super().__init__()
        self.value = nn.Linear(dim, head_dim)
        self.key = nn.Linear(dim, head_dim)
        self.query = nn.Linear(dim, head_dim)
        self.root = head_dim**0.5

    def forward(self, x):
        images, pictures = [], []
        for tokens in x:
            rows = [torch.softmax(self.key(tokens) @ self.query(token) / self.root, 0) for token in tokens]
            pictures.append(torch.stack(rows))
            images.append(torch.einsum("nm,md->nd", pictures[-1], self.value(tokens)))
        return torch.stack(images), torch.stack(pictures)


def sizes() -> list[tuple]:
    """One token first: its weight is 1, so output is the value. Then batch ≠ tokens ≠ dim ≠ head_dim."""
    cases = [(1, 1, 3, 2), (1, 3, 4, 2), (2, 5, 6, 3), (4, 3, 8, 9)]
    return [({"dim": D, "head_dim": d}, torch.randn(B, N, D)) for B, N, D, d in cases]


ONE_HEAD = Exercise(
    name="OneHead",
    notebook="09",
    title="One head of self-attention, as a module",
    reference=OneHead,
    call=run_head,
    probes=sizes,
    axes={"x": "B N D", "output": "B N d", "weights": "B N N"},
    hints=[
        "In `__init__` three layers, `self.query`, `self.key` and `self.value`, each an `nn.Linear(dim, head_dim)`.",
        "In `forward` all three get the same x: that is the *self* in self-attention. What comes out goes into "
        "`attend`, which you have.",
    ],
    mistakes=[
        Mistake(
            "no_root",
            head(scale=lambda q, dim: 1.0),
            "The scores are not divided by √d. Call your `attend`, which does, or look at the line with the scores.",
        ),
        Mistake(
            "models_width",
            head(scale=lambda q, dim: dim**-0.5),
            "You divide by the root of the *model's* width, `dim`. A score is a sum of `head_dim` products, so the "
            "scores come out too small and the weights too even. The head's width counts.",
        ),
        Mistake(
            "root_of_tokens",
            head(scale=lambda q, dim: q.shape[-2] ** -0.5),
            "You divide by the root of the number of *tokens*. A score is a sum of `head_dim` products, however many "
            "tokens there are.",
        ),
        Mistake(
            "over_queries",
            head(softmax=1),
            "The softmax runs over the queries, axis 1 of (B, N, N). The shapes cannot warn you: both axes are N long. "
            "Each *row* has to add up to 1, so the last axis.",
        ),
        Mistake(
            "over_the_batch",
            head(softmax=0),
            "The softmax runs over the images of the batch. With a single image every weight is 1. The keys stand "
            "on the last axis.",
        ),
        Mistake(
            "query_as_key",
            head(lambda s, x: s.attend(s.query(x), s.query(x), s.value(x))),
            "Queries and keys come from the same layer. Then a token is always most like itself, and A looks at B "
            "whenever B looks at A. `self.key` gets no gradient either.",
        ),
        Mistake(
            "key_as_query",
            head(lambda s, x: s.attend(s.key(x), s.key(x), s.value(x))),
            "Queries and keys both come from `self.key`. What a token asks for and by what it is found are two things; "
            "and `self.query` gets no gradient.",
        ),
        Mistake(
            "value_as_key",
            head(lambda s, x: s.attend(s.query(x), s.value(x), s.value(x))),
            "The values are used as keys too, and `self.key` is never called. By what a token is found, and what it "
            "then hands over, are two things.",
        ),
        Mistake(
            "keys_ask",
            head(lambda s, x: s.attend(s.key(x), s.query(x), s.value(x))),
            "Queries and keys have changed places: row i holds what token i *answers*, not what it asks. Shapes agree, "
            "and training from scratch would give the two layers each other's work; published weights give "
            "nonsense.",
        ),
        Mistake(
            "tokens_as_values",
            head(lambda s, x: s.attend(s.query(x), s.key(x), x)),
            "The weights average the tokens as they came, without the third layer. `self.value` decides what a token "
            "hands over, and brings it to the head's width.",
        ),
        Mistake(
            "key_as_value",
            head(lambda s, x: s.attend(s.query(x), s.key(x), s.key(x))),
            "The keys are used as values too, and the third layer is never called. By what a token is found, and what "
            "it then hands over, are two things.",
        ),
        Mistake(
            "one_layer",
            OneLayer,
            "There is one layer with three names, so queries, keys and values are the same. Make three layers, each by "
            "a call of its own.",
        ),
        Mistake(
            "no_bias",
            head(bias=False),
            "The layers have no bias. Some implementations leave it out (vit-pytorch does); the ViT's published "
            "weights hold one for each of q, k and v, and could not be loaded. `nn.Linear` has it if you say nothing.",
        ),
        Mistake(
            "models_size",
            head(full=True),
            "The head is as wide as the model. It was asked to be `head_dim` wide: the heads share the width among "
            "them.",
        ),
        Mistake(
            "scores_back",
            head(back=lambda output, weights, scores: (output, scores)),
            "The output is right; what you give back beside it are the scores before the softmax. The weights add up "
            "to 1 in every row.",
        ),
        Mistake(
            "order",
            head(back=lambda output, weights, scores: (weights, output)),
            "Output and weights come in the other order: the output first.",
        ),
    ],
    variants=[FusedKernelHead, LoopHead, head()],
    solved="One token alone gives back its own value: the first input that was tried.",
)

EXERCISES = [ONE_HEAD]
