"""Three small reference models to measure how hard Shapes is, independent of the package's own models."""

import torch
from torch import Tensor, nn


class Linear(nn.Sequential):
    """Softmax regression on pixels."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))


class TinyVGG(nn.Sequential):
    """CNN Explainer's: two blocks of two unpadded 3×3 convolutions of 10 channels, ReLU, 2×2 max-pool; linear."""

    def __init__(self) -> None:
        layers, channels = [], 3
        for _ in range(2):
            for _ in range(2):
                layers += [nn.Conv2d(channels, 10, 3), nn.ReLU()]
                channels = 10
            layers += [nn.MaxPool2d(2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(10 * 5 * 5, 10))


class Block(nn.Module):
    """A pre-norm encoder block with attention written out: in bf16 on a CPU that is faster than torch's fused one."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        B, N, D = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (D // self.heads) ** -0.5).softmax(dim=-1)
        x = x + self.proj((weights @ v).transpose(1, 2).reshape(B, N, D))
        return x + self.mlp(self.norm2(x))


class SmallViT(nn.Module):
    """A plain ViT, 64 wide and 4 deep, on 4×4 patches: no convolution stem, learned positions, mean pooling."""

    def __init__(self, dim: int = 64, depth: int = 4, heads: int = 4, patch: int = 4) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (32 // patch) ** 2, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, 10)

    def forward(self, images: Tensor) -> Tensor:
        patches = nn.functional.unfold(images, self.patch, stride=self.patch).transpose(1, 2)  # (B, N, 3·P·P)
        x = self.blocks(self.embed(patches) + self.positions)
        return self.head(self.norm(x).mean(dim=1))
