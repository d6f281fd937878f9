"""A VGG of six or more 3×3 convolutions for 32×32 images: small enough to train in minutes on two CPU cores."""

from dataclasses import dataclass

from torch import Tensor, nn

from vit_course.models.vgg import check_channels, check_size


@dataclass(frozen=True, kw_only=True)
class SmallVGGConfig:
    """What a SmallVGG is built from.

    Raises:
        ValueError: no width, or a width below 1; another stem_kernel than 2 or 3.
    """

    in_channels: int = 3
    num_classes: int = 10
    stem: int = 24  # channels of the first convolution, at full resolution
    stem_kernel: int = 3  # its side; 2 goes without padding: maps of 31, 15, 7 and 3 in place of 32, 16, 8 and 4
    widths: tuple[int, ...] = (48, 128, 192)  # channels of each stage, which halves height and width
    momentum: float = 0.4  # of the running statistics: runs are short, so these forget faster than torch's 0.1

    def __post_init__(self) -> None:
        if not self.widths or min(self.stem, *self.widths) < 1:
            raise ValueError(f"stem is {self.stem} and widths {self.widths}: give one or more channels, stage by stage")
        if self.stem_kernel not in (2, 3):
            raise ValueError(f"stem_kernel is {self.stem_kernel}: give 2 or 3")


class SmallVGG(nn.Module):
    """A VGG-style network: images (B, in_channels, H, W) -> logits (B, num_classes).

    VGG's idea, depth from 3×3 convolutions and 2×2 max-poolings alone, with batch norm and GELU as in the small
    networks for CIFAR-10 of Keller Jordan's cifar10-airbench (2024, arXiv:2404.00498): the first convolution of a
    stage comes before its pooling, and the head reads the maximum of each channel over the whole image, so that images
    of any size fit.

    Kernels start from N(0, 2 / inputs) (He et al. 2015, arXiv:1502.01852), the head from torch's own. airbench's own
    starts are in `recipes.starts`: `whiten`, `identity` and `fixed_scale`.

    >>> SmallVGG(SmallVGGConfig(widths=(64, 192, 256)))(images)

    Raises:
        ValueError: in `forward`, another number of channels, or a side too small for the poolings.
    """

    def __init__(self, config: SmallVGGConfig) -> None:
        super().__init__()
        self.config = config
        stem = nn.Conv2d(config.in_channels, config.stem, config.stem_kernel, padding=config.stem_kernel - 2)
        self.stem = nn.Sequential(stem, nn.GELU())
        inputs, stages = config.stem, []
        for width in config.widths:
            stages.append(
                nn.Sequential(
                    nn.Conv2d(inputs, width, 3, padding=1, bias=False),  # the norm's shift stands in for a bias
                    nn.MaxPool2d(2),
                    nn.BatchNorm2d(width, momentum=config.momentum),
                    nn.GELU(),
                    nn.Conv2d(width, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width, momentum=config.momentum),
                    nn.GELU(),
                )
            )
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, config.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def features(self, images: Tensor) -> Tensor:
        """The last stage's maps after s stages: (B, in_channels, H, W) -> (B, widths[-1], H // 2ˢ, W // 2ˢ).

        With a stem_kernel of 2, H - 1 and W - 1 take the place of H and W.
        """
        check_channels(images, self.config.in_channels)
        stages = len(self.config.widths)
        least = 2**stages + 3 - self.config.stem_kernel
        check_size(min(images.shape[2:]), least, f"{stages} poolings halve it to nothing")
        return self.stages(self.stem(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).amax(dim=(2, 3)))  # (B, widths[-1]) -> (B, num_classes)
