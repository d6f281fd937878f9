"""The encoder block of a transformer, and what it is made of. Parameters have timm's names."""

import math

import torch
from torch import Tensor, nn

from vit_course.models.attention import MultiHeadSelfAttention


class QuickGELU(nn.Module):
    """x · sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {"gelu": nn.GELU, "gelu_tanh": lambda: nn.GELU(approximate="tanh"), "quick_gelu": QuickGELU}


class MLP(nn.Module):
    """Two linear layers with an activation between them, for each token alone: (…, dim) -> (…, dim).

    Raises:
        ValueError: an activation that is not one of ACTIVATIONS.
    """

    def __init__(self, *, dim: int, hidden: int, activation: str = "gelu", dropout: float = 0.0) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is unknown: use one of {', '.join(ACTIVATIONS)}")
        self.fc1 = nn.Linear(dim, hidden)
        self.act = ACTIVATIONS[activation]()
        self.fc2 = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.act(self.fc1(x)))  # (…, hidden)
        return self.dropout(self.fc2(x))  # (…, dim)


class DropPath(nn.Module):
    """Leaves a branch out for some images in training: stochastic depth (Huang et al. 2016, arXiv:1603.09382).

    What stays is scaled by 1 / (1 - p), so that the mean stays as it was.

    Raises:
        ValueError: p outside 0 … 1, or 1, which would leave nothing.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"drop_path is {p}: give a probability from 0 to below 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * kept / (1 - self.p)


class EncoderBlock(nn.Module):
    """Attention between tokens, then an MLP for each, both added to the stream: (B, N, dim) -> (B, N, dim).

    Equations 2 and 3 of the paper, pre-norm: each branch reads a normalised copy of the stream and adds to it.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
        activation: str = "gelu",
        qkv_bias: bool = True,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = MultiHeadSelfAttention(
            dim=dim, num_heads=num_heads, qkv_bias=qkv_bias, attention_dropout=attention_dropout, dropout=dropout
        )
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = MLP(dim=dim, hidden=int(dim * mlp_ratio), activation=activation, dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), mask))  # equation 2
        return x + self.drop_path(self.mlp(self.norm2(x)))  # equation 3


def mlp_ratio(hidden: int, dim: int) -> float:
    """The ratio from which a block makes this hidden width again, in spite of rounding."""
    return hidden / dim if int(dim * (hidden / dim)) == hidden else math.nextafter(hidden / dim, math.inf)
