"""transformers' names for the weights of a whole CLIP or SigLIP, and the way to ours and back."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Ours -> transformers', in memory and in files. A name that ends in a dot begins several; `*` is a block's number.
BLOCKS = {
    "blocks.*.norm1.": "encoder.layers.*.layer_norm1.",
    "blocks.*.attn.qkv.": "encoder.layers.*.self_attn.qkv.",  # three matrices there: see THIRDS
    "blocks.*.attn.proj.": "encoder.layers.*.self_attn.out_proj.",
    "blocks.*.norm2.": "encoder.layers.*.layer_norm2.",
    "blocks.*.mlp.": "encoder.layers.*.mlp.",
}
IMAGE = BLOCKS | {
    "patch_embed.proj.": "embeddings.patch_embedding.",
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding.weight",
    "norm_pre.": "pre_layrnorm.",  # spelt so
    "norm.": "post_layernorm.",
    "attn_pool.latent": "head.probe",
    "attn_pool.qkv.": "head.attention.in_proj_",  # two matrices in ours: see POOL
    "attn_pool.proj.": "head.attention.out_proj.",
    "attn_pool.norm.": "head.layernorm.",
    "attn_pool.mlp.": "head.mlp.",
}
TEXT = BLOCKS | {
    "token_embed.": "embeddings.token_embedding.",
    "pos_embed": "embeddings.position_embedding.weight",
    "norm.": "final_layer_norm.",
}
TOWERS = {f"image.{ours}": f"vision_model.{theirs}" for ours, theirs in IMAGE.items()}
TOWERS |= {f"text.{ours}": f"text_model.{theirs}" for ours, theirs in TEXT.items()}
CLIP = TOWERS | {
    "image_projection.": "visual_projection.",
    "text_projection.": "text_projection.",
    "logit_scale": "logit_scale",
}
SIGLIP = TOWERS | {
    "text_projection.": "text_model.head.",
    "logit_scale": "logit_scale",
    "logit_bias": "logit_bias",
}
THIRDS = {f".self_attn.{x}_proj.": 1 for x in "qkv"}  # parts of one matrix, and their shares of its rows
POOL = {".attn_pool.q.": 1, ".attn_pool.kv.": 2}
# Ours have an axis more, of length 1: (1, tokens, D) and (1, 1, D).
LONGER = {"image.pos_embed": 1, "text.pos_embed": 1, "image.cls_token": 2}


def convert_towers(state_dict: Mapping[str, Tensor], source: str, target: str = "ours") -> dict[str, Tensor]:
    """The weights of a whole CLIP or SigLIP under transformers' names, or back under ours.

    >>> save_file(convert_towers(model.state_dict(), "ours", "transformers"), folder / "model.safetensors")

    There and back gives the same bits.

    Args:
        source, target: "ours" or "transformers". Older files' `position_ids`, which are no weights, are left out.

    Raises:
        ValueError: another layout, unknown names, or a query, key or value without the other two.
    """
    for layout in (source, target):
        if layout not in ("ours", "transformers"):
            raise ValueError(f"CLIP and SigLIP are here in the layouts ours and transformers, not in {layout!r}")
    table = SIGLIP if "logit_bias" in state_dict else CLIP
    state = {name: tensor for name, tensor in state_dict.items() if not name.endswith(".position_ids")}
    if source == target:
        return state
    if target == "ours":
        state = joined(state, THIRDS, ".self_attn.qkv.")
        state = renamed(state, {theirs: ours for ours, theirs in table.items()})
        state = parted(state, ".attn_pool.qkv.", POOL)
        for name, axes in LONGER.items():
            if name in state:
                state[name] = state[name][(None,) * axes]
        return {name: tensor.squeeze() if name.startswith("logit_") else tensor for name, tensor in state.items()}
    for name, axes in LONGER.items():
        if name in state:
            state[name] = state[name][(0,) * axes]
    state = renamed(joined(state, POOL, ".attn_pool.qkv."), table)
    if table is SIGLIP:  # whose two numbers are vectors of one
        state |= {name: state[name].reshape(1) for name in ("logit_scale", "logit_bias") if name in state}
    return parted(state, ".self_attn.qkv.", THIRDS)


def renamed(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """The same tensors, each under the name that the table has for the beginning of its own.

    Raises:
        ValueError: names that begin like none in the table.
    """
    patterns = {re.compile(re.escape(old).replace(r"\*", r"(\d+)")): new for old, new in table.items()}
    found, unknown = {}, []
    for name, tensor in state.items():
        matches = ((pattern.match(name), new) for pattern, new in patterns.items())
        match, new = next(((match, new) for match, new in matches if match), (None, ""))
        if match is None:
            unknown.append(name)
        else:
            number = match[1] if match.re.groups else ""
            found[new.replace("*", number) + name[match.end() :]] = tensor
    if unknown:
        raise ValueError(f"these are not the weights of one CLIP or SigLIP. unknown: {', '.join(unknown[:4])}")
    return found


def joined(state: Mapping[str, Tensor], parts: Mapping[str, int], whole: str) -> dict[str, Tensor]:
    """Tensors whose names differ in one of `parts` alone, stacked under the name with `whole` there.

    Raises:
        ValueError: a part without the others.
    """
    result, first = dict(state), next(iter(parts))
    for name in state:
        part = next((part for part in parts if part in name), None)
        if part is None:
            continue
        pieces = [name.replace(part, one) for one in parts]
        if missing := [piece for piece in pieces if piece not in state]:
            raise ValueError(f"these are not the weights of one CLIP or SigLIP. missing: {', '.join(missing)}")
        del result[name]
        if part == first:
            result[name.replace(part, whole)] = torch.cat([state[piece] for piece in pieces])
    return result


def parted(state: Mapping[str, Tensor], whole: str, parts: Mapping[str, int]) -> dict[str, Tensor]:
    """The inverse of `joined`."""
    result = {}
    for name, tensor in state.items():
        if whole not in name:
            result[name] = tensor
            continue
        rows = len(tensor) // sum(parts.values())
        pieces = tensor.split([rows * share for share in parts.values()])
        for part, piece in zip(parts, pieces, strict=True):
            result[name.replace(whole, part)] = piece.clone()
    return result
