"""Notebook 16: a learning rate for each layer."""

from collections.abc import Callable

from vit_course.exercises.core import Exercise, Mistake, Tolerance


def layer_rates(names: list[str], depth: int, rate: float, decay: float) -> dict[str, float]:
    """The head and the last norm get `rate`, each layer below `decay` times the one above."""
    return rates()(names, depth, rate, decay)


def number_of(name: str, depth: int) -> int:
    """0 for what makes the tokens, 1 … depth for the blocks, depth + 1 for the last norm and the head."""
    if name.startswith("blocks."):
        return int(name.split(".")[1]) + 1
    return depth + 1 if name.startswith(("norm.", "head.")) else 0


def rates(
    *,
    layer: Callable[[str, int], int] = number_of,
    factor: Callable[[float, int, int], float] = lambda decay, layer, depth: decay ** (depth + 1 - layer),
) -> Callable:
    """`layer_rates` with one thing done otherwise."""

    def answer(names, depth, rate, decay):
        return {name: rate * factor(decay, layer(name, depth), depth) for name in names}

    return answer


def named(**layers: Callable[[str, int], int]) -> Callable[[str, int], int]:
    """`number_of`, but for names that start as the keywords say (with the dots as underscores)."""

    def number(name, depth):
        for start, other in layers.items():
            if name.startswith(start):
                return other(name, depth)
        return number_of(name, depth)

    return number


def some_left_out(names: list[str], depth: int, rate: float, decay: float) -> dict[str, float]:
    """Wrong: only blocks and head."""
    kept = [name for name in names if name.startswith(("blocks.", "head."))]
    return layer_rates(kept, depth, rate, decay)


def by_search(names: list[str], depth: int, rate: float, decay: float) -> dict[str, float]:
    """Downward from the head, layer by layer."""
    found, now = {}, rate
    tops = [("norm.", "head."), *((f"blocks.{i}.",) for i in reversed(range(depth))), ("",)]
    for starts in tops:
        for name in names:
            if name not in found and name.startswith(starts):
                found[name] = now
        now *= decay
    return found


def by_parts(names: list[str], depth: int, rate: float, decay: float) -> dict[str, float]:
    result = {}
    for name in names:
        match name.split("."):
            case ["blocks", number, *_]:
                below = depth - int(number)
            case ["norm" | "head", *_]:
                below = 0
            case _:
                below = depth + 1
        result[name] = rate
        for _ in range(below):
            result[name] *= decay
    return result


