"""Notebook 07, fifth part: the patch embedding as a module."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake, build_and_run


class PatchTokens(nn.Module):
    """Images (B, C, H, W) -> tokens (B, N, dim), by one convolution whose stride is its kernel."""

    def __init__(self, in_channels: int, dim: int, patch_size: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


def options_and_images() -> list[tuple]:
    """Non-square patches and grids, and no two sizes alike, but for the first."""
    cases = [((1, 3, 8, 8), 5, (4, 4)), ((2, 3, 12, 10), 4, (4, 2)), ((3, 1, 6, 10), 7, (3, 5))]
    return [
        ({"in_channels": shape[1], "dim": dim, "patch_size": patch}, torch.randn(shape)) for shape, dim, patch in cases
    ]


def tokens(
    conv: Callable = lambda c, d, p: nn.Conv2d(c, d, p, stride=p),
    end: Callable[[Tensor], Tensor] = lambda x: x.flatten(2).transpose(1, 2),
) -> type[nn.Module]:
    """PatchTokens with another convolution, made from (in_channels, dim, patch_size), or another end."""

    class Other(nn.Module):
        def __init__(self, in_channels, dim, patch_size):
            super().__init__()
            self.proj = conv(in_channels, dim, patch_size)

        def forward(self, images):
            return end(self.proj(images))

    return Other


class Flat(nn.Module):
    """A linear layer on flat patches: the same map, another form of the weight."""

    def __init__(self, in_channels, dim, patch_size):
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Linear(in_channels * patch_size[0] * patch_size[1], dim)

    def forward(self, images):
        (B, C, H, W), (P, Q) = images.shape, self.patch_size
        x = images.reshape(B, C, H // P, P, W // Q, Q).permute(0, 2, 4, 3, 5, 1)
        return self.proj(x.reshape(B, -1, P * Q * C))


class FlatUnfolded(Flat):
    """A linear layer on patches whose channels come first."""

    def forward(self, images):
        return self.proj(F.unfold(images, self.patch_size, stride=self.patch_size).transpose(1, 2))


class ByUnfold(PatchTokens):
    """Right: the convolution's weights, used in a matrix product."""

    def forward(self, images):
        size = self.proj.kernel_size
        columns = F.unfold(images, size, stride=size)  # (B, C·P·Q, N)
        return columns.transpose(1, 2) @ self.proj.weight.flatten(1).T + self.proj.bias


