"""From many tokens to one vector, by attention: the head of SigLIP's image tower."""

import torch
from torch import Tensor, nn

from vit_course.models.attention import attention
from vit_course.models.blocks import MLP


class AttentionPool(nn.Module):
    """A learned token asks all tokens, then an MLP thinks about the answer: (B, N, dim) -> (B, dim).

    The pooling of SigLIP's image tower (Zhai et al. 2023, arXiv:2303.15343), there called MAP, multihead attention
    pooling (Zhai et al. 2021, arXiv:2106.04560; after the Set Transformer, Lee et al. 2019, arXiv:1810.00825). The
    question, `latent`, is the same for every image, so no residual goes around the attention, only around the MLP.
    `kv` makes keys and values in this order. The names are timm's, as in its `AttentionPoolLatent`.

    Raises:
        ValueError: dim not a multiple of num_heads, or an activation that is unknown.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        activation: str = "gelu",
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}: change one")
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.latent = nn.Parameter(torch.empty(1, 1, dim))
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = MLP(dim=dim, hidden=int(dim * mlp_ratio), activation=activation)
        nn.init.trunc_normal_(self.latent, std=dim**-0.5)

    def split_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The one query of every head, and its keys and values: (B, N, dim) -> (B, h, 1, d) and two of (B, h, N, d)."""
        B, N, _ = x.shape
        q = self.q(self.latent).reshape(1, 1, self.num_heads, self.head_dim).expand(B, -1, -1, -1)
        kv = self.kv(x).reshape(B, N, 2, self.num_heads, self.head_dim)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        return q.transpose(1, 2), k, v

    def forward(self, x: Tensor) -> Tensor:
        x = attention(*self.split_heads(x))  # (B, h, 1, d)
        x = self.proj(x.flatten(1))  # (B, D): with one query the heads lie side by side
        return x + self.mlp(self.norm(x))

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out, besides biases and norms."""
        return {"latent"}
