"""Other libraries' networks with the configuration of one of ours. Each is imported when it is asked for."""

import functools
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from vit_course.models.vgg import VGG
from vit_course.models.vit import ViTConfig


def torchvisions(config: ViTConfig) -> nn.Module | None:
    """torchvision's class with this configuration; None if it cannot have it."""
    from torchvision.models import VisionTransformer

    fixed = {"in_channels": 3, "pool": "cls", "positions": "learned", "activation": "gelu", "qkv_bias": True}
    fixed |= {"patch_bias": True, "norm_pre": False}
    if config != replace(config, **fixed) or not config.num_classes or not isinstance(config.image_size, int):
        return None
    return VisionTransformer(
        image_size=config.image_size,
        patch_size=config.patch_size,
        num_layers=config.depth,
        num_heads=config.num_heads,
        hidden_dim=config.dim,
        mlp_dim=int(config.dim * config.mlp_ratio),
        num_classes=config.num_classes,
        norm_layer=functools.partial(nn.LayerNorm, eps=config.norm_eps),
    )


def timms(config: ViTConfig) -> tuple[nn.Module, dict] | None:
    """timm's class with this configuration, and the arguments that make it; None if it cannot have it."""
    import timm

    if config.norm_eps != 1e-6:
        return None
    pools = {
        "cls": {},
        "mean": {"class_token": False, "global_pool": "avg", "fc_norm": False},
        "attention": {"class_token": False, "global_pool": "map"},
    }
    arguments = {
        "img_size": config.image_size,
        "patch_size": config.patch_size,
        "in_chans": config.in_channels,
        "num_classes": config.num_classes,
        "embed_dim": config.dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "act_layer": config.activation,
        "pre_norm": config.norm_pre,
        **pools[config.pool],
    }
    return timm.create_model("vit_tiny_patch16_224", **arguments), arguments


def transformerss(config: ViTConfig) -> nn.Module | None:
    """transformers' class with this configuration; None if it cannot have it."""
    import transformers

    if config.pool != "cls" or config.norm_pre:
        return None
    theirs = transformers.ViTConfig(
        image_size=config.image_size,
        patch_size=config.patch_size,
        num_channels=config.in_channels,
        num_labels=config.num_classes,
        hidden_size=config.dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        intermediate_size=int(config.dim * config.mlp_ratio),
        hidden_act={"gelu_tanh": "gelu_pytorch_tanh"}.get(config.activation, config.activation),
        qkv_bias=config.qkv_bias,
        layer_norm_eps=config.norm_eps,
    )
    return transformers.ViTForImageClassification(theirs)


def vit_pytorchs(config: ViTConfig) -> nn.Module | None:
    """vit-pytorch's class with this configuration; None if it cannot have it.

    It differs a little: two norms around its patch embedding, and no bias in the query, key and value.
    """
    import vit_pytorch

    if config != replace(config, positions="learned", activation="gelu", norm_pre=False) or config.pool == "attention":
        return None
    return vit_pytorch.ViT(
        image_size=config.image_size,
        patch_size=config.patch_size,
        channels=config.in_channels,
        num_classes=config.num_classes,
        dim=config.dim,
        depth=config.depth,
        heads=config.num_heads,
        dim_head=config.dim // config.num_heads,
        mlp_dim=int(config.dim * config.mlp_ratio),
        pool=config.pool,
    )


def torchvisions_vgg(ours: VGG, name: str) -> nn.Module:
    """torchvision's "vgg11_bn", say, with our head in place of its own, which is for large images, and our weights."""
    import torchvision

    theirs = torchvision.models.get_model(name, weights=None, init_weights=False)
    theirs.avgpool = nn.AdaptiveAvgPool2d(ours.avgpool.output_size)
    widths = [(layer.in_features, layer.out_features) for layer in ours.classifier if isinstance(layer, nn.Linear)]
    for place, (inputs, outputs) in zip((0, 3, 6), widths, strict=True):
        theirs.classifier[place] = nn.Linear(inputs, outputs)
    theirs.load_state_dict(ours.state_dict())
    return theirs


# What to import, and who builds; `pip install` takes the name.
VIT_PEERS: dict[str, tuple[str, Callable[[ViTConfig], nn.Module | None]]] = {
    "timm": ("timm", lambda config: (found := timms(config)) and found[0]),
    "torchvision": ("torchvision", torchvisions),
    "transformers": ("transformers", transformerss),
    "vit-pytorch": ("vit_pytorch", vit_pytorchs),
}
