"""Notebook 12, first part: one library's names as another's."""

import re
from collections.abc import Callable, Sequence

from vit_course.exercises.core import Exercise, Mistake

PROJ = "attention.output.dense"
PAIRS = (
    ("vit.encoder.layer.", "blocks."),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    (PROJ, "attn.proj"),
    ("attention.attention", "attn"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("vit.layernorm", "norm"),
    ("vit.embeddings.patch_embeddings.projection", "patch_embed.proj"),
    ("vit.embeddings.cls_token", "cls_token"),
    ("vit.embeddings.position_embeddings", "pos_embed"),
    ("classifier", "head"),
)


def rename_key(name: str) -> str:
    """A name in transformers' file -> the name in ours; query, key and value stay three."""
    for theirs, ours in PAIRS:
        name = name.replace(theirs, ours)
    return name


def replaced(pairs: Sequence[tuple[str, str]], first: Callable[[str], str] = str) -> Callable[[str], str]:
    """`rename_key` with another list of replacements, after `first`."""

    def answer(name):
        name = first(name)
        for theirs, ours in pairs:
            name = name.replace(theirs, ours)
        return name

    return answer


def swapped(old: str, new: str) -> tuple[tuple[str, str], ...]:
    """The pairs with `old` in place of `new` on the right, and the other way round."""
    other = {old: new, new: old}
    return tuple((theirs, other.get(ours, ours)) for theirs, ours in PAIRS)


def without(*theirs: str) -> tuple[tuple[str, str], ...]:
    """The pairs without those for these names."""
    return tuple(pair for pair in PAIRS if pair[0] not in theirs)


def one_digit(name):
    return re.sub(r"^vit\.encoder\.layer\.(\d)\.", r"blocks.\1.", name)


def from_one(name):
    return re.sub(r"blocks\.(\d+)", lambda match: f"blocks.{int(match[1]) + 1}", rename_key(name))


def first_pair(name):
    for theirs, ours in PAIRS:
        if theirs in name:
            return name.replace(theirs, ours)
    return name


def by_pattern(name: str) -> str:
    """Right: the beginning by a pattern, the rest by a dictionary."""
    match = re.match(r"vit\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$", name)
    if match:
        number, inner, end = match.groups()
        table = {"attention.output.dense": "attn.proj", "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2"}
        table |= {"layernorm_before": "norm1", "layernorm_after": "norm2"}
        new = table.get(inner, "attn." + inner.rpartition(".")[2])
        return f"blocks.{number}.{new}.{end}"
    short = name.removeprefix("vit.").removeprefix("embeddings.")
    table = {"patch_embeddings.projection": "patch_embed.proj", "position_embeddings": "pos_embed"}
    table |= {"layernorm": "norm", "classifier": "head"}
    for theirs, ours in table.items():
        if short.startswith(theirs):
            return ours + short[len(theirs) :]
    return short


def by_words(name: str) -> str:
    """Right: one word after another."""
    words = name.split(".")
    if words[0] == "classifier":
        return ".".join(["head", *words[1:]])
    if words[1] == "embeddings":
        last = words[-1]
        return {"cls_token": "cls_token", "position_embeddings": "pos_embed"}.get(last, f"patch_embed.proj.{last}")
    if words[1] == "layernorm":
        return f"norm.{words[-1]}"
    inside = {"layernorm_before": "norm1", "layernorm_after": "norm2", "intermediate": "mlp.fc1", "output": "mlp.fc2"}
    part = inside.get(words[4]) or ("attn.proj" if words[5] == "output" else f"attn.{words[6]}")
    return f"blocks.{words[3]}.{part}.{words[-1]}"


def names() -> list[tuple]:
    """Names at the edges, then those of blocks with one digit and with two."""
    edges = ["classifier.weight", "vit.layernorm.bias", "vit.embeddings.cls_token"]
    edges += ["vit.embeddings.position_embeddings", "vit.embeddings.patch_embeddings.projection.weight"]
    inside = ["layernorm_before", "layernorm_after", "attention.output.dense", "intermediate.dense", "output.dense"]
    inside += [f"attention.attention.{one}" for one in ("query", "key", "value")]
    blocks = [f"vit.encoder.layer.{i}.{part}.{end}" for i, end in ((0, "weight"), (11, "bias")) for part in inside]
    return [(name,) for name in edges + blocks]


EXERCISES = [
    Exercise(
        name="rename_key",
        notebook="12",
        title="Rename a weight",
        reference=rename_key,
        probes=names,
        result="name",
        hints=[
            "A list of pairs, *their piece* and *our piece*, and `name.replace(theirs, ours)` for each. The table "
            "above has every pair.",
            "The number of the block needs no thought if the piece in front of it is replaced and the piece behind it "
            "is replaced: `vit.encoder.layer.` and `layernorm_before` do not touch the 11 between them.",
            "Two pieces of theirs lie inside longer ones: `output.dense` in `attention.output.dense`, and `layernorm` "
            "in `layernorm_before`. Which has to come first?",
        ],
        mistakes=[
            Mistake(
                "short_first",
                replaced((("output.dense", "mlp.fc2"), *without("output.dense"))),
                "`output.dense` also lies inside `attention.output.dense`, and your replacement changes it there too: "
                "the projection of attention becomes something like `attention.mlp.fc2`. The longer piece needs a "
                "replacement of its own, *before* that of the shorter one that it contains.",
            ),
            Mistake(
                "both_proj",
                replaced(tuple((a, "attn.proj" if a == "output.dense" else b) for a, b in PAIRS)),
                "Two weights of one block get the name `attn.proj`: attention's output layer and the MLP's second "
                "layer. In a dictionary the later one overwrites the earlier, without a word. `output.dense` alone, "
                "with no `attention` before it, is the MLP's.",
            ),
            Mistake(
                "output_is_proj",
                replaced(tuple((a, "attn.proj" if a == "output.dense" else b) for a, b in without(PROJ))),
                "`output.dense` stands twice in a block: as `attention.output.dense`, which is attention's projection, "
                "and without `attention`, which is the MLP's second layer. Your replacement makes `attn.proj` of both, "
                "and leaves an `attention.` in front of the first.",
            ),
            Mistake(
                "norm_first",
                replaced((("vit.layernorm", "norm"), ("layernorm", "norm"), *PAIRS)),
                "`layernorm` is replaced before `layernorm_before` and `layernorm_after`, so the blocks' norms come "
                "out as `norm_before` and `norm_after`. Replace the longer names first, or the last norm with its "
                "`vit.` in front.",
            ),
            Mistake(
                "norms_swapped",
                replaced(swapped("norm1", "norm2")),
                "The two norms of a block are swapped. All shapes agree, so the weights would load and the model "
                "would give wrong answers without an error. `layernorm_before` comes before attention, which is the "
                "first branch.",
            ),
            Mistake(
                "mlp_swapped",
                replaced(swapped("mlp.fc1", "mlp.fc2")),
                "The two layers of the MLP are swapped. `intermediate` makes the wide vector in the middle, so it is "
                "the first of the two; `output` comes back from it.",
            ),
            Mistake(
                "all_qkv",
                lambda name: re.sub(r"attn\.(query|key|value)\.", "attn.qkv.", rename_key(name)),
                "query, key and value all get the name `attn.qkv`. Three weights under one name: in a dictionary the "
                "last one stays and two are lost. Keep them apart for now, as `attn.query`, `attn.key`, `attn.value`; "
                "the next exercise makes one of them.",
            ),
            Mistake(
                "one_digit",
                replaced(PAIRS[1:], one_digit),
                "Block 11 keeps its old name. Your pattern takes one digit, `\\d`, and a ViT-B has blocks 0 to 11. "
                "`\\d+` takes one or more.",
            ),
            Mistake(
                "from_one",
                from_one,
                "Your blocks are numbered from 1. Theirs and ours both begin with 0, so the number stays as it is: "
                "with yours, every block would get its neighbour's weights.",
            ),
            Mistake(
                "prefix",
                replaced(tuple((theirs.removeprefix("vit."), ours) for theirs, ours in PAIRS)),
                "`vit.` is still in front. There it says that everything but the classifier belongs to a part called "
                "`vit`; our model has no such part.",
            ),
            Mistake(
                "stripped",
                replaced(
                    tuple((theirs.removeprefix("vit."), ours) for theirs, ours in PAIRS),
                    lambda name: name.strip("vit."),
                ),
                "The last letter of `weight` is gone. `strip` takes off a *set of letters* at both ends, as long as "
                "it finds them: here v, i, t and the dot. What you want is `removeprefix`.",
            ),
            Mistake(
                "unchanged",
                str,
                "Every name comes back as it was. `name.replace(…)` makes a new text and leaves the old one alone, so "
                "keep what it gives back. (And a dictionary finds whole names, not pieces of them.)",
            ),
            Mistake(
                "first_pair",
                first_pair,
                "Only one piece of each name is replaced: you return at the first that fits. The name of a weight in a "
                "block has two, the block's and the layer's. Go through all of them, and return after the loop.",
            ),
            Mistake(
                "no_head",
                replaced(without("classifier")),
                "`classifier` keeps its name. It is the last linear layer, which we call `head`.",
            ),
            Mistake(
                "attention_twice",
                replaced(
                    (
                        ("attention", "attn"),
                        *((a.replace("attention", "attn"), b) for a, b in without("attention.attention")),
                    )
                ),
                "`attention` stands twice in the names of query, key and value: once for the whole part of the block "
                "and once for the part inside that makes them. Ours has one level, `attn`: the two words become one.",
            ),
        ],
        variants=[by_pattern, by_words],
        solved="Renaming is most of what carrying weights over is, and a wrong pair of the same shape goes unnoticed.",
    )
]
