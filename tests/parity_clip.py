"""The part of the parity matrix about CLIP and SigLIP, tower by tower and whole; parity.py writes it down."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vit_course.models.layouts_clip import convert_towers
from vit_course.models.pretrained import load_pretrained

IMAGE = {"hidden_size": 48, "intermediate_size": 121, "num_hidden_layers": 2, "num_attention_heads": 4}
IMAGE |= {"image_size": 24, "patch_size": 8}
TEXT = {"hidden_size": 32, "intermediate_size": 75, "num_hidden_layers": 3, "num_attention_heads": 2}
TEXT |= {"vocab_size": 60, "max_position_embeddings": 9, "bos_token_id": 0, "eos_token_id": 57, "pad_token_id": 1}
OTHER = {"num_attention_heads": 1, "intermediate_size": 48, "num_hidden_layers": 1}
BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 1}
# What each case changes: in both towers, in the image tower, in the text tower.
Changes = tuple[dict, dict, dict]
COMMON: dict[str, Changes] = {
    "small": ({}, {}, {}),
    "exact GELU, eps 1e-3": ({"hidden_act": "gelu", "layer_norm_eps": 1e-3}, {}, {}),
    "1 block, 1 head, 1 channel, patch 12": (OTHER, {"num_channels": 1, "patch_size": 12}, {}),
    "base, 1 of 12 blocks": (BASE, {"image_size": 64, "patch_size": 16}, {}),
}
CASES: dict[str, dict[str, Changes]] = {
    "CLIP": COMMON
    | {
        "GELU by tanh": ({"hidden_act": "gelu_pytorch_tanh"}, {}, {}),
        "end token 2, as in the first files": ({}, {}, {"eos_token_id": 2}),
    },
    "SigLIP": COMMON | {"QuickGELU": ({"hidden_act": "quick_gelu"}, {}, {})},
}


def theirs(kind: str, case: str) -> nn.Module:
    """transformers' CLIPModel or SiglipModel of a case."""
    import transformers

    both, image, text = CASES[kind][case]
    image, text = IMAGE | both | image, TEXT | both | text
    if kind == "CLIP":
        config = transformers.CLIPConfig(vision_config=image, text_config=text, projection_dim=20)
        return transformers.CLIPModel(config)
    text["projection_size"] = image["hidden_size"]
    return transformers.SiglipModel(transformers.SiglipConfig(vision_config=image, text_config=text))


def some_inputs(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Images, and texts with an end token at different places and anything behind it."""
    image, text = model.config.vision_config, model.config.text_config
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, image.num_channels, image.image_size, image.image_size, generator=generator)
    tokens = torch.randint(3, 57, (4, text.max_position_embeddings), generator=generator)
    tokens[torch.arange(4), torch.tensor([2, 8, 4, 5])] = 57
    return images, tokens


@torch.no_grad()
def in_ours(model: Any, images: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """What our CLIP or SigLIP gives out, part by part."""
    texts = model.text(tokens)
    if hasattr(model, "logit_bias"):
        texts = model.text_projection(texts)  # transformers has it in the text tower
    return {"image tower": model.image(images), "text tower": texts, "whole": model(images, tokens)}


@torch.no_grad()
def in_theirs(model: Any, images: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """The same from transformers'."""
    return {
        "image tower": model.vision_model(pixel_values=images).pooler_output,
        "text tower": model.text_model(input_ids=tokens).pooler_output,
        "whole": model(input_ids=tokens, pixel_values=images).logits_per_image,
    }


def differences(kind: str, case: str, folder: Path) -> Iterator[tuple[str, float, float, float]]:
    """For each part: its name, the largest difference with their weights in ours, with ours in theirs, the spread."""
    from parity import difference, randomise
    from safetensors.torch import save_file

    model = randomise(theirs(kind, case), seed=3)
    images, tokens = some_inputs(model)
    model.save_pretrained(folder)
    ours, _ = load_pretrained(folder)
    to_ours = in_ours(ours, images, tokens), in_theirs(model, images, tokens)
    randomise(ours, seed=2)
    save_file(convert_towers(ours.state_dict(), "ours", "transformers"), folder / "model.safetensors", {"format": "pt"})
    from_ours = in_ours(ours, images, tokens), in_theirs(type(model).from_pretrained(folder).eval(), images, tokens)
    for part, mine in to_ours[0].items():
        there = difference(mine, to_ours[1][part])
        yield part, there, difference(from_ours[0][part], from_ours[1][part]), mine.std().item()
