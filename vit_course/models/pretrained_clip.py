"""transformers' CLIP and SigLIP files, whole or the image tower alone, as our classes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vit_course.models.blocks import mlp_ratio
from vit_course.models.clip import CLIP, SigLIP
from vit_course.models.layouts import activation_of
from vit_course.models.layouts_clip import convert_towers
from vit_course.models.patches import pair
from vit_course.models.preprocess import Preprocess, from_transformers
from vit_course.models.text import TextConfig
from vit_course.models.vit import ViT, ViTConfig

Config = Mapping[str, Any]
Read = tuple[nn.Module, dict[str, Tensor], Preprocess]

# What transformers does not write down, because it is usual.
TOWER = {"num_hidden_layers": 12, "attention_dropout": 0.0}
USUAL = {
    "clip": TOWER | {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
    "siglip": TOWER | {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
}
WIDE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
IMAGES = {"num_channels": 3, "image_size": 224, "vision_use_head": True}
VISION = {
    "clip": USUAL["clip"] | WIDE | IMAGES | {"patch_size": 32},
    "siglip": USUAL["siglip"] | WIDE | IMAGES | {"patch_size": 16},
}
TEXT = {
    "clip": USUAL["clip"]
    | {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
    | {"vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 49407},
    "siglip": USUAL["siglip"] | WIDE | {"vocab_size": 32000, "max_position_embeddings": 64},
}
# The pixels of CLIP's training images; SigLIP's images are brought to -1 … 1.
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def read_clip(config: Config, state: dict[str, Tensor], said: Config) -> Read:
    """transformers' CLIPModel as a `CLIP`."""
    vision, text = part_of(config, "vision_config"), part_of(config, "text_config")
    model = CLIP(image_config(vision, "clip"), text_config(text, "clip"), dim=config.get("projection_dim", 512))
    return model, convert_towers(state, "transformers"), preprocess_of(vision, said, "clip")


def read_siglip(config: Config, state: dict[str, Tensor], said: Config) -> Read:
    """transformers' SiglipModel as a `SigLIP`."""
    vision, text = part_of(config, "vision_config"), part_of(config, "text_config")
    model = SigLIP(image_config(vision, "siglip"), text_config(text, "siglip"))
    return model, convert_towers(state, "transformers"), preprocess_of(vision, said, "siglip")


def read_clip_vision(config: Config, state: dict[str, Tensor], said: Config) -> Read:
    """transformers' CLIPVisionModel as a `ViT`."""
    return read_vision(config, state, said, "clip")


def read_siglip_vision(config: Config, state: dict[str, Tensor], said: Config) -> Read:
    """transformers' SiglipVisionModel as a `ViT`."""
    return read_vision(config, state, said, "siglip")


def read_vision(config: Config, state: dict[str, Tensor], said: Config, kind: str) -> Read:
    """An image tower alone; older files have `vision_model.` before each name."""
    state = {f"vision_model.{name.removeprefix('vision_model.')}": tensor for name, tensor in state.items()}
    weights = convert_towers(state, "transformers")
    weights = {name.removeprefix("image."): tensor for name, tensor in weights.items()}
    return ViT(image_config(config, kind)), weights, preprocess_of(config, said, kind)


def part_of(config: Config, name: str) -> dict[str, Any]:
    """One tower's part of config.json. Older files repeat it, under another name, which then counts."""
    return {**(config.get(name) or {}), **(config.get(f"{name}_dict") or {})}


def image_config(said: Config, kind: str) -> ViTConfig:
    """The image tower of a vision_config, which leaves out what is usual.

    Raises:
        ValueError: an activation that is not here, or a SigLIP tower without its pooling head.
    """
    said = VISION[kind] | said
    if not said["vision_use_head"]:
        raise ValueError("vision_use_head is False: a SigLIP tower without its pooling head is not here")
    own = {"norm_pre": True, "patch_bias": False} if kind == "clip" else {"pool": "attention"}
    return ViTConfig(
        image_size=pair(said["image_size"]),
        patch_size=pair(said["patch_size"]),
        in_channels=said["num_channels"],
        num_classes=0,
        dim=said["hidden_size"],
        depth=said["num_hidden_layers"],
        num_heads=said["num_attention_heads"],
        mlp_ratio=mlp_ratio(said["intermediate_size"], said["hidden_size"]),
        attention_dropout=said["attention_dropout"],
        activation=activation_of(said["hidden_act"]),
        norm_eps=said["layer_norm_eps"],
        **own,
    )


def text_config(said: Config, kind: str) -> TextConfig:
    """The text tower of a text_config, which leaves out what is usual.

    CLIP's first files give 2 as their end token, which it is not; transformers then reads the highest number of each
    text, as OpenAI's code does, and so is it done here.

    Raises:
        ValueError: an activation that is not here.
    """
    said = TEXT[kind] | said
    own = {"pool": "last"}
    if kind == "clip":
        end = said["eos_token_id"]
        own = {"pool": "end", "end_token": None if end == 2 else end}
    return TextConfig(
        vocab_size=said["vocab_size"],
        context_length=said["max_position_embeddings"],
        dim=said["hidden_size"],
        depth=said["num_hidden_layers"],
        num_heads=said["num_attention_heads"],
        mlp_ratio=mlp_ratio(said["intermediate_size"], said["hidden_size"]),
        activation=activation_of(said["hidden_act"]),
        norm_eps=said["layer_norm_eps"],
        **own,
    )


def preprocess_of(vision: Config, said: Config, kind: str) -> Preprocess:
    """What preprocessor_config.json says, and where it is silent what CLIP's or SigLIP's processor does."""
    vision = VISION[kind] | vision
    size = vision["image_size"]
    usual: dict[str, Any] = {"resample": 3, "size": size}
    if kind == "clip" and vision["num_channels"] == 3:
        usual |= {"image_mean": CLIP_MEAN, "image_std": CLIP_STD}
    if kind == "clip":
        usual |= {"do_center_crop": True, "size": {"shortest_edge": min(pair(size))}, "crop_size": size}
    return from_transformers({**vision, "id2label": {}}, usual | said)


READERS = {
    "clip": read_clip,
    "siglip": read_siglip,
    "clip_vision_model": read_clip_vision,
    "siglip_vision_model": read_siglip_vision,
}
