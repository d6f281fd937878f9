"""Scaled dot-product attention and multi-head self-attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """How much each query looks at each key: (…, N, d) and (…, M, d) -> (…, N, M), rows that sum to 1.

    softmax(q kᵀ / √d), equation 1 of Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        mask: boolean, broadcastable to (…, N, M); where it is False a query may not look. Each query needs one key.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (…, N, M)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """A weighted mean of the values for each query: (…, N, d), (…, M, d), (…, M, d) -> (…, N, d).

    The written-out form and PyTorch's fused kernel give the same numbers; the kernel never holds the (N, M) weights.
    On a CPU it is the fast path in float32 and the slow one in bfloat16 (6 × on 65 tokens, and a whole training step of
    a ViT 192 wide still takes 1.3 × as long on 1,024); beyond that, memory decides for it.

    Args:
        mask: as in `attention_weights`.
        dropout: the probability with which a weight is set to zero; give 0 in evaluation.

    Raises:
        ValueError: a mask that is not boolean.
    """
    if mask is not None and mask.dtype != torch.bool:
        raise ValueError(f"mask is {mask.dtype}: give a boolean one, True where a query may look")
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[-2] <= 1024:
        weights = attention_weights(q, k, mask)
        return F.dropout(weights, dropout) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


class MultiHeadSelfAttention(nn.Module):
    """Every token asks all tokens, in several heads at once: (B, N, dim) -> (B, N, dim).

    Equations 5 to 8 of Dosovitskiy et al. 2020, arXiv:2010.11929, appendix A. Queries, keys and values come from one
    fused linear layer, `qkv`, in this order; `proj` mixes the heads. The names are timm's.

    Args:
        head_dim: width d of one head. None: dim / num_heads.
        qkv_bias: whether `qkv` has a bias.
        attention_dropout: on the weights; dropout: on the output.

    Raises:
        ValueError: dim not a multiple of num_heads, where head_dim is not given; or no head at all.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        head_dim: int | None = None,
        qkv_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_heads < 1 or (head_dim is None and dim % num_heads):
            divisors = [h for h in range(1, dim + 1) if dim % h == 0]
            nearest = min(divisors, key=lambda h: abs(h - num_heads))
            raise ValueError(
                f"dim {dim} is not a multiple of num_heads {num_heads}: use num_heads={nearest}, or give head_dim"
            )
        self.num_heads = num_heads
        self.head_dim = dim // num_heads if head_dim is None else head_dim
        self.qkv = nn.Linear(dim, 3 * num_heads * self.head_dim, bias=qkv_bias)
        self.proj = nn.Linear(num_heads * self.head_dim, dim)
        self.attention_dropout = attention_dropout
        self.dropout = nn.Dropout(dropout)

    def split_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of every head: (B, N, dim) -> three of (B, h, N, d)."""
        parts = self.qkv(x).chunk(3, dim=-1)  # each (B, N, h · d)
        return tuple(part.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for part in parts)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.split_heads(x)  # each (B, h, N, d)
        dropout = self.attention_dropout if self.training else 0.0
        x = attention(q, k, v, mask=mask, dropout=dropout)  # (B, h, N, d)
        x = x.transpose(1, 2).flatten(2)  # (B, N, h · d)
        return self.dropout(self.proj(x))
