"""Figures hold what they were given, at the size they were given, and are not shown twice."""

from itertools import pairwise
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from vit_course.interpret import plots


@pytest.fixture(autouse=True)
def a_page_of_its_own():
    plt.switch_backend("agg")
    with matplotlib.rc_context():
        plots.use_style()
        yield
    plt.close("all")


@pytest.fixture
def images():
    return torch.randint(0, 256, (10, 3, 6, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def drawn(ax):
    """The array of an axes' only picture."""
    (picture,) = ax.get_images()
    return np.asarray(picture.get_array())


def test_style_is_opaque_small_and_colour_blind_safe(images):
    assert plt.rcParams["figure.dpi"] == 72 and plt.rcParams["image.cmap"] == "viridis"
    figure = plots.show_images(images)
    figure.canvas.draw()
    assert np.asarray(figure.canvas.buffer_rgba())[0, 0].tolist() == [255, 255, 255, 255]
    line, *_ = plt.subplots()[1].plot([1, 2])
    assert line.get_color() == plots.COLORS["blue"]
    plots.use_style(dpi=144)
    assert plt.figure().dpi == 144


def test_images_are_shown_as_they_are_in_order_with_titles(images):
    figure = plots.show_images(images, range(10), columns=4, suptitle="ten")
    axes = figure.axes
    assert len(axes) == 12 and figure.get_suptitle() == "ten" and not axes[10].get_images()
    assert [ax.get_title() for ax in axes[:10]] == [str(i) for i in range(10)]
    for ax, image in zip(axes, images, strict=False):
        np.testing.assert_allclose(drawn(ax), image.permute(1, 2, 0) / 255, rtol=1e-6)
        assert ax.get_images()[0].get_interpolation() == "nearest"


def test_every_kind_of_image_is_taken(images):
    grey, mask = torch.rand(1, 5, 4), torch.eye(7) > 0
    figure = plots.show_images([images[0], images[1] / 255, grey, mask, grey[0].numpy()], torch.arange(5))
    shapes = [drawn(ax).shape for ax in figure.axes]
    assert shapes == [(6, 9, 3), (6, 9, 3), (5, 4), (7, 7), (5, 4)]
    assert figure.axes[4].get_title() == "4"  # not tensor(4)
    np.testing.assert_allclose(drawn(figure.axes[2]), grey[0])  # a weak grey image is not stretched to full contrast
    assert figure.axes[2].get_images()[0].get_clim() == (0, 1)


def test_normalisation_is_undone(images):
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    normal = (images / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with pytest.raises(ValueError, match=r"pixels lie between .* not in 0…1: .* mean and std"):
        plots.show_images(normal)
    figure = plots.show_images(normal, mean=mean, std=std)
    np.testing.assert_allclose(drawn(figure.axes[3]), images[3].permute(1, 2, 0) / 255, atol=1e-6)


def test_long_titles_are_wrapped_and_do_not_touch(images):
    figure = plots.show_images(images, ["a small red star above a blue ring"] * 10, columns=5)
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes[:5]))
    assert boxes[0].y1 <= figure.bbox.y1 and boxes[5].y1 <= figure.axes[0].get_window_extent().y0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(2, 5, 8, 8), r"an image is \(5, 8, 8\): give \(channels, height, width\) with 1 or 3"),
        (torch.zeros(8), r"an image is \(\)"),
        ([], "there is no image to show"),
        (torch.full((1, 1, 2, 2), float("nan")), "pixels lie between nan and nan"),
    ],
)
def test_what_is_no_image_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        plots.show_images(wrong)


def test_titles_and_statistics_must_match(images):
    with pytest.raises(ValueError, match="3 titles for 10 images"):
        plots.show_images(images, ["a", "b", "c"])
    with pytest.raises(ValueError, match="only one of mean and std"):
        plots.show_images(images, mean=(0.5, 0.5, 0.5))


HISTORY = {
    "train_loss": [2.0, 1.0, 0.5],
    "val_loss": [2.0, 1.2, 1.4],
    "train_accuracy": [0.2, 0.6, 0.9],
    "val_accuracy": [0.2, 0.5, 0.6],
}


@pytest.mark.parametrize("history", [HISTORY, SimpleNamespace(**HISTORY)], ids=["dict", "object"])
def test_curves_are_drawn_from_epoch_one_with_the_best_marked(history):
    loss, accuracy = plots.plot_curves(history, title="run").axes
    train, val, best, star = accuracy.get_lines()
    assert train.get_xdata().tolist() == [1, 2, 3] and train.get_ydata().tolist() == [0.2, 0.6, 0.9]
    assert val.get_ydata().tolist() == [0.2, 0.5, 0.6]
    assert best.get_xdata() == [3, 3] and best.get_label() == "best: epoch 3" and star.get_ydata().tolist() == [0.6]
    assert loss.get_lines()[3].get_ydata().tolist() == [1.4]  # the same epoch, though its loss is not the lowest
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")


