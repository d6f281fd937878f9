"""The names that four libraries give to the weights of one ViT, and the way from any of them to any other."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# Every parameter of our ViT, and its shape; `*` stands for the number of a block. A letter is whatever is found first.
SHAPES = {
    "patch_embed.proj.weight": ("D", "C", "P", "Q"),
    "patch_embed.proj.bias": ("D",),
    "cls_token": (1, 1, "D"),
    "pos_embed": (1, "tokens", "D"),
    "norm_pre.weight": ("D",),
    "norm_pre.bias": ("D",),
    "blocks.*.norm1.weight": ("D",),
    "blocks.*.norm1.bias": ("D",),
    "blocks.*.attn.proj.weight": ("D", "h·d"),
    "blocks.*.attn.proj.bias": ("D",),
    "blocks.*.attn.qkv.weight": ("3·h·d", "D"),
    "blocks.*.attn.qkv.bias": ("3·h·d",),
    "blocks.*.norm2.weight": ("D",),
    "blocks.*.norm2.bias": ("D",),
    "blocks.*.mlp.fc1.weight": ("hidden", "D"),
    "blocks.*.mlp.fc1.bias": ("hidden",),
    "blocks.*.mlp.fc2.weight": ("D", "hidden"),
    "blocks.*.mlp.fc2.bias": ("D",),
    "norm.weight": ("D",),
    "norm.bias": ("D",),
    "attn_pool.latent": (1, 1, "D"),
    "attn_pool.q.weight": ("D", "D"),
    "attn_pool.q.bias": ("D",),
    "attn_pool.kv.weight": ("2·D", "D"),
    "attn_pool.kv.bias": ("2·D",),
    "attn_pool.proj.weight": ("D", "D"),
    "attn_pool.proj.bias": ("D",),
    "attn_pool.norm.weight": ("D",),
    "attn_pool.norm.bias": ("D",),
    "attn_pool.mlp.fc1.weight": ("hidden", "D"),
    "attn_pool.mlp.fc1.bias": ("hidden",),
    "attn_pool.mlp.fc2.weight": ("D", "hidden"),
    "attn_pool.mlp.fc2.bias": ("D",),
    "head.weight": ("classes", "D"),
    "head.bias": ("classes",),
}
# Parameters that a ViT may do without: a whole group of them, or none.
FREE = ("patch_embed.proj.bias", "cls_token", "pos_embed", "norm_pre.", "blocks.*.attn.qkv.bias", "attn_pool.", "head.")

# Ours, which are timm's -> theirs. What ends in a dot or `_` begins two names: `weight` and `bias` follow.
# Three names are three matrices, which stand one above the other in ours.
OURS = {name: name for name in SHAPES}
TORCHVISION = {
    "patch_embed.proj.": "conv_proj.",
    "cls_token": "class_token",
    "pos_embed": "encoder.pos_embedding",
    "blocks.*.norm1.": "encoder.layers.encoder_layer_*.ln_1.",
    "blocks.*.attn.qkv.": "encoder.layers.encoder_layer_*.self_attention.in_proj_",
    "blocks.*.attn.proj.": "encoder.layers.encoder_layer_*.self_attention.out_proj.",
    "blocks.*.norm2.": "encoder.layers.encoder_layer_*.ln_2.",
    "blocks.*.mlp.fc1.": "encoder.layers.encoder_layer_*.mlp.0.",
    "blocks.*.mlp.fc2.": "encoder.layers.encoder_layer_*.mlp.3.",
    "norm.": "encoder.ln.",
    "head.": "heads.head.",
}
TRANSFORMERS = {
    "patch_embed.proj.": "vit.embeddings.patch_embeddings.projection.",
    "cls_token": "vit.embeddings.cls_token",
    "pos_embed": "vit.embeddings.position_embeddings",
    "blocks.*.norm1.": "vit.encoder.layer.*.layernorm_before.",
    "blocks.*.attn.qkv.": tuple(f"vit.encoder.layer.*.attention.attention.{x}." for x in ("query", "key", "value")),
    "blocks.*.attn.proj.": "vit.encoder.layer.*.attention.output.dense.",
    "blocks.*.norm2.": "vit.encoder.layer.*.layernorm_after.",
    "blocks.*.mlp.fc1.": "vit.encoder.layer.*.intermediate.dense.",
    "blocks.*.mlp.fc2.": "vit.encoder.layer.*.output.dense.",
    "norm.": "vit.layernorm.",
    "head.": "classifier.",
}
TRANSFORMERS_MEMORY = TRANSFORMERS | {
    "blocks.*.norm1.": "vit.layers.*.layernorm_before.",
    "blocks.*.attn.qkv.": tuple(f"vit.layers.*.attention.{x}_proj." for x in "qkv"),
    "blocks.*.attn.proj.": "vit.layers.*.attention.o_proj.",
    "blocks.*.norm2.": "vit.layers.*.layernorm_after.",
    "blocks.*.mlp.fc1.": "vit.layers.*.mlp.fc1.",
    "blocks.*.mlp.fc2.": "vit.layers.*.mlp.fc2.",
}
ELSEWHERE = {"norm_pre.": "norm_pre.", "attn_pool.": "attn_pool."}  # CLIP's and SigLIP's: unknown to these ViTs
# Each layout's names, and what a state dict in it may do without.
LAYOUTS = {
    "ours": (OURS, FREE),
    "timm": (OURS, FREE),
    "torchvision": (TORCHVISION | ELSEWHERE, ("head.", *ELSEWHERE)),
    "transformers": (TRANSFORMERS | ELSEWHERE, ("blocks.*.attn.qkv.bias", "head.", *ELSEWHERE)),
    "transformers_memory": (TRANSFORMERS_MEMORY | ELSEWHERE, ("blocks.*.attn.qkv.bias", "head.", *ELSEWHERE)),
}

# Names of activations in transformers and timm -> ours. "gelu_new" and its kin are all the approximation by tanh.
ACTS = {"gelu": "gelu", "gelu_python": "gelu", "quick_gelu": "quick_gelu", "quickgelu": "quick_gelu"} | dict.fromkeys(
    ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_tanh"), "gelu_tanh"
)


def activation_of(name: str) -> str:
    """Our name of an activation of transformers' or timm's.

    Raises:
        ValueError: it is not here.
    """
    if name not in ACTS:
        raise ValueError(f"the activation {name!r} is not here: {', '.join(ACTS)} are")
    return ACTS[name]


def convert(state_dict: Mapping[str, Tensor], source: str, target: str = "ours") -> dict[str, Tensor]:
    """The weights of a ViT under the names, and in the shapes, of another library.

    >>> model.load_state_dict(convert(their_model.state_dict(), source="torchvision"))

    There and back gives the same bits. A tensor is shared, not copied, where its name alone changes.

    Args:
        source, target: "ours", "timm" (the same names), "torchvision", "transformers" (its files, in every release;
            with or without `vit.` in front) or "transformers_memory" (the modules of newer releases have other names
            than the files: `layout_of` tells). As a source, "transformers" reads both.

    Raises:
        ValueError: an unknown layout; names that are unknown (a pooler too, which no classifier uses: leave it out) or
            missing, or shapes that do not fit each other; or the target's ViT always has something, such as a class
            token, that these weights lack, or never has something that they have.
    """
    for layout in (source, target):
        if layout not in LAYOUTS:
            raise ValueError(f"there is no layout {layout!r}: use one of {', '.join(LAYOUTS)}")
    state = tidied(state_dict)
    if source == "transformers" and layout_of(state) == "transformers_memory":
        source = "transformers_memory"
    depth = number_of_blocks(state, source)
    theirs = names(source, depth)
    parts = {name: [state[one] for one in found if one in state] for name, found in theirs.items()}
    parts = {name: found for name, found in parts.items() if found}
    known = {one for found in theirs.values() for one in found}
    problems = {
        "unknown": [name for name in state if name not in known],
        "missing": [one for name in lacking(parts, source, depth) for one in theirs[name] if one not in state]
        + [one for name in parts for one in theirs[name] if one not in state],
        "of another shape": misshapen(parts, theirs),
    }
    said = [f"{what}: {shortened(found)}" for what, found in problems.items() if found]
    if said:
        raise ValueError(f"these are not the weights of one ViT in the layout {source!r}. {'; '.join(said)}")
    if short := lacking(parts, target, depth):
        raise ValueError(f"every ViT in the layout {target!r} has {shortened(short)}, which these weights lack")
    result = {}
    for name, wanted in names(target, depth).items():
        if name in parts:
            whole = torch.cat(parts[name]) if len(parts[name]) > 1 else parts[name][0]
            pieces = [piece.clone() for piece in whole.chunk(len(wanted))] if len(wanted) > 1 else [whole]
            result.update(zip(wanted, pieces, strict=True))
    return result


def layout_of(state_dict: Mapping[str, Tensor]) -> str:
    """The layout that a ViT's state dict is in, one of `LAYOUTS`; "ours" for timm's, which is the same.

    Raises:
        ValueError: none of them.
    """
    state = tidied(state_dict)
    signs = {
        "vit.embeddings.patch_embeddings.projection.weight": "transformers",
        "conv_proj.weight": "torchvision",
        "patch_embed.proj.weight": "ours",
    }
    found = next((layout for sign, layout in signs.items() if sign in state), None)
    if found is None:
        raise ValueError(f"none of {shortened(list(signs))} is here: these are not the weights of a ViT that is known")
    newer = found == "transformers" and any(name.startswith("vit.layers.") for name in state)
    return "transformers_memory" if newer else found


def names(layout: str, depth: int) -> dict[str, tuple[str, ...]]:
    """Each parameter of our ViT with `depth` blocks -> its name in a layout, or the names of its three parts there."""
    found = {}
    for name in SHAPES:
        start, theirs = next((a, b) for a, b in LAYOUTS[layout][0].items() if name.startswith(a))
        theirs = (theirs,) if isinstance(theirs, str) else theirs
        for i in range(depth) if "*" in name else [0]:
            ends = [(one + name.removeprefix(start)).replace("*", str(i)) for one in theirs]
            found[name.replace("*", str(i))] = tuple(ends)
    return found


def tidied(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with one spelling for each library: a bare ViTModel's and torchvision's older files have another."""
    state = dict(state_dict)
    if "embeddings.patch_embeddings.projection.weight" in state:
        state = {name if name.startswith("classifier.") else f"vit.{name}": tensor for name, tensor in state.items()}
    older = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}
    for old, new in older.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    return state


