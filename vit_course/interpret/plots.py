"""The course's figures: one Matplotlib style, grids of images, learning curves, filters, feature maps, overlays.

Every function makes a new figure and returns it without showing it: end the cell with `plt.show()`.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

# Okabe and Ito's palette, told apart with every common colour blindness; the two that print best on white come first.
COLORS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}
SIGNED = "RdBu_r"  # for values on both sides of zero: red above, blue below, white at zero


def use_style(dpi: int = 72) -> None:
    """Set the course's Matplotlib style for every figure made from here on.

    The figure is opaque white with dark text, so it reads on a light and on a dark page. `dpi` 72 keeps the figures
    that a notebook stores small; 144 suits a projector.
    """
    plt.rcParams.update(
        {
            "figure.dpi": dpi,
            "figure.figsize": (7, 3.5),
            "figure.facecolor": "white",
            "figure.titlesize": 13,
            "savefig.facecolor": "white",
            "savefig.transparent": False,
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib, so figures are the same everywhere
            "font.size": 11,
            "text.color": "#222222",
            "axes.facecolor": "white",
            "axes.edgecolor": "#666666",
            "axes.labelcolor": "#222222",
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=list(COLORS.values())),
            "grid.color": "#E5E5E5",
            "xtick.color": "#444444",
            "ytick.color": "#444444",
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "lines.linewidth": 2,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",  # pixels are what the course is about: show them
        }
    )


def show_images(
    images: Tensor | Sequence[Tensor],
    titles: Sequence[Any] | None = None,
    columns: int = 8,
    *,
    suptitle: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: float = 1.15,
) -> Figure:
    """A grid of images, each pixel drawn as a square.

    Args:
        images: (N, C, H, W), or a list of (C, H, W) or (H, W) of any sizes; C is 1 (grey) or 3 (RGB).
            uint8 in 0…255, bool, or float in 0…1.
        titles: one an image: anything that `str` takes; long ones are wrapped.
        columns: images a row; a shorter list makes a narrower figure.
        mean, std: per channel: undo this normalisation first, as for the images that `Batches` gives.
        size: inches from one image to the next.

    Raises:
        ValueError: another shape, floats outside 0…1 without `mean` and `std`, or not one title an image.
    """
    pictures = [_pixels(image, mean, std) for image in images]
    if not pictures:
        raise ValueError("there is no image to show: give at least one")
    texts = _wrapped(titles, len(pictures), size)
    columns = min(columns, len(pictures))
    aspect = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    figure, axes = _grid(-(-len(pictures) // columns), columns, size, size * aspect, texts, suptitle)
    for ax, picture in zip(axes.flat, pictures, strict=False):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for ax, text in zip(axes.flat, texts, strict=False):
        ax.set_title(text, fontsize=9, pad=3)
    return figure


def plot_curves(history: Any, *, title: str | None = None) -> Figure:
    """Loss and accuracy over the epochs, training and validation, with the best epoch marked.

    Best is the epoch of the highest validation accuracy, or of the lowest validation loss where no accuracy is there.

    Args:
        history: has `train_loss`, `val_loss`, `train_accuracy`, `val_accuracy`, as attributes or as keys: lists with
            one number an epoch; accuracies as fractions 0…1. What is missing or empty is left out.

    Raises:
        ValueError: there is no curve in `history`.
    """
    lookup = history.get if isinstance(history, Mapping) else lambda name: getattr(history, name, None)
    kinds = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    curves = {kind: np.asarray(lookup(kind), dtype=float) for kind in kinds if lookup(kind)}
    if not curves:
        raise ValueError(f"no curve to draw: give at least one of {', '.join(kinds)}, with one number an epoch")
    metrics = [metric for metric in ("loss", "accuracy") if any(kind.endswith(metric) for kind in curves)]
    best = _best_epoch(curves)
    figure, axes = plt.subplots(1, len(metrics), figsize=(4.8 * len(metrics), 3.4), layout="constrained", squeeze=False)
    for ax, metric in zip(axes.flat, metrics, strict=True):
        for name, word, color in (("train", "training", "blue"), ("val", "validation", "vermilion")):
            values = curves.get(f"{name}_{metric}", np.empty(0))
            if len(values):
                epochs = np.arange(1, len(values) + 1)
                marker = "o" if len(values) < 30 else ""  # a curve of one epoch is a point, not an invisible line
                ax.plot(epochs, values, color=COLORS[color], marker=marker, markersize=4, label=word)
        if best is not None:
            ax.axvline(best + 1, color=COLORS["green"], linestyle="--", linewidth=1.5, label=f"best: epoch {best + 1}")
            value = curves.get(f"val_{metric}", np.empty(0))[best : best + 1]
            ax.plot([best + 1] * len(value), value, "*", color=COLORS["green"], markersize=13, zorder=3)
        ax.set(title=metric, xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if metric == "accuracy":
            ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.grid(True)
        ax.legend()
    figure.suptitle(title)
    return figure


def show_filters(weights: Tensor, *, limit: int = 16, rgb: bool | None = None, title: str | None = None) -> Figure:
    """The kernels of a convolution, all on one scale.

    Kernels that read RGB are drawn as small pictures, mid-grey for zero. Others are drawn as a table, a row for each
    output channel and a column for each input channel: red is positive, blue negative, white zero.

    Args:
        weights: (out, in, kH, kW), as in `conv.weight`.
        limit: at most so many rows and columns of the table; of pictures, four times as many.
        rgb: draw pictures; by default where `in` is 3.

    Raises:
        ValueError: `weights` are not four-dimensional, or `rgb` with `in` other than 3.
    """
    weights = weights.detach().float().cpu()
    if weights.ndim != 4:
        raise ValueError(f"weights are {tuple(weights.shape)}: give a convolution's, (out, in, kernel, kernel)")
    out, channels, height, width = weights.shape
    rgb = channels == 3 if rgb is None else rgb
    if rgb and channels != 3:
        raise ValueError(f"kernels read {channels} channels, so they are no RGB pictures: leave rgb out")
    scale = weights.abs().max().item() or 1.0
    if rgb:
        shown = weights[: 4 * limit]
        return show_images(0.5 + shown / (2 * scale), range(len(shown)), suptitle=title, size=0.8)
    shown = weights[:limit, :limit]
    figure, axes = _grid(*shown.shape[:2], 0.5, 0.5 * height / width, [], title, left=0.4, right=0.9, top=0.5)
    figure.get_layout_engine().set(w_pad=0.035, h_pad=0.035)  # or 3×3 kernels would run together
    for (o, i), ax in np.ndenumerate(axes):
        ax.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.6)  # or a small weight is lost on white
        drawn = ax.imshow(shown[o, i].numpy(), cmap=SIGNED, vmin=-scale, vmax=scale, interpolation="nearest")
        if o == len(shown) - 1:
            ax.set_xlabel(i, fontsize=9, labelpad=2)
        if i == 0:
            ax.set_ylabel(o, fontsize=9, rotation=0, ha="right", va="center")
    figure.supxlabel(f"input channel ({shown.shape[1]} of {channels})", fontsize=10)
    figure.supylabel(f"output channel ({shown.shape[0]} of {out})", fontsize=10)
    figure.colorbar(drawn, ax=axes, label="weight", shrink=min(1.0, 4 / shown.shape[0] + 0.4))
    return figure


def show_feature_maps(
    maps: Tensor, *, columns: int = 8, limit: int = 32, shared_scale: bool = True, title: str | None = None
) -> Figure:
    """The channels of one image's activations, each titled with its number: dark is low, yellow is high.

    Args:
        maps: (C, H, W), or (1, C, H, W).
        limit: at most so many channels.
        shared_scale: one colour scale for all channels, so that a weak one looks weak; else each has its own.

    Raises:
        ValueError: another shape, as the maps of several images have.
    """
    maps = maps.detach().float().cpu()
    if maps.ndim == 4 and len(maps) == 1:
        maps = maps[0]
    if maps.ndim != 3:
        raise ValueError(f"maps are {tuple(maps.shape)}: give one image's, (channels, height, width), such as maps[0]")
    shown, columns = maps[:limit], min(columns, limit, len(maps))
    low, high = (shown.min().item(), shown.max().item()) if shared_scale else (None, None)
    aspect = maps.shape[1] / maps.shape[2]
    right = 0.75 if shared_scale else 0.0
    figure, axes = _grid(-(-len(shown) // columns), columns, 1.1, 1.1 * aspect, ["0"], title, right=right)
    for channel, (ax, values) in enumerate(zip(axes.flat, shown, strict=False)):
        drawn = ax.imshow(values.numpy(), cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
        ax.set_title(channel, fontsize=9, pad=3)
    if shared_scale:
        figure.colorbar(drawn, ax=axes, label="activation", shrink=min(1.0, 4 / len(axes) + 0.4))
    return figure


def overlay(
    images: Tensor,
    heatmaps: Tensor | Mapping[str, Tensor],
    titles: Sequence[Any] | None = None,
    *,
    suptitle: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    opacity: float = 0.6,
    size: float = 1.5,
) -> Figure:
    """Heat maps laid over the images they explain: the images in the first row, a row for each method below.

    Each map has its own scale, from zero to its largest value (yellow); a map with negative values is drawn red for
    positive and blue for negative. Maps smaller than the image are stretched over it smoothly.

    Args:
        images: (C, H, W) or (N, C, H, W), as `show_images` takes them; a column each.
        heatmaps: (h, w) or (N, h, w); or several of them by name: {"Grad-CAM": …, "occlusion": …}.
        titles: one an image.
        mean, std: per channel: undo this normalisation first.
        opacity: of the map, 0…1. The image below is drawn grey, so that every colour seen is the map's.
        size: inches from one image to the next.

    Raises:
        ValueError: not one map an image, or not one title an image.
    """
    images = images[None] if images.ndim == 3 else images
    rows = dict(heatmaps) if isinstance(heatmaps, Mapping) else {"": heatmaps}
    for name, maps in rows.items():
        rows[name] = maps = (maps[None] if maps.ndim == 2 else maps).detach().float().cpu()
        if maps.ndim != 3 or len(maps) != len(images):
            raise ValueError(f"heat maps {name} are {tuple(maps.shape)} for {len(images)} images: give (N, h, w)")
    texts = _wrapped(titles, len(images), size)
    height, width = images.shape[-2:]
    figure, axes = _grid(
        1 + len(rows), len(images), size, size * height / width, texts, suptitle, left=0.3, titled_rows=1
    )
    for column, image in enumerate(images):
        picture = _pixels(image, mean, std)
        grey = picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114])
        axes[0, column].imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        for ax, (name, maps) in zip(axes[1:, column], rows.items(), strict=True):
            heat = maps[column].numpy()
            top = np.abs(heat).max() or 1.0
            cmap, low = (SIGNED, -top) if heat.min() < 0 else ("viridis", 0.0)
            ax.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)  # the map covers the image from edge to edge
            ax.imshow(heat, cmap=cmap, vmin=low, vmax=top, alpha=opacity, extent=extent, interpolation="bilinear")
            if column == 0:
                ax.set_ylabel(name)
    for ax, text in zip(axes[0], texts, strict=False):
        ax.set_title(text, fontsize=9, pad=3)
    return figure


def _pixels(image: Tensor, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> np.ndarray:
    """(H, W) grey or (H, W, 3) RGB floats in 0…1 from one image as `show_images` takes it."""
    image = torch.as_tensor(image).detach().cpu()
    image = image[None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"an image is {tuple(image.shape)}: give (channels, height, width) with 1 or 3 channels")
    image = image.float() / 255 if image.dtype == torch.uint8 else image.float()  # (C, H, W)
    if (mean is None) != (std is None):
        raise ValueError("only one of mean and std is given: give both, or neither")
    if mean is not None:
        image = image * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]
    elif not (image.min() >= -1e-3 and image.max() <= 1 + 1e-3):  # so written that NaN is refused too
        raise ValueError(
            f"pixels lie between {image.min():.2f} and {image.max():.2f}, not in 0…1: "
            "give uint8, divide by 255, or name the mean and std of their normalisation"
        )
    image = image.clamp(0, 1).permute(1, 2, 0).numpy()  # (H, W, C)
    return image[:, :, 0] if image.shape[2] == 1 else image


def _best_epoch(curves: Mapping[str, np.ndarray]) -> int | None:
    """Position of the best validation epoch; None where validation was not recorded, or is nothing but NaN."""
    scores = curves.get("val_accuracy", -curves.get("val_loss", np.empty(0)))
    return None if np.isnan(scores).all() else int(np.nanargmax(scores))


def _wrapped(titles: Sequence[Any] | None, count: int, inches: float) -> list[str]:
    """Titles as text that fits above images of this width; none for None."""
    if titles is None:
        return []
    if len(titles) != count:
        raise ValueError(f"{len(titles)} titles for {count} images: give one an image")
    titles = titles.tolist() if isinstance(titles, Tensor) else titles
    return [textwrap.fill(str(title), width=max(8, int(13 * inches))) for title in titles]  # 13 letters fill an inch


def _grid(
    rows: int,
    columns: int,
    width: float,
    height: float,
    titles: Sequence[str],
    suptitle: str | None,
    *,
    left: float = 0.0,
    right: float = 0.0,
    top: float = 0.0,
    titled_rows: int | None = None,
) -> tuple[Figure, np.ndarray]:
    """A figure whose (rows, columns) axes, without ticks, are `width` × `height` inches, plus room for text."""
    lines = max((text.count("\n") + 1 for text in titles), default=0)
    above = (0.05 + 0.16 * lines) if lines else 0.0
    tall = rows * height + (rows if titled_rows is None else titled_rows) * above + top + (0.35 if suptitle else 0.0)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width + left + right, tall), squeeze=False, layout="compressed"
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    for ax in axes.flat:  # no ticks and no frame, also in the cells that stay empty
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    figure.suptitle(suptitle)
    return figure, axes
