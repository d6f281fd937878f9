"""Notebook 10, third part: the MLP as a class."""

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def filled(module: nn.Module) -> nn.Module:
    """Numbers that depend on a parameter's shape alone: names, order and `x @ weight` with (in, out) do not matter."""
    for parameter in module.parameters():
        shape = [length for length in parameter.shape if length > 1]
        lengths = sorted(shape)
        generator = torch.Generator().manual_seed(sum(7**place * length for place, length in enumerate(lengths)))
        numbers = torch.rand(lengths, generator=generator) - 0.4
        with torch.no_grad():
            parameter.copy_((numbers if shape == lengths else numbers.T).reshape(parameter.shape))
    return module


def build_mlp(answer, dim: int, hidden: int, x: Tensor) -> object:
    """Build the class, fill its parameters and run it on `x`: the parameters' shapes and the output."""
    module = answer(dim=dim, hidden=hidden)
    if is_blank(module):
        return module
    if not isinstance(module, nn.Module):
        raise Complaint(f"Your class makes a {type(module).__name__}: let it inherit from `nn.Module`.")
    shapes = ["×".join(str(n) for n in p.shape if n > 1) for p in filled(module).parameters()]
    if not shapes:
        raise Complaint(
            "Your MLP has no parameters that an optimiser could find. Make the layers in `__init__`, as "
            "`self.something = nn.Linear(…)`; a plain list hides them, and layers made in `forward` are new each time."
        )
    output = module(x)
    if is_blank(output):
        return output
    again = [module(x) for _ in range(9)]  # a dropout may leave out the same few numbers twice
    if isinstance(output, Tensor) and any(not torch.equal(output.nan_to_num(), other.nan_to_num()) for other in again):
        raise Complaint(
            "Called twice on the same tokens, your MLP gives two results: chance has a part in it, as in a dropout. "
            "Here it is two linear layers and a GELU alone."
        )
    return {"shapes of the parameters": ", ".join(sorted(shapes)), "output": output}


class TokenMLP(nn.Module):
    """Two linear layers and a GELU between them, for each token alone."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def mlp(
    act=nn.functional.gelu,
    *,
    before=lambda x: x,
    after=lambda x: x,
    bias: bool = True,
    width=lambda dim, hidden: hidden,
    residual: bool = False,
    norm: str = "",
) -> type[nn.Module]:
    """A class like TokenMLP with one thing done otherwise."""

    class Other(nn.Module):
        def __init__(self, dim, hidden):
            super().__init__()
            self.first = nn.Linear(dim, width(dim, hidden), bias=bias)
            self.second = nn.Linear(width(dim, hidden), dim, bias=bias)
            self.norms = nn.ModuleDict({norm: nn.LayerNorm(hidden if norm == "between" else dim)} if norm else {})

        def normed(self, place, x):
            return self.norms[place](x) if place in self.norms else x

        def forward(self, x):
            y = self.normed("between", act(self.first(before(self.normed("first", x)))))
            y = after(self.normed("last", self.second(y)))
            return x + y if residual else y

    return Other


def running(forward) -> type[nn.Module]:
    """TokenMLP's layers with another `forward`."""
    return type("Other", (TokenMLP,), {"forward": forward})


