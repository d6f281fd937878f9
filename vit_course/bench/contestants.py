"""Who is measured, and how it computes: the course's networks, and other libraries' with the same configuration."""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vit_course.bench.peers import VIT_PEERS, torchvisions_vgg
from vit_course.models.vgg import VGG, TinyVGG
from vit_course.models.vit import ViT, ViTConfig
from vit_course.training.precision import Precision

OURS, COMPILED, PLAIN = "ours", "ours, compiled", "ours, in torchvision's layout"


@dataclass(frozen=True)
class Contestant:
    """A network, and how to compute with it in this number format.

    `precision` is the course's own way, as `fit` computes; None: torch's autocast around the model, and no more.
    """

    model: nn.Module
    dtype: torch.dtype
    precision: Precision | None = None

    def context(self) -> AbstractContextManager:
        """Around the forward pass and the loss."""
        if self.precision is not None:
            return self.precision.autocast()
        device, short = next(self.model.parameters()).device, self.dtype != torch.float32
        return torch.autocast(device.type, dtype=self.dtype if short else None, enabled=short)

    def placed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The batch in the layout that this contestant reads."""
        return (images, labels) if self.precision is None else self.precision.place(images, labels)

    def logits(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, num_classes); transformers wraps them in an object."""
        out = self.model(images)
        return getattr(out, "logits", out)

    def forward(self, images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
        """What computes one forward pass, in evaluation."""
        images, _ = self.placed(images, labels)

        @torch.no_grad()
        def once() -> Tensor:
            self.model.eval()
            with self.context():
                return self.logits(images)

        return once

    def training_step(self, images: Tensor, labels: Tensor) -> Callable[[], None]:
        """What does forward, loss, backward, and a step of torch's fused AdamW, the same for all."""
        images, labels = self.placed(images, labels)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=images.device.type in ("cpu", "cuda"))

        def once() -> None:
            self.model.train()
            with self.context():
                loss = F.cross_entropy(self.logits(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return once


def is_there(module: str) -> bool:
    """Whether a library can be imported."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def vits(config: ViTConfig) -> dict[str, nn.Module]:
    """A ViT of that configuration of ours, and of each library that is here and has one."""
    models: dict[str, nn.Module] = {OURS: ViT(config)}
    for name, (module, build) in VIT_PEERS.items():
        if is_there(module) and (model := build(config)) is not None:
            models[name] = model
    return models


def vgg_11_bn() -> dict[str, nn.Module]:
    """VGG-11 with batch norm for 32×32 images, ours and torchvision's with our weights."""
    ours = VGG("vgg11", num_classes=10, batch_norm=True, image_size=32)
    return {OURS: ours, "torchvision": torchvisions_vgg(ours, "vgg11_bn")}


def tiny_vgg() -> dict[str, nn.Module]:
    """TinyVGG for 64×64 images, as `fit` computes it and in the default layout; no library has this net."""
    ours = TinyVGG()
    plain = TinyVGG()
    plain.load_state_dict(ours.state_dict())
    return {OURS: ours, PLAIN: plain}


def contestants(models: dict[str, nn.Module], dtype: torch.dtype, device: torch.device) -> dict[str, Contestant]:
    """Each model on the device; ours with the course's settings."""
    return {
        name: Contestant(model.to(device), dtype, Precision(model.to(device), dtype) if name == OURS else None)
        for name, model in models.items()
    }
