"""TinyVGG as in CNN Explainer, and the VGG family as a table.

The family's parameters have torchvision's names, so state dicts load both ways with `strict=True`.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

# Configurations A, B, D and E of the paper's table 1: the channels of each 3×3 convolution, "M" for a 2×2 max-pooling.
# The number in a name counts the layers with weights: these convolutions and three linear layers.
LAYERS = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


def make_layers(layers: list[int | str], in_channels: int = 3, batch_norm: bool = False) -> nn.Sequential:
    """The convolutional part that a row of `LAYERS` describes: (B, in_channels, H, W) -> (B, 512, H // 32, W // 32).

    A convolution has padding 1, so it keeps height and width; a pooling halves them. With `batch_norm` a BatchNorm2d
    stands between each convolution and its ReLU; the paper's networks, a year older than batch norm, have none.
    """
    modules: list[nn.Module] = []
    for layer in layers:
        if layer == "M":
            modules.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        modules.append(nn.Conv2d(in_channels, layer, kernel_size=3, padding=1))
        if batch_norm:
            modules.append(nn.BatchNorm2d(layer))
        modules.append(nn.ReLU(inplace=True))
        in_channels = layer
    return nn.Sequential(*modules)


class VGG(nn.Module):
    """VGG 11, 13, 16 or 19: images (B, in_channels, H, W) -> logits (B, num_classes).

    Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    arXiv:1409.1556, table 1. Initialised as torchvision's: convolutions by Kaiming (fan out), linear layers N(0, 0.01).

    Args:
        name: "vgg11", "vgg13", "vgg16" or "vgg19" (configurations A, B, D and E).
        batch_norm: a BatchNorm2d after each convolution.
        image_size: side of the images in pixels, which settles the first linear layer: five poolings leave a grid of
            image_size // 32, at most 7. A larger image, or one of another size, is averaged to that grid.
        head_width: width of the two hidden linear layers. None: the paper's 4096 on the paper's 7×7 grid, and 512 on
            a smaller one, where 4096 would put 19 million weights behind 512 numbers.
        dropout: before the second and the third linear layer.

    Raises:
        ValueError: an unknown name, or image_size below 32; in `forward`, another number of channels, or such images.
    """

    def __init__(
        self,
        name: str = "vgg16",
        *,
        num_classes: int = 1000,
        batch_norm: bool = False,
        image_size: int = 224,
        in_channels: int = 3,
        head_width: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if name not in LAYERS:
            raise ValueError(
                f"there is no {name!r}: use one of {', '.join(LAYERS)} (batch_norm=True for a _bn variant)"
            )
        check_size(image_size, 32, "five poolings halve it to nothing")
        self.in_channels = in_channels
        grid = min(7, image_size // 32)
        width = head_width or (4096 if grid == 7 else 512)
        self.features = make_layers(LAYERS[name], in_channels, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Sequential(
            nn.Linear(512 * grid * grid, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, num_classes),
        )
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        check_channels(images, self.in_channels)
        check_size(min(images.shape[2:]), 32, "five poolings halve it to nothing")
        x = self.features(images)  # (B, 512, H // 32, W // 32)
        x = self.avgpool(x)  # (B, 512, grid, grid)
        return self.classifier(x.flatten(1))  # (B, num_classes)


def initialise(module: nn.Module) -> None:
    """torchvision's initial weights for one layer of a VGG; BatchNorm2d's own, 1 and 0, stay."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
        nn.init.zeros_(module.bias)


class TinyVGG(nn.Module):
    """The network of CNN Explainer: images (B, in_channels, H, W) -> logits (B, num_classes).

    Two blocks of convolution, ReLU, convolution, ReLU, max-pooling, then one linear layer. 3×3 convolutions without
    padding, so each takes 2 pixels off height and width: 64 -> 62 -> 60 -> 30 -> 28 -> 26 -> 13. The layers have the
    names that https://poloclub.github.io/cnn-explainer shows (Wang et al. 2020, arXiv:2004.15004).

    Args:
        hidden_units: channels of every convolution.
        image_size: side of the images in pixels, which settles the width of the linear layer.

    Raises:
        ValueError: image_size below 16; in `forward`, another number of channels or another size.
    """

    def __init__(
        self, *, in_channels: int = 3, hidden_units: int = 10, num_classes: int = 10, image_size: int = 64
    ) -> None:
        super().__init__()
        check_size(image_size, 16, "two blocks without padding leave nothing of it")
        self.in_channels, self.image_size = in_channels, image_size
        layers: dict[str, nn.Module] = OrderedDict()
        for block in (1, 2):
            for i in (1, 2):
                inputs = in_channels if (block, i) == (1, 1) else hidden_units
                layers[f"conv_{block}_{i}"] = nn.Conv2d(inputs, hidden_units, kernel_size=3)
                layers[f"relu_{block}_{i}"] = nn.ReLU()
            layers[f"max_pool_{block}"] = nn.MaxPool2d(2)
        self.features = nn.Sequential(layers)
        with torch.no_grad():  # one empty image through the layers says how many numbers come out
            flat = self.features(torch.zeros(1, in_channels, image_size, image_size)).numel()
        self.classifier = nn.Linear(flat, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        check_channels(images, self.in_channels)
        H, W = images.shape[2:]
        if not H == W == self.image_size:
            raise ValueError(
                f"images are {H}×{W}, but this TinyVGG was built for {self.image_size}×{self.image_size}: "
                f"resize them, or build it with image_size={H}"
            )
        x = self.features(images)  # (B, hidden_units, 13, 13) at image_size 64
        return self.classifier(x.flatten(1))  # (B, num_classes)


def check_channels(images: Tensor, in_channels: int) -> None:
    """Raises ValueError unless images are (B, in_channels, H, W)."""
    if images.ndim != 4 or images.shape[1] != in_channels:
        remedy = f"build it with in_channels={images.shape[1]}" if images.ndim == 4 else "give it a batch of images"
        raise ValueError(
            f"images are {tuple(images.shape)}, but this network was built for (B, {in_channels}, H, W): {remedy}"
        )


def check_size(size: int, least: int, why: str) -> None:
    """Raises ValueError where an image's side is below `least` pixels."""
    if size < least:
        raise ValueError(f"image size {size} is too small, {why}: use {least} or more")
