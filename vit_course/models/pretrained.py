"""Published weights in our own classes: from a folder, a file or the Hugging Face hub."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vit_course.models import pretrained_clip
from vit_course.models.blocks import mlp_ratio
from vit_course.models.clip import CLIP, SigLIP
from vit_course.models.layouts import activation_of, convert, layout_of, shortened
from vit_course.models.layouts_clip import convert_towers
from vit_course.models.patches import pair
from vit_course.models.preprocess import Preprocess, from_timm, from_transformers
from vit_course.models.small_vgg import SmallVGG, SmallVGGConfig
from vit_course.models.text import TextConfig, WordTokenizer
from vit_course.models.vit import VARIANTS, ViT, ViTConfig
from vit_course.models.weight_files import download, metadata_of, read_folder, read_json, read_weights

__all__ = ["convert", "convert_towers", "layout_of", "load_pretrained", "load_tokenizer", "save_pretrained"]

Loaded = tuple[nn.Module, Preprocess]
OURS = {  # what `save_pretrained` writes, and how its configuration is a network again
    "ViT": lambda said: ViT(ViTConfig(**said)),
    "SmallVGG": lambda said: SmallVGG(SmallVGGConfig(**said)),
    "CLIP": lambda said: CLIP(ViTConfig(**said["image"]), TextConfig(**said["text"]), dim=said["dim"]),
    "SigLIP": lambda said: SigLIP(ViTConfig(**said["image"]), TextConfig(**said["text"])),
}
TIMM = {  # what timm's names of architectures stand for
    "tiny": VARIANTS["Ti"],
    "small": VARIANTS["S"],
    "base": VARIANTS["B"],
    "large": VARIANTS["L"],
    "huge": {"dim": 1280, "depth": 32, "num_heads": 16},
}
TIMM_POOLS = {  # global_pool, class_token and fc_norm (None is False, but for the mean)
    ("token", True, False): "cls",
    ("token", True, None): "cls",
    ("avg", False, False): "mean",
    ("map", False, False): "attention",
    ("map", False, None): "attention",
}
TIMM_FIELDS = {  # timm's arguments -> fields of ViTConfig
    "img_size": "image_size",
    "in_chans": "in_channels",
    "embed_dim": "dim",
    "proj_drop_rate": "dropout",
    "attn_drop_rate": "attention_dropout",
    "drop_path_rate": "drop_path",
    "pre_norm": "norm_pre",
} | {same: same for same in ("patch_size", "num_classes", "depth", "num_heads", "mlp_ratio", "qkv_bias")}


def load_pretrained(source: str | os.PathLike) -> Loaded:
    """A network with published weights, in evaluation mode, and what its images go through before.

    >>> model, preprocess = load_pretrained("google/vit-base-patch16-224")
    >>> model(preprocess(photo)).softmax(-1)  # of preprocess.classes

    A `ViT`, or a `CLIP` or `SigLIP`, which is asked with images and texts, `model(preprocess(photo), tokens)`; the
    tokens of a published one come from transformers' AutoTokenizer, those of our own from `load_tokenizer`.

    Args:
        source: a folder with `config.json` and weights (safetensors in one file or several, or `pytorch_model.bin`) as
            transformers and timm save them; such a file of weights, with its `config.json` beside it; a file of
            `save_pretrained`; or "owner/name" on the hub, which is downloaded once (not where the environment
            variable `VIT_COURSE_OFFLINE` is set). A folder or file comes before a hub id of the same name.

    Raises:
        FileNotFoundError: nothing is there, on this machine or on the hub.
        ValueError: a file that is damaged or holds code; a kind of network that is not here; weights that do not fit
            their configuration.
    """
    path = Path(source) if Path(source).exists() else download(os.fspath(source))
    folder = path if path.is_dir() else path.parent
    own = {} if path.is_dir() else metadata_of(path)
    if "kind" in own:
        return read_ours(own, path)
    state = read_folder(path) if path.is_dir() else read_weights(path)
    config = read_json(folder / "config.json")
    kind = config.get("model_type", "timm" if "architecture" in config else None)
    if kind not in READERS:
        known = ", ".join(READERS)
        raise ValueError(f"{folder / 'config.json'} is of kind {kind!r}, not of one that is here: {known}")
    said = folder / "preprocessor_config.json"
    model, weights, preprocess = READERS[kind](config, state, read_json(said) if said.exists() else {})
    return filled(model, weights, path), preprocess


def save_pretrained(
    model: ViT | SmallVGG | CLIP | SigLIP,
    path: str | os.PathLike,
    preprocess: Preprocess,
    *,
    tokenizer: WordTokenizer | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a network of ours as one safetensors file that knows its configuration; `load_pretrained` reads it.

    Args:
        tokenizer: its words are written too, for `load_tokenizer`.
        dtype: what floating-point numbers are written as: float16 halves the file, and rounds. None: as they are.

    Raises:
        ValueError: a name that does not end in .safetensors, or a network of another kind.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} does not end in .safetensors: the form in which weights are written here")
    metadata = {"kind": type(model).__name__}
    if metadata["kind"] not in OURS:
        raise ValueError(f"a {metadata['kind']} is not written here: {', '.join(OURS)} are")
    metadata["config"] = json.dumps(model.config, default=dataclasses.asdict)
    metadata["preprocess"] = json.dumps(dataclasses.asdict(preprocess))
    if tokenizer is not None:
        words = [word for word in tokenizer.words if not word.startswith("<")]
        metadata["tokenizer"] = json.dumps({"words": words, "context_length": tokenizer.context_length})
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # so that `path` is written whole or not at all
    save_file(tensors, temporary, metadata)
    os.replace(temporary, path)


def load_tokenizer(path: str | os.PathLike) -> WordTokenizer:
    """The tokenizer in a file of `save_pretrained`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or has no tokenizer.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give one that save_pretrained wrote")
    said = metadata_of(path).get("tokenizer")
    if said is None:
        raise ValueError(f"{path} has no tokenizer: a published model's is transformers' AutoTokenizer")
    return WordTokenizer(**json.loads(said))


