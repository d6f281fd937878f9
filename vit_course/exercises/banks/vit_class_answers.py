"""Notebook 11: right Vision Transformers, written in several ways, and wrong ones; vit_class.py has the exercise."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

EXERCISES = []


def vit(
    *,
    keep: Callable = lambda make, depth: nn.ModuleList(make() for _ in range(depth)),
    token: Callable = nn.Parameter,
    patches: Callable[[Tensor], Tensor] = lambda x: x.flatten(2).transpose(1, 2),
    rows: Callable[[int], int] = lambda side: 1 + side * side,
    join: Callable = lambda x, cls, pos: torch.cat([cls, x], 1) + pos,
    step: Callable = lambda x, block: block(x),
    end: Callable = lambda x, norm, head: head(norm(x)[:, 0]),
    norm: Callable[[int], nn.Module] = lambda dim: nn.LayerNorm(dim, eps=1e-6),
    class_token: bool = True,
) -> type[nn.Module]:
    """A ViT with one thing done otherwise."""

    class Other(nn.Module):
        def __init__(self, image_size, patch_size, num_classes, dim, depth, make_block):
            super().__init__()
            self.proj = nn.Conv2d(3, dim, patch_size, stride=patch_size)
            self.cls = token(torch.zeros(1, 1, dim)) if class_token else None
            self.pos = token(torch.zeros(1, rows(image_size // patch_size), dim))
            self.blocks, self.norm = keep(make_block, depth), norm(dim)
            self.head = nn.Linear(dim, num_classes)

        def forward(self, images):
            x = patches(self.proj(images))
            x = join(x, self.cls.expand(len(x), -1, -1) if class_token else None, self.pos)
            for block in self.blocks:
                x = step(x, block)
            return end(x, self.norm, self.head)

    return Other


SmallViT = vit()


class Unfolded(nn.Module):
    """Right: other names, another order, a linear layer for the patches."""

    def __init__(self, image_size, patch_size, num_classes, dim, depth, make_block):
        super().__init__()
        self.blocks = nn.Sequential(*[make_block() for _ in range(depth)])
        self.out = nn.Sequential(nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, num_classes))
        self.place = nn.Parameter(torch.randn((image_size // patch_size) ** 2 + 1, dim) * 0.02)
        self.first = nn.Parameter(torch.randn(dim) * 0.02)
        self.side, self.inwards = patch_size, nn.Linear(3 * patch_size * patch_size, dim)

    def forward(self, images):
        x = self.inwards(nn.functional.unfold(images, self.side, stride=self.side).mT)
        x = torch.cat([self.first.repeat(len(x), 1, 1), x], dim=1) + self.place
        return self.out(self.blocks(x)[:, 0])


class FromRows(nn.Module):
    """Right: the pixels of a patch in another order, (P, P, 3), and an embedding's table for the positions."""

    def __init__(self, image_size, patch_size, num_classes, dim, depth, make_block):
        super().__init__()
        self.side, self.start = patch_size, nn.Parameter(torch.zeros(dim))
        self.embed, self.place = (
            nn.Linear(3 * patch_size**2, dim),
            nn.Embedding(1 + (image_size // patch_size) ** 2, dim),
        )
        self.blocks = nn.ModuleList([make_block() for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, num_classes)

    def forward(self, images):
        P = self.side
        x = images.unfold(2, P, P).unfold(3, P, P).permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
        x = torch.cat([self.start.expand(len(x), 1, -1), self.embed(x)], dim=1) + self.place.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))