PATCH_TOKENS = Exercise(
    name="PatchTokens",
    notebook="07",
    title="The patch embedding as a module",
    reference=PatchTokens,
    probes=options_and_images,
    call=build_and_run,
    axes={"images": "B C H W", "output": "B N D"},
    hints=[
        "The convolution's kernel is as large as a patch, and it moves by a whole patch. Call it `self.proj`.",
        "It gives (B, dim, rows, columns). Merge the last two axes into one: (B, dim, N).",
        "Now the tokens stand in the columns. Which operation *moves* an axis, and which one only cuts the line of "
        "numbers anew?",
    ],
    mistakes=[
        Mistake(
            "view",
            tokens(end=lambda x: x.reshape(len(x), -1, x.shape[1])),
            "The shape is right, and every token is a mixture: `view` and `reshape` do not move axes. The map lies "
            "in memory as (dim, N), one feature of all patches after the other; cut into N pieces, a token gets one "
            "feature of many patches instead of all features of its own. It trains without a word, and published "
            "weights give nonsense. Move the axis.",
        ),
        Mistake(
            "no_transpose",
            tokens(end=lambda x: x.flatten(2)),
            "You return (B, dim, N): the features in rows, the tokens in columns. What follows wants one token a "
            "row, (B, N, dim).",
        ),
        Mistake(
            "still_a_map",
            tokens(end=lambda x: x),
            "That is the convolution's map, (B, dim, rows, columns). A transformer takes a sequence: merge the grid "
            "into one axis, and put the features last.",
        ),
        Mistake(
            "grid_kept",
            tokens(end=lambda x: x.permute(0, 2, 3, 1)),
            "The features are last, as they should be, and the grid still has two axes. Merge them: a sequence has "
            "one.",
        ),
        Mistake(
            "column_order",
            tokens(end=lambda x: x.transpose(2, 3).flatten(2).transpose(1, 2)),
            "The tokens come down the columns of the grid. Published weights, and `patchify`, expect row after row, "
            "so every position embedding would be added to the wrong patch.",
        ),
        Mistake(
            "no_stride",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p)),
            "Your kernel moves by one pixel. The windows overlap, and there are far too many tokens: 43,681 for a "
            "photo of 224 × 224 instead of 196. It has to move by a whole patch.",
        ),
        Mistake(
            "padded",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p, stride=p, padding=(p[0] // 2, p[1] // 2))),
            "With padding, the grid is shifted by half a patch, and the patches at the rim are half empty. Patches "
            "tile the image exactly: no padding.",
        ),
        Mistake(
            "padded_by_one",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p, stride=p, padding=1)),
            "With a padding of 1 every window begins a pixel early, so no token sees exactly its own patch. Often the "
            "shape stays the same and hides it. Patches tile the image: no padding.",
        ),
        Mistake(
            "square_stride",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p, stride=p[0])),
            "Your stride is the patch's height in both directions. It is a pair like the kernel: down by the patch's "
            "height, right by its width.",
        ),
        Mistake(
            "three_by_three",
            tokens(lambda c, d, p: nn.Conv2d(c, d, 3, stride=p, padding=1)),
            "Your kernel is 3 × 3, as in VGG. A patch embedding's kernel is as large as the patch, without padding, so "
            "that each pixel is read once.",
        ),
        Mistake(
            "three_channels",
            tokens(lambda c, d, p: nn.Conv2d(3, d, p, stride=p)),
            "You write 3 for the channels. `in_channels` is an argument, and one of the images here is grey.",
        ),
        Mistake(
            "channels_swapped",
            tokens(lambda c, d, p: nn.Conv2d(d, c, p, stride=p)),
            "The first two arguments of the convolution have changed places: first the channels that come in, then "
            "how many numbers come out, `dim`.",
        ),
        Mistake(
            "one_pixel",
            tokens(lambda c, d, p: nn.Conv2d(c, d, 1, stride=p)),
            "The stride is right, the kernel is one pixel: each token sees the top left pixel of its patch and "
            "nothing else. The kernel is as large as the patch.",
        ),
        Mistake(
            "square_kernel",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p[0], stride=p[0])),
            "You use the patch's height for its width, too. `patch_size` is a pair, which a convolution takes as it "
            "is.",
        ),
        Mistake(
            "no_bias",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p, stride=p, bias=False)),
            "The convolution has no bias. CLIP's has none; ViT's has one for each feature, and its published weights "
            "would not load.",
        ),
        Mistake(
            "activation",
            tokens(end=lambda x: x.relu().flatten(2).transpose(1, 2)),
            "You put a ReLU behind the map. Equation 1 has none: half of what a patch says would be cut off before "
            "the first block sees it.",
        ),
        Mistake(
            "activation_gelu",
            tokens(end=lambda x: F.gelu(x).flatten(2).transpose(1, 2)),
            "There is a GELU behind the map, which flattens nearly everything negative. Equation 1 has no activation: "
            "a token is a linear map of its patch.",
        ),
        Mistake(
            "per_channel",
            tokens(lambda c, d, p: nn.Conv2d(c, d, p, stride=p, groups=c)),
            "With `groups` each channel is embedded by itself. One kernel reads all channels of a patch and adds them "
            "up: leave `groups` out.",
        ),
        Mistake(
            "batch_merged",
            tokens(end=lambda x: x.permute(0, 2, 3, 1).flatten(0, 2)),
            "The tokens of all images stand in one long row. Keep the batch axis, and merge the grid's two alone.",
        ),
        Mistake(
            "linear",
            Flat,
            "It is the same map: a linear layer on flat patches. The exercise asks for a convolution, because "
            "published weights keep E as a kernel, (dim, channels, P, P), and yours, (dim, P·P·channels), would not "
            "take them.",
        ),
        Mistake(
            "linear_unfold",
            FlatUnfolded,
            "A linear layer on what `F.unfold` cuts gives the right kind of tokens, but its weight is a matrix, (dim, "
            "channels · P · P). The exercise asks for a convolution, whose weight is (dim, channels, P, P): published "
            "weights have that shape.",
        ),
    ],
    variants=[
        ByUnfold,
        tokens(end=lambda x: x.permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1])),
        tokens(end=lambda x: torch.einsum("bdhw->bhwd", x).flatten(1, 2)),
        tokens(end=lambda x: torch.stack(x.flatten(2).unbind(2), dim=1)),
    ],
    solved="Three lines: that is all of a ViT that knows anything about images.",
)

EXERCISES = [PATCH_TOKENS]