def read_ours(metadata: Mapping[str, str], path: Path) -> Loaded:
    """A file of `save_pretrained`."""
    if metadata["kind"] not in OURS:
        raise ValueError(f"{path} holds a {metadata['kind']}, which is not here: {', '.join(OURS)} are")
    config, preprocess = (json.loads(metadata[key], object_hook=with_tuples) for key in ("config", "preprocess"))
    return filled(OURS[metadata["kind"]](config), read_weights(path), path), Preprocess(**preprocess)


def with_tuples(said: dict[str, Any]) -> dict[str, Any]:
    """Tuples again where JSON made lists of them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}


def filled(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The model with these weights, in evaluation mode."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is too much" for name in found if name not in wanted]
    wrong += [f"{n} is {found[n]} instead of {wanted[n]}" for n in wanted if n in found and found[n] != wanted[n]]
    if wrong:
        raise ValueError(f"the weights in {path} do not fit their configuration: {shortened(wrong)}")
    model.load_state_dict(weights)
    return model.eval()


def _transformers_vit(config: Mapping[str, Any], state: dict[str, Tensor], said: Mapping[str, Any]) -> tuple:
    """transformers' ViTForImageClassification or ViTModel; a pooler, which no classifier uses, is left out."""
    state = {name: tensor for name, tensor in state.items() if not re.match(r"(vit\.)?pooler\.", name)}
    weights = convert(state, source="transformers")
    labels = config.get("num_labels", len(config.get("id2label", {})) or 2)  # two are what it does not write down
    dim, hidden = config.get("hidden_size", 768), config.get("intermediate_size", 3072)
    ours = ViTConfig(
        image_size=pair(config.get("image_size", 224)),
        patch_size=pair(config.get("patch_size", 16)),
        in_channels=config.get("num_channels", 3),
        num_classes=labels if "head.weight" in weights else 0,
        dim=dim,
        depth=config.get("num_hidden_layers", 12),
        num_heads=config.get("num_attention_heads", 12),
        mlp_ratio=mlp_ratio(hidden, dim),
        dropout=config.get("hidden_dropout_prob", 0.0),
        attention_dropout=config.get("attention_probs_dropout_prob", 0.0),
        activation=activation_of(config.get("hidden_act", "gelu")),
        qkv_bias=config.get("qkv_bias", True),
        norm_eps=config.get("layer_norm_eps", 1e-12),
    )
    return ViT(ours), weights, from_transformers(config, said)


def _timm_vit(config: Mapping[str, Any], state: dict[str, Tensor], _: Mapping[str, Any]) -> tuple:
    """timm's VisionTransformer where it is plain: no registers, no layer scale, no norm after the mean."""
    name = config["architecture"]
    match = re.fullmatch(rf"(?:vit|deit)_({'|'.join(TIMM)})_patch(\d+)(_siglip)?_(\d+)(?:_in21k)?", name)
    if not match:
        raise ValueError(f"timm's architecture {name!r} is not here: vit_base_patch16_224 and its like are")
    variant, patch, siglip, image = match.groups()
    args = {key: config[key] for key in ("num_classes", "global_pool") if key in config} | config.get("model_args", {})
    pooling = (args.pop("global_pool", "token"), args.pop("class_token", not siglip), args.pop("fc_norm", None))
    if pooling not in TIMM_POOLS:
        raise ValueError(
            "global_pool, class_token and fc_norm are {!r}, {!r}, {!r}: the class token is here, and after the norm "
            "the mean of the patches (class_token=False, global_pool='avg', fc_norm=False) or attention "
            "(class_token=False, global_pool='map')".format(*pooling)
        )
    activation = activation_of(args.pop("act_layer", None) or "gelu")
    strange = [
        key for key, value in args.items() if key not in TIMM_FIELDS and value not in (None, False, 0, "", "learn")
    ]
    if strange:
        raise ValueError(f"timm's {shortened(strange)} is not here: a plain ViT has none")
    said = {TIMM_FIELDS[key]: value for key, value in args.items() if key in TIMM_FIELDS}
    sizes = {key: pair(said.pop(key, int(usual))) for key, usual in (("image_size", image), ("patch_size", patch))}
    own = {"pool": TIMM_POOLS[pooling], "activation": activation, "patch_bias": not said.get("norm_pre", False)}
    ours = ViTConfig(**TIMM[variant] | {"num_classes": 1000} | said, **sizes, **own)
    return ViT(ours), convert(state, source="timm"), from_timm(config, ours.image_size)


# How each kind of network is read, by `model_type` in config.json (timm's files have none):
# (config.json, its state dict, preprocessor_config.json) -> (model, state dict in the model's names, Preprocess).
READERS = {"vit": _transformers_vit, "timm": _timm_vit, **pretrained_clip.READERS}
