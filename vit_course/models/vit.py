"""The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929). Parameters have timm's names."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vit_course.models.blocks import ACTIVATIONS, EncoderBlock
from vit_course.models.patches import PatchEmbedding, Size, grid_size
from vit_course.models.pooling import AttentionPool
from vit_course.models.positions import resize_positions, sine_positions

# Table 1 of the paper for B and L; Ti and S are DeiT's (Touvron et al. 2020, arXiv:2012.12877).
VARIANTS = {
    "Ti": {"dim": 192, "depth": 12, "num_heads": 3},
    "S": {"dim": 384, "depth": 12, "num_heads": 6},
    "B": {"dim": 768, "depth": 12, "num_heads": 12},
    "L": {"dim": 1024, "depth": 24, "num_heads": 16},
}


@dataclass(frozen=True)
class ViTConfig:
    """What a ViT is built from; the defaults are ViT-B/16.

    Raises:
        ValueError: a size or a probability out of its range, image_size not a multiple of patch_size, dim not a
            multiple of num_heads (or of 4 with sine positions), or an unknown pool, positions or activation.
    """

    image_size: Size = 224  # pixels, one side or (height, width)
    patch_size: Size = 16
    in_channels: int = 3
    num_classes: int = 1000  # 0: no head, the pooled token comes out
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0  # hidden width of the MLPs, in dims
    dropout: float = 0.0  # after the positions, and at the end of attention and of each MLP layer
    attention_dropout: float = 0.0  # on the attention weights
    drop_path: float = 0.0  # probability of leaving a block's branch out; rises from 0 in the first block to this
    pool: Literal["cls", "mean", "attention"] = "cls"  # class token; or without one: mean, or SigLIP's AttentionPool
    positions: Literal["learned", "sine", "none"] = "learned"
    activation: Literal["gelu", "gelu_tanh", "quick_gelu"] = "gelu"
    qkv_bias: bool = True
    patch_bias: bool = True  # of the patch embedding; CLIP's has none
    norm_pre: bool = False  # a norm before the first block; CLIP has one
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("in_channels", "dim", "depth", "num_heads", "num_classes"):
            least = 0 if name == "num_classes" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: use {least} or more")
        for name in ("dropout", "attention_dropout", "drop_path"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it is a probability, use 0 or more, below 1")
        if self.dim * self.mlp_ratio < 1:
            raise ValueError(f"mlp_ratio is {self.mlp_ratio}, which leaves nothing of dim {self.dim}: 4 is usual")
        grid_size(self.image_size, self.patch_size)
        if self.dim % self.num_heads:
            raise ValueError(f"dim {self.dim} is not a multiple of num_heads {self.num_heads}: change one")
        choices = {
            "pool": ("cls", "mean", "attention"),
            "positions": ("learned", "sine", "none"),
            "activation": tuple(ACTIVATIONS),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: use one of {', '.join(allowed)}")
        if self.positions == "sine" and self.dim % 4:
            more = self.dim // 4 * 4 + 4
            raise ValueError(f"dim {self.dim} is not a multiple of 4, as sine positions need: use {more}")

    @classmethod
    def published(cls, name: str, **changes: object) -> "ViTConfig":
        """A published configuration, "ViT-Ti/16" to "ViT-L/32", with what `changes` says otherwise.

        >>> ViTConfig.published("ViT-B/16", num_classes=10).dim
        768

        Raises:
            ValueError: a name that is not one of ViT-{Ti, S, B, L}/{patch}.
            TypeError: a change to a field that does not exist.
        """
        variant, _, patch = name.removeprefix("ViT-").partition("/")
        if variant not in VARIANTS or not patch.isdecimal() or int(patch) == 0:
            raise ValueError(f"there is no {name!r}: use ViT-{{{', '.join(VARIANTS)}}}/16 or /32, as in ViT-B/16")
        return dataclasses.replace(cls(patch_size=int(patch), **VARIANTS[variant]), **changes)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return grid_size(self.image_size, self.patch_size)

    @property
    def num_tokens(self) -> int:
        """Length of the sequence: the patches, and the class token where there is one."""
        return self.grid[0] * self.grid[1] + (self.pool == "cls")


class ViT(nn.Module):
    """The Vision Transformer: images (B, C, H, W) -> logits (B, num_classes).

    Equations 1 to 4 of the paper. Weights start from a truncated normal with standard deviation 0.02, biases at 0.

    Raises:
        ValueError: in `forward`, another number of channels or another size than the configuration's.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = c = config
        self.patch_embed = PatchEmbedding(
            image_size=c.image_size,
            patch_size=c.patch_size,
            in_channels=c.in_channels,
            dim=c.dim,
            bias=c.patch_bias,
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.dim)) if c.pool == "cls" else None
        if c.positions == "learned":
            self.pos_embed = nn.Parameter(torch.zeros(1, c.num_tokens, c.dim))
        else:
            self.register_buffer("pos_embed", fixed_positions(c), persistent=False)
        self.pos_drop = nn.Dropout(c.dropout)
        self.norm_pre = nn.LayerNorm(c.dim, eps=c.norm_eps) if c.norm_pre else nn.Identity()
        self.blocks = nn.ModuleList(
            EncoderBlock(
                dim=c.dim,
                num_heads=c.num_heads,
                mlp_ratio=c.mlp_ratio,
                dropout=c.dropout,
                attention_dropout=c.attention_dropout,
                drop_path=c.drop_path * i / max(c.depth - 1, 1),
                activation=c.activation,
                qkv_bias=c.qkv_bias,
                norm_eps=c.norm_eps,
            )
            for i in range(c.depth)
        )
        self.norm = nn.LayerNorm(c.dim, eps=c.norm_eps)
        self.attn_pool = None
        if c.pool == "attention":
            self.attn_pool = AttentionPool(
                dim=c.dim,
                num_heads=c.num_heads,
                mlp_ratio=c.mlp_ratio,
                activation=c.activation,
                norm_eps=c.norm_eps,
            )
        self.head = nn.Linear(c.dim, c.num_classes) if c.num_classes else nn.Identity()
        self.apply(initialise)
        for token in (self.cls_token, self.pos_embed):
            if isinstance(token, nn.Parameter):
                nn.init.trunc_normal_(token, std=0.02)

    def embed(self, images: Tensor) -> Tensor:
        """Equation 1, what the first block receives: (B, C, H, W) -> (B, tokens, dim), the class token first."""
        x = self.patch_embed(images)  # (B, N, D)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)  # (B, 1 + N, D)
        return self.norm_pre(self.pos_drop(x + self.pos_embed))

    def features(self, images: Tensor) -> Tensor:
        """Every token after the last block and its norm: (B, C, H, W) -> (B, tokens, dim)."""
        x = self.embed(images)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def pool(self, tokens: Tensor) -> Tensor:
        """One vector for the tokens of an image, after the last norm: (B, tokens, dim) -> (B, dim)."""
        if self.attn_pool is not None:
            return self.attn_pool(tokens)
        return tokens[:, 0] if self.config.pool == "cls" else tokens.mean(dim=1)

    def pooled(self, images: Tensor) -> Tensor:
        """One vector an image, equation 4: (B, C, H, W) -> (B, dim)."""
        return self.pool(self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pooled(images))

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out, besides biases and norms."""
        return {"cls_token", "pos_embed"}

    def resized(self, image_size: Size) -> "ViT":
        """A ViT with the same weights for images of another size: its learned positions are interpolated."""
        model = ViT(dataclasses.replace(self.config, image_size=image_size)).to(self.pos_embed)
        weights = self.state_dict()
        if "pos_embed" in weights:
            weights["pos_embed"] = resize_positions(weights["pos_embed"], self.config.grid, model.config.grid)
        model.load_state_dict(weights)
        return model.train(self.training)


def initialise(module: nn.Module) -> None:
    """The initial weights of one layer: truncated normal with standard deviation 0.02, biases 0."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def fixed_positions(config: ViTConfig) -> Tensor:
    """The positions of a configuration without learned ones, zero for the class token: (1, tokens, dim)."""
    rows, columns = config.grid
    patches = torch.zeros(1, rows * columns, config.dim)
    if config.positions == "sine":
        patches = sine_positions(config.grid, config.dim)
    return F.pad(patches, (0, 0, config.num_tokens - rows * columns, 0))