def number_of_blocks(state: Mapping[str, Tensor], layout: str) -> int:
    """One more than the highest number of a block; at least 1, so that a first one that is missing is missed."""
    before, _, _ = names(layout, 1)["blocks.0.norm1.weight"][0].partition("0")
    found = [re.match(rf"{re.escape(before)}(\d+)\.", name) for name in state]
    return 1 + max([int(match[1]) for match in found if match], default=0)


def starred(name: str) -> str:
    """A parameter of ours as `SHAPES` has it: `*` for the number of its block."""
    return re.sub(r"^blocks\.\d+\.", "blocks.*.", name)


def lacking(parts: Mapping[str, list[Tensor]], layout: str, depth: int) -> list[str]:
    """Names of ours that every ViT in this layout has and `parts` have not.

    Raises:
        ValueError: something in `parts` that no ViT in this layout has.
    """
    if LAYOUTS[layout][0] is not OURS and (strange := [name for name in parts if name.startswith(tuple(ELSEWHERE))]):
        raise ValueError(f"no ViT in the layout {layout!r} has {shortened(strange)}, which these weights have")
    there = {starred(name) for name in parts}
    free = tuple(start for start in LAYOUTS[layout][1] if not any(name.startswith(start) for name in there))
    return [name for name in names("ours", depth) if name not in parts and not starred(name).startswith(free)]


def misshapen(parts: Mapping[str, list[Tensor]], theirs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Each parameter whose shape does not fit those before it, with both shapes."""
    sizes: dict[str, int] = {}
    wrong = []
    for name, tensors in parts.items():
        letters = SHAPES[starred(name)]
        if len(theirs[name]) > 1:  # a third of ours
            letters = ("h·d", *letters[1:])
        for one, tensor in zip(theirs[name], tensors, strict=False):
            for letter, size in zip(letters, tensor.shape, strict=False):
                if letter == "3·h·d":
                    sizes.setdefault("h·d", size // 3)
                    sizes[letter] = 3 * sizes["h·d"]
                if letter == "2·D":
                    sizes[letter] = 2 * sizes.get("D", size // 2)
                sizes.setdefault(letter, size)
            expected = tuple(letter if isinstance(letter, int) else sizes.get(letter, letter) for letter in letters)
            if tuple(tensor.shape) != expected:
                wrong.append(f"{one} {tuple(tensor.shape)} instead of {expected}")
    return wrong


def shortened(found: Sequence[str], most: int = 4) -> str:
    """A list in words, cut after `most`."""
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