def vits() -> list[tuple]:
    """Names of ViTs with 2 and with 12 blocks, with a class token and without."""
    found = []
    for depth, rate, decay, start in ((2, 1.0, 0.5, []), (12, 0.01, 0.75, ["cls_token"])):
        names = [*start, "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
        for i in range(depth):
            names += [f"blocks.{i}.{part}" for part in ("norm1.weight", "attn.qkv.weight", "mlp.fc1.bias")]
        found.append(([*names, "norm.weight", "norm.bias", "head.weight", "head.bias"], depth, rate, decay))
    return found


LAYER_RATES = Exercise(
    name="layer_rates",
    notebook="16",
    title="A learning rate for each layer",
    reference=layer_rates,
    probes=vits,
    result="rates",
    tolerance=Tolerance(rtol=1e-4, atol=1e-12),
    hints=[
        "Number the layers first, from the images up: 0 for what makes the tokens, then the blocks, then the last norm "
        "and the head. A ViT with `depth` blocks has depth + 2 layers.",
        'The number of a block is written in its name: `"blocks.11.mlp.fc1.weight".split(".")`.',
        "How many layers lie between a layer and the top? That is the power of `decay`.",
    ],
    mistakes=[
        Mistake(
            "upside_down",
            rates(factor=lambda decay, layer, depth: decay**layer),
            "Upside down: the embedding gets the full rate and the head the smallest. The head is new and has "
            "everything to learn; the first layers carry over best and should move least.",
        ),
        Mistake(
            "one_too_many",
            rates(factor=lambda decay, layer, depth: decay ** (depth + 2 - layer)),
            "Every rate is multiplied by `decay` once too often: the head itself should get `rate`, whole.",
        ),
        Mistake(
            "one_too_few",
            rates(factor=lambda decay, layer, depth: decay ** max(depth - layer, 0)),
            "The last block has the head's rate: all layers below the top are one power short. The power is the number "
            "of layers between a layer and the top, and for the last block that is 1.",
        ),
        Mistake(
            "tokens_on_top",
            rates(layer=named(cls_token=lambda n, d: d + 1, pos_embed=lambda n, d: d + 1)),
            "`pos_embed` (and `cls_token`, where there is one) got the head's rate. No block's name is in theirs, but "
            "they are used before the first block: layer 0, with the patch embedding.",
        ),
        Mistake(
            "embedding_on_top",
            rates(layer=lambda n, d: number_of(n, d) or d + 1),
            "Everything that is in no block got the head's rate, and so the patch embedding and the positions learn "
            "fastest of all. They come before the first block: layer 0.",
        ),
        Mistake(
            "embedding_with_block_0",
            rates(layer=lambda n, d: max(number_of(n, d), 1)),
            "The embedding shares a layer with block 0. It is a layer of its own, one further down.",
        ),
        Mistake(
            "block_without_one",
            rates(layer=named(blocks=lambda n, d: number_of(n, d) - 1)),
            "Blocks are counted from 0, so block 0 landed on the embedding's layer, and the last one is two powers "
            "from the top. Their layer is their number plus 1.",
        ),
        Mistake(
            "first_digit",
            rates(layer=named(blocks=lambda n, d: int(n[len("blocks.")]) + 1)),
            "Blocks 10 and 11 got the rate of block 1: you read one digit, or compared only the start of the name "
            "(`blocks.1` begins `blocks.10`, too). Take all that stands between the two dots.",
        ),
        Mistake(
            "norms_on_top",
            rates(layer=lambda n, d: d + 1 if "norm" in n else number_of(n, d)),
            "The norms *inside* the blocks got the head's rate: `norm` stands in `norm1` as well. Only the norm after "
            "the last block belongs to the top, and its name starts so.",
        ),
        Mistake(
            "norm_at_the_bottom",
            rates(layer=lambda n, d: 0 if n.startswith("norm.") else number_of(n, d)),
            "The last norm was counted as layer 0. It has no number in its name, but it comes after the last block: it "
            "belongs to the head.",
        ),
        Mistake(
            "norm_with_last_block",
            rates(layer=lambda n, d: d if n.startswith("norm.") else number_of(n, d)),
            "The last norm has the last block's rate. Here it is asked to go with the head.",
        ),
        Mistake(
            "in_steps",
            rates(factor=lambda decay, layer, depth: decay * (depth + 1 - layer) if layer <= depth else 1),
            "You multiplied by the number of layers where the power is meant: further down, rates *grow*. Each layer "
            "has `decay` times the rate of the one above it.",
        ),
        Mistake(
            "times_for_power",
            rates(factor=lambda decay, layer, depth: decay * (depth + 1 - layer)),
            "You multiplied by the number of layers where the power is meant (`**`): the head gets 0, and further down "
            "the rates grow.",
        ),
        Mistake(
            "all_equal",
            rates(factor=lambda decay, layer, depth: 1.0),
            "All layers have one rate: `decay` is not used.",
        ),
        Mistake(
            "head_alone",
            rates(factor=lambda decay, layer, depth: 1.0 if layer == depth + 1 else decay),
            "There are two rates only, one on top and one for everything below. Each further layer down takes another "
            "factor of `decay`.",
        ),
        Mistake(
            "left_out",
            some_left_out,
            "Some names have no rate: what makes the tokens, and the last norm. What no optimiser holds never learns, "
            "and nobody tells you.",
        ),
    ],
    variants=[by_search, by_parts],
    solved="With 12 blocks and a decay of 0.75, the embedding learns at a 42nd of the head's rate.",
)

EXERCISES = [LAYER_RATES]
