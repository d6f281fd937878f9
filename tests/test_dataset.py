"""Splits and datasets: what they hold, how they divide, what they refuse."""

import pytest
import torch

from vit_course.data import load
from vit_course.data.dataset import Dataset, Split, channel_statistics


@pytest.fixture
def split():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (100, 3, 5, 7), dtype=torch.uint8, generator=generator)
    labels = torch.arange(100) % 4
    return Split(images, labels, *channel_statistics(images), captions=[f"image {i}" for i in range(100)])


def test_channel_statistics_equal_torchs_over_all_pixels(split):
    mean, std = channel_statistics(split.images)
    pixels = split.images.double() / 255
    torch.testing.assert_close(torch.tensor(mean), pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(torch.tensor(std), pixels.std((0, 2, 3), correction=0).float())


def test_split_is_a_torch_dataset(split):
    image, label = split[5]
    assert torch.equal(image, split.images[5]) and label == 1 and len(split) == 100
    images, labels = next(iter(torch.utils.data.DataLoader(split, batch_size=8)))
    assert images.shape == (8, 3, 5, 7) and labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_subset_keeps_order_captions_and_statistics(split):
    part = split.subset([7, 3])
    assert torch.equal(part.images, split.images[[7, 3]]) and part.captions == ["image 7", "image 3"]
    assert part.mean == split.mean


def test_split_is_stratified_disjoint_and_seeded(split):
    rest, held = split.split(0.2, seed=1)
    assert held.labels.bincount().tolist() == [5, 5, 5, 5] and len(rest) == 80
    assert set(rest.captions) | set(held.captions) == set(split.captions)
    assert split.split(0.2, seed=1)[1].captions == held.captions != split.split(0.2, seed=2)[1].captions


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_split_refuses_no_fraction(split, fraction):
    with pytest.raises(ValueError, match=f"held_out is {fraction}: give a fraction between 0 and 1"):
        split.split(fraction)


def test_wrong_parts_are_named(split):
    with pytest.raises(ValueError, match=r"torch.float32 \(100, 3, 5, 7\): give uint8"):
        Split(split.images.float(), split.labels, split.mean, split.std)
    with pytest.raises(ValueError, match=r"torch.int64 \(99,\): give int64 of shape \(100,\)"):
        Split(split.images, split.labels[1:], split.mean, split.std)
    with pytest.raises(ValueError, match="1 means and 3 standard deviations for 3 channels"):
        Split(split.images, split.labels, split.mean[:1], split.std)
    with pytest.raises(ValueError, match="2 captions for 100 images"):
        Split(split.images, split.labels, split.mean, split.std, captions=["a", "b"])


def test_labels_out_of_range_are_named(split):
    with pytest.raises(ValueError, match="train label 3 is out of range: 3 classes have labels 0 to 2"):
        Dataset("toy", ["a", "b", "c"], split, split)


def test_repr_says_what_is_there(split):
    dataset = Dataset("toy", list("abcd"), split, split.subset(range(10)))
    assert repr(dataset) == "toy: 100 training and 10 test images, 3×5×7, 4 classes (a, b, c, d)"
    assert repr(split) == "Split(100 images, 3×5×7 uint8, with captions)"


@pytest.mark.parametrize("name", ["Shapes", "shape", "cifar-10", "CIFAR10"])
def test_a_name_that_is_nearly_right_is_guessed(name):
    with pytest.raises(FileNotFoundError, match=f"is called '{name}': did you mean '(shapes|cifar10)'"):
        load(name)


@pytest.mark.parametrize("size", ["big", (16, 24), 32.0])
def test_a_size_that_is_no_number_of_pixels_is_named(size):
    with pytest.raises(ValueError, match="give the side of square images in pixels"):
        load("shapes", size=size)