def test_curves_do_with_what_is_there():
    (loss,) = plots.plot_curves({"train_loss": [2.0, 1.0], "val_loss": [1.5, float("nan")], "val_accuracy": []}).axes
    assert [line.get_label() for line in loss.get_lines()][:3] == ["training", "validation", "best: epoch 1"]
    (loss,) = plots.plot_curves({"train_loss": [2.0, 1.0]}).axes
    assert len(loss.get_lines()) == 1
    with pytest.raises(ValueError, match="no curve to draw: give at least one of train_loss"):
        plots.plot_curves({"loss": [1.0]})


def test_rgb_filters_are_pictures_with_zero_in_the_middle():
    weights = torch.randn(5, 3, 3, 3, requires_grad=True)
    figure = plots.show_filters(weights, title="filters")
    pictures = np.stack([drawn(ax) for ax in figure.axes])
    np.testing.assert_allclose(
        (pictures - 0.5) * 2 * weights.abs().max().item(), weights.detach().permute(0, 2, 3, 1), atol=1e-5
    )


def test_other_filters_are_a_table_on_one_scale():
    weights = torch.randn(20, 4, 3, 5)
    figure = plots.show_filters(weights, limit=8)
    *kernels, _colorbar = figure.axes
    assert len(kernels) == 8 * 4
    np.testing.assert_allclose(drawn(kernels[4 * 2 + 3]), weights[2, 3])
    scale = weights.abs().max().item()
    assert {ax.get_images()[0].get_clim() for ax in kernels} == {(-scale, scale)}
    assert figure.get_supylabel() == "output channel (8 of 20)" and figure.get_supxlabel() == "input channel (4 of 4)"
    assert len(plots.show_filters(torch.randn(2, 3, 3, 3), rgb=False).axes) == 2 * 3 + 1
    with pytest.raises(ValueError, match=r"weights are \(5, 4\): give a convolution's"):
        plots.show_filters(torch.zeros(5, 4))
    with pytest.raises(ValueError, match="kernels read 4 channels, so they are no RGB pictures"):
        plots.show_filters(weights, rgb=True)


def test_feature_maps_share_a_scale_unless_asked():
    maps = torch.rand(1, 10, 5, 7) * torch.arange(1, 11)[:, None, None]
    *axes, _colorbar = plots.show_feature_maps(maps, limit=6, columns=4).axes
    assert len(axes) == 8
    np.testing.assert_allclose(drawn(axes[5]), maps[0, 5])
    assert len({ax.get_images()[0].get_clim() for ax in axes[:6]}) == 1
    axes = plots.show_feature_maps(maps[0], shared_scale=False).axes
    assert len({ax.get_images()[0].get_clim() for ax in axes[:10]}) == 10
    with pytest.raises(ValueError, match=r"maps are \(2, 3, 5, 7\): give one image's"):
        plots.show_feature_maps(torch.zeros(2, 3, 5, 7))


def test_overlays_cover_the_image_and_keep_the_sign(images):
    heat = torch.rand(2, 3, 4)
    figure = plots.overlay(images[:2], {"positive": heat, "signed": heat - 0.5}, ["a", "b"], suptitle="where")
    axes = np.array(figure.axes).reshape(3, 2)
    assert [ax.get_title() for ax in axes[0]] == ["a", "b"] and axes[1, 0].get_ylabel() == "positive"
    np.testing.assert_allclose(drawn(axes[0, 1]), images[1].permute(1, 2, 0) / 255, rtol=1e-6)
    grey, map_ = axes[1, 1].get_images()
    assert grey.get_array().shape == (6, 9) and tuple(map_.get_extent()) == (-0.5, 8.5, 5.5, -0.5)
    np.testing.assert_allclose(map_.get_array(), heat[1])
    assert map_.get_clim() == (0, heat[1].max().item()) and map_.get_cmap().name == "viridis"
    low, high = axes[2, 1].get_images()[1].get_clim()
    assert low == -high and axes[2, 1].get_images()[1].get_cmap().name == plots.SIGNED
    assert len(plots.overlay(images[0], torch.zeros(3, 4)).axes) == 2  # one image, and a map of nothing but zero
    with pytest.raises(ValueError, match=r"heat maps positive are \(2, 3, 4\) for 3 images: give \(N, h, w\)"):
        plots.overlay(images[:3], {"positive": heat})


def test_figures_are_small_enough_to_store(images, tmp_path):
    history = {"train_loss": np.linspace(2, 1, 20).tolist(), "val_loss": np.linspace(2, 1.5, 20).tolist()}
    for figure in (plots.plot_curves(history), plots.show_images(images.repeat(4, 1, 1, 1)[:32])):
        figure.savefig(tmp_path / "figure.png", bbox_inches="tight")
        assert (tmp_path / "figure.png").stat().st_size < 60_000
        assert figure.get_size_inches()[0] * figure.dpi < 800  # pixels: fits JupyterLab's and Colab's output column