class BySequential(nn.Sequential):
    def __init__(self, dim, hidden):
        super().__init__(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class ByConvolution(nn.Module):
    """Right: a 1×1 convolution over the tokens is a linear layer for each."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.out, self.into = nn.Conv1d(hidden, dim, 1), nn.Conv1d(dim, hidden, 1)

    def forward(self, x):
        return self.out(nn.functional.gelu(self.into(x.transpose(1, 2)))).transpose(1, 2)


class ByLoop(nn.Module):
    """Right: token after token."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(dim, hidden), nn.Linear(hidden, dim)])

    def forward(self, x):
        up, down = self.layers
        return torch.stack([down(nn.functional.gelu(up(token))) for token in x.unbind(1)], dim=1)


def widths() -> list[tuple]:
    """dim, hidden (not always four times as much) and tokens; all sizes differ. Large enough that no eps shows."""
    return [(d, h, 3 * torch.randn(b, n, d)) for d, h, b, n in ((3, 12, 1, 2), (4, 10, 2, 7), (6, 5, 3, 8))]


TOKEN_MLP = Exercise(
    name="TokenMLP",
    notebook="10",
    title="The MLP of a block as a class",
    reference=TokenMLP,
    probes=widths,
    call=build_mlp,
    axes={"x": "B N D", "output": "B N D"},
    hints=[
        "Three parts, made in `__init__`: a linear layer from `dim` to `hidden`, `nn.GELU()`, and a linear layer back "
        "from `hidden` to `dim`.",
        "`nn.Linear` works on the last axis and leaves the others alone: (B, N, dim) goes in as it is, with no loop "
        "and no reshape.",
    ],
    mistakes=[
        Mistake(
            "no_activation",
            mlp(act=lambda x: x),
            "There is nothing between the two linear layers. Two linear maps in a row are one linear map, so three "
            "quarters of these parameters buy nothing. Put the GELU between them.",
        ),
        Mistake(
            "relu",
            mlp(act=torch.relu),
            "You use ReLU. The shapes agree and it trains, but weights of published ViTs were learned with GELU.",
        ),
        Mistake(
            "silu",
            mlp(act=nn.functional.silu),
            "You use SiLU, x · sigmoid(x). It looks much like GELU and is another function: ViTs use `nn.GELU()`.",
        ),
        Mistake(
            "gelu_made_in_forward",
            running(lambda self, x: self.fc2(nn.GELU(self.fc1(x)))),
            "`nn.GELU(…)` makes a module; it does not apply one. Make it in `__init__`, without arguments, and call it "
            "in `forward`.",
        ),
        Mistake(
            "layers_swapped",
            running(lambda self, x: self.fc1(self.act(self.fc2(x)))),
            "The layers meet in the wrong order: the token, `dim` wide, arrives at the layer that expects `hidden`. "
            "The first one goes from `dim` to `hidden`, the second one back.",
        ),
        Mistake(
            "tanh_gelu",
            mlp(act=lambda x: nn.functional.gelu(x, approximate="tanh")),
            "Your GELU is the tanh approximation. The ViT of this course uses the exact form, which is what `nn.GELU()`"
            " gives if you say nothing more.",
        ),
        Mistake(
            "activation_at_the_end",
            mlp(after=nn.functional.gelu),
            "There is a second GELU, after the last layer. Then the branch can hardly subtract anything: it would add "
            "values of -0.17 and more to the stream, and the stream could only grow. The last layer stays linear.",
        ),
        Mistake(
            "activation_moved_to_the_end",
            mlp(act=lambda x: x, after=nn.functional.gelu),
            "The GELU stands after the second layer; it belongs between the two. As it is, the two layers are one "
            "linear map, and the result can hardly be negative.",
        ),
        Mistake(
            "activation_first",
            mlp(act=lambda x: x, before=nn.functional.gelu),
            "The GELU comes before the first layer. It belongs between the two, where the token is `hidden` wide: that "
            "is what the extra width is for.",
        ),
        Mistake(
            "fixed_ratio",
            mlp(width=lambda dim, hidden: 4 * dim),
            "The width in the middle is 4 · dim whatever `hidden` says. The ratio 4 is the caller's choice; use the "
            "argument.",
        ),
        Mistake(
            "no_widening",
            mlp(width=lambda dim, hidden: dim),
            "Both layers are dim × dim, and `hidden` is not used. The room in the middle is where a token is worked "
            "on; in the paper it is four times as wide.",
        ),
        Mistake(
            "hidden_times_four",
            mlp(width=lambda dim, hidden: 4 * hidden),
            "The middle is four times as wide as `hidden` says. `hidden` is the width itself; the caller has "
            "multiplied by 4 already.",
        ),
        Mistake(
            "hidden_as_ratio",
            mlp(width=lambda dim, hidden: dim * hidden),
            "You multiply `dim` by `hidden`. `hidden` is no ratio but the width of the middle itself.",
        ),
        Mistake(
            "no_bias",
            mlp(bias=False),
            "The layers have no bias. ViT's have: published weights would not load.",
        ),
        Mistake(
            "residual_inside",
            mlp(residual=True),
            "You add x to the result. That addition belongs to the block, which does it once: `x = x + mlp(norm(x))`. "
            "Done in both places, the stream gets its own norm added each time.",
        ),
        Mistake(
            "norm_inside",
            mlp(norm="first"),
            "There is a LayerNorm in your MLP. The block has its own in front of each branch; done twice, the second "
            "one costs parameters that no published ViT has.",
        ),
        Mistake(
            "norm_between",
            mlp(norm="between"),
            "There is a LayerNorm in the middle of your MLP. Between the two layers stands the GELU alone; norms stand "
            "in front of the branches, and the block has them.",
        ),
        Mistake(
            "norm_at_the_end",
            mlp(norm="last"),
            "There is a LayerNorm at the end of your MLP. Then the branch could not write little: each token would get "
            "something of size 1. The norm stands in front of the branch, in the block.",
        ),
    ],
    variants=[BySequential, ByConvolution, ByLoop, mlp(act=nn.GELU())],
    solved="Four tensors: with ratio 4 they hold two thirds of a block's parameters, as you count next.",
)

EXERCISES = [TOKEN_MLP]
