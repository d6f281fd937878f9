"""Where a Vision Transformer looks: attention weights, rollout, attention distance, prediction by layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.interpret.activations import activations
from vit_course.interpret.saliency import require_eval
from vit_course.models.attention import attention_weights
from vit_course.models.patches import Size, pair


@torch.no_grad()
def attention_maps(model: nn.Module, images: Tensor) -> Tensor:
    """The attention weights of every layer and head: (depth, B, h, N, N), row i says where token i looks.

    Computed from the queries and keys that the layers give out on the way, so the model runs as it always does, by
    whichever kernel. For one ViT-B/16 image at 224 pixels they are 22 MB.

    Args:
        model: a `ViT`, or whatever has `blocks` with our `MultiHeadSelfAttention` as `attn`; in eval mode.

    Raises:
        ValueError: a model without such blocks, or in training mode.
    """
    require_eval(model)
    names = [name for name, _ in model.named_modules() if name.endswith("attn.qkv")]
    if not names:
        raise ValueError(f"{type(model).__name__} has no attention layer named attn: give a ViT")
    maps = []
    with activations(model, names) as store:
        model(images)
    for name in names:
        layer = model.get_submodule(name.removesuffix(".qkv"))
        q, k, _ = store[name].unflatten(-1, (3, layer.num_heads, layer.head_dim)).permute(2, 0, 3, 1, 4)
        maps.append(attention_weights(q, k))
    return torch.stack(maps)


def rollout(maps: Tensor) -> Tensor:
    """How much of each input token has reached each token of the last layer: (depth, B, h, N, N) -> (B, N, N).

    Attention rollout of Abnar and Zuidema 2020, arXiv:2005.00928, section 3: heads averaged, half of each token taken
    from itself for the residual connection, layers multiplied. Rows sum to 1.
    """
    mixed = (maps.mean(dim=2) + torch.eye(maps.shape[-1], device=maps.device)) / 2  # (depth, B, N, N)
    total = mixed[0]
    for layer in mixed[1:]:
        total = layer @ total
    return total


def attention_distance(maps: Tensor, grid: Size, patch_size: Size) -> Tensor:
    """How far each head looks, in pixels: the mean distance between patches, weighted by attention: (depth, h).

    As figure 7 of Dosovitskiy et al. 2020, arXiv:2010.11929. Averaged over images and queries. Tokens before the
    patches, such as the class token, neither ask nor are asked; the weights of the patches are made to sum to 1 again.

    Args:
        maps: (depth, B, h, N, N).
        grid: rows and columns of patches.
        patch_size: pixels, one side or (height, width).

    Raises:
        ValueError: maps with fewer tokens than the grid has patches.
    """
    (rows, columns), (P, Q) = pair(grid), pair(patch_size)
    before = maps.shape[-1] - rows * columns
    if before < 0:
        raise ValueError(f"maps have {maps.shape[-1]} tokens, too few for a grid of {rows}×{columns} patches")
    places = torch.cartesian_prod(torch.arange(rows) * P, torch.arange(columns) * Q).to(maps)  # (N, 2), pixels
    among = maps[..., before:, before:]
    among = among / among.sum(dim=-1, keepdim=True)
    return (among * torch.cdist(places, places)).sum(dim=-1).mean(dim=(1, 3))


def patch_map(values: Tensor, grid: Size) -> Tensor:
    """Numbers of tokens as a map of patches, the tokens before them left out: (…, N) -> (…, rows, columns)."""
    rows, columns = pair(grid)
    return values[..., -rows * columns :].unflatten(-1, (rows, columns))


@torch.no_grad()
def predictions_by_layer(model: nn.Module, images: Tensor) -> Tensor:
    """What the head would answer after each block, the embedding first: logits (depth + 1, B, num_classes).

    The last row is the model's answer. Earlier rows show when the answer is formed: the final norm, the pooling and the
    head read a stream that they were not trained on.

    Raises:
        ValueError: a model in training mode.
    """
    require_eval(model)
    names = ["norm_pre", *[f"blocks.{i}" for i in range(len(model.blocks))]]
    with activations(model, names) as store:
        model(images)
    return torch.stack([model.head(model.pool(model.norm(store[name]))) for name in names])


def position_similarity(model: nn.Module) -> Tensor:
    """Cosine similarity of each patch's position with each other's: (rows, columns, rows, columns), -1 … 1."""
    rows, columns = model.config.grid
    places = F.normalize(model.pos_embed[0, -rows * columns :].detach(), dim=-1)  # (N, D)
    return (places @ places.T).view(rows, columns, rows, columns)
