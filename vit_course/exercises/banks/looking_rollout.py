"""Notebook 17: attention followed through all layers."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def roll_out(maps: Tensor) -> Tensor:
    """Attention rollout (Abnar and Zuidema 2020, section 3) of one image: (depth, h, N, N) -> (N, N)."""
    return rolling()(maps)


def with_residual(layer: Tensor) -> Tensor:
    return (layer + torch.eye(len(layer))) / 2


def chain(layers: list[Tensor]) -> Tensor:
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    return total


def rolling(
    heads: Callable = lambda maps: maps.mean(dim=1), mix: Callable = with_residual, join: Callable = chain
) -> Callable:
    """`roll_out` that puts the heads together, adds the residual or joins the layers in another way."""
    return lambda maps: join([mix(layer) for layer in heads(maps)])


def product(layers: list[Tensor]) -> Tensor:
    total = torch.ones_like(layers[0])
    for layer in layers:
        total = total * layer
    return total


def added_up(layers: list[Tensor]) -> Tensor:
    total = torch.eye(len(layers[0]))
    for layer in layers:
        total = total + layer @ total
    return total


def heads_apart(maps: Tensor) -> Tensor:
    return torch.stack([chain([with_residual(layer) for layer in head]) for head in maps.transpose(0, 1)]).mean(dim=0)


def rolled_by_paths(maps: Tensor) -> Tensor:
    depth, h, N, _ = maps.shape
    total = torch.eye(N)
    for i in range(depth):
        new = torch.zeros(N, N)
        for asker in range(N):
            for place in range(N):
                share = 0.5 * (asker == place) + 0.5 * sum(maps[i, head, asker, place] for head in range(h)) / h
                new[asker] += share * total[place]
        total = new
    return total


def rolled_from_the_top(maps: Tensor) -> Tensor:
    mixed = 0.5 * maps.mean(dim=1) + 0.5 * torch.eye(maps.shape[-1])
    return torch.linalg.multi_dot([*mixed.flip(0)]) if len(mixed) > 1 else mixed[0]


def normalised_rows(layer: Tensor) -> Tensor:
    mixed = layer + torch.eye(len(layer))
    return mixed / mixed.sum(dim=-1, keepdim=True)


def draw(depth: int, h: int, N: int) -> tuple:
    return ((2 * torch.randn(depth, h, N, N)).softmax(dim=-1),)


ROLL_OUT = Exercise(
    name="roll_out",
    notebook="17",
    title="Follow attention through all layers",
    reference=roll_out,
    probes=lambda: [draw(2, 2, 3), draw(3, 2, 4), draw(4, 3, 5), draw(1, 2, 3)],
    axes={"maps": "depth h N N", "result": "N N"},
    hints=[
        "One matrix a layer: the mean over its heads, axis 1. Half of it, and half of the identity, for the residual "
        "connection.",
        "Try with two layers. Row i of the second says from which tokens *of the first layer* token i takes; each of "
        "these is a row of the first.",
        "A matrix product joins two layers. The later layer stands on the left.",
    ],
    mistakes=[
        Mistake(
            "no_residual",
            rolling(mix=lambda layer: layer),
            "The residual connection is missing. Every token would forget itself in each layer, and after a few layers "
            "all rows would be nearly the same.",
        ),
        Mistake(
            "not_halved",
            rolling(mix=lambda layer: layer + torch.eye(len(layer))),
            "You added the identity and did not divide by 2. A row then sums to 2 in each layer, and to 2, 4, 8, 16 "
            "through the layers: the sums say nothing any more.",
        ),
        Mistake(
            "half_on_one_side",
            rolling(mix=lambda layer: layer / 2 + torch.eye(len(layer))),
            "You halved the attention and kept the whole identity: a row sums to 1½. Both get one half.",
        ),
        Mistake(
            "reversed",
            rolling(join=lambda layers: chain(layers[::-1])),
            "The layers are multiplied in reverse. The last layer's tokens ask the layer below, which asks the one "
            "below it: the later layer stands on the left of the product.",
        ),
        Mistake(
            "reversed_without_residual",
            rolling(mix=lambda layer: layer, join=lambda layers: chain(layers[::-1])),
            "Two things: the residual connection is missing, and the layers are multiplied in reverse. The later layer "
            "stands on the left.",
        ),
        Mistake(
            "layers_averaged",
            rolling(join=lambda layers: torch.stack(layers).mean(dim=0)),
            "You averaged the layers. Then a token that is reached only by way of another gets nothing; rollout "
            "multiplies, because each layer reads what the one below has mixed.",
        ),
        Mistake(
            "place_by_place",
            rolling(join=product),
            "You multiplied place by place. What counts is every path from token to token, added up: that is the "
            "matrix product, `@`.",
        ),
        Mistake(
            "residual_at_the_end",
            lambda maps: with_residual(chain([*maps.mean(dim=1)])),
            "You added the identity once, at the end. There is a residual connection in *each* layer: add it before "
            "you multiply.",
        ),
        Mistake(
            "last_layer",
            rolling(join=lambda layers: layers[-1]),
            "That is the last layer alone. Its tokens look at tokens that are mixtures already; multiply down to the "
            "first layer.",
        ),
        Mistake(
            "first_layer",
            rolling(join=lambda layers: layers[0]),
            "That is the first layer alone: is your loop leaving after one step, or overwriting its result?",
        ),
        Mistake(
            "heads_added",
            rolling(heads=lambda maps: maps.sum(dim=1)),
            "You added the heads up. With h heads, attention then counts h times as much as the residual: take the "
            "mean.",
        ),
        Mistake(
            "largest_head",
            rolling(heads=lambda maps: maps.amax(dim=1)),
            "You took the largest weight of the heads. Rows then sum to more than 1. Rollout averages the heads.",
        ),
        Mistake(
            "mean_over_layers",
            rolling(heads=lambda maps: maps.mean(dim=0)),
            "You averaged over axis 0, the layers, and multiplied the heads. The maps are (depth, h, N, N): the heads "
            "are axis 1.",
        ),
        Mistake(
            "heads_apart",
            heads_apart,
            "You followed each head by itself and averaged at the end. But head 2 of a layer reads what *all* heads "
            "of the layer below have written: average the heads in each layer.",
        ),
        Mistake(
            "transposed",
            lambda maps: roll_out(maps).T,
            "Your result lies on its side: row i has to say where token i of the last layer comes from.",
        ),
        Mistake(
            "first_layer_without_residual",
            lambda maps: chain([*maps[:1].mean(dim=1), *map(with_residual, maps[1:].mean(dim=1))]),
            "The first layer has no residual connection in your product: did you start with its weights as they "
            "are? Start with the identity, or with the first layer's own half and half.",
        ),
        Mistake(
            "added_up",
            rolling(join=added_up),
            "You add each product to what was there, so a row's sum doubles with every layer. The product "
            "*replaces* the total: the residual connection is inside it already.",
        ),
        Mistake(
            "one_for_identity",
            rolling(mix=lambda layer: (layer + 1) / 2),
            "You add the number 1 to *every* entry, as if each token kept a part of all others. What a token keeps "
            "is itself: the identity, `torch.eye(N)`.",
        ),
        Mistake(
            "from_zeros",
            rolling(join=lambda layers: torch.zeros_like(layers[0])),
            "Everything is 0: you start with zeros, and a product with zeros stays 0. Before the first layer each "
            "token is made of itself: start with the identity.",
        ),
    ],
    variants=[rolled_by_paths, rolled_from_the_top, rolling(mix=normalised_rows)],
    solved="Each row sums to 1: it says of what a token of the last layer is made, if attention were all.",
)

EXERCISES = [ROLL_OUT]
