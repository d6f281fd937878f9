"""Batches: every image once, normalised, the same for the same seed whatever the machine, resumable anywhere."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from vit_course.bench.loading import compare_ways
from vit_course.data.augment import ColorJitter, Compose, HorizontalFlip, MixUp, RandomCrop
from vit_course.data.batches import Batches, generator_for
from vit_course.data.dataset import Split

CROP_AND_FLIP = Compose([RandomCrop(padding=3), HorizontalFlip()])
MEAN, STD = (0.2, 0.5, 0.7), (0.1, 0.25, 0.3)


def made_split(count: int = 50) -> Split:
    """Noise images, not square; label i is the image's position, so that a batch names its images."""
    images = torch.randint(0, 256, (count, 3, 12, 10), dtype=torch.uint8, generator=generator_for(count))
    return Split(images, torch.arange(count), MEAN, STD)


def assert_same(first: list, second: list) -> None:
    assert len(first) == len(second)
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        assert torch.equal(images, other_images) and torch.equal(labels, other_labels)


def test_shapes_types_length_and_the_last_batch():
    batches = Batches(made_split(50), batch_size=16)
    pairs = list(batches)
    assert len(batches) == len(pairs) == 4
    assert [images.shape for images, _ in pairs] == [(16, 3, 12, 10)] * 3 + [(2, 3, 12, 10)]
    assert all(images.dtype == torch.float32 and labels.dtype == torch.int64 for images, labels in pairs)
    assert len(Batches(made_split(48), batch_size=16)) == 3
    assert len(Batches(made_split(50), batch_size=1000)) == 1


def test_pixels_are_normalised_with_the_split_s_statistics():
    split = made_split()
    images = torch.cat([images for images, _ in Batches(split, batch_size=16)])
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    assert_close(images, (split.images.float() / 255 - mean) / std, atol=2e-5, rtol=0)


def test_without_shuffle_the_order_is_the_split_s_and_with_it_every_image_comes_once_in_a_new_order():
    split = made_split()
    assert torch.cat([labels for _, labels in Batches(split, batch_size=16)]).tolist() == list(range(50))
    batches = Batches(split, batch_size=16, shuffle=True)
    first, second = (torch.cat([labels for _, labels in batches]).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second and first != list(range(50))
    assert torch.cat([labels for _, labels in Batches(split, batch_size=16, shuffle=True, seed=1)]).tolist() != first


def test_images_keep_their_labels_when_shuffled_and_augmented():
    split = made_split()
    plain = torch.cat([images for images, _ in Batches(split)])
    for images, labels in Batches(split, batch_size=16, shuffle=True):
        assert torch.equal(images, plain[labels])
    for images, labels in Batches(split, batch_size=16, shuffle=True, augment=HorizontalFlip()):
        own, mirrored = plain[labels], plain[labels].flip(3)
        assert all(torch.equal(i, a) or torch.equal(i, b) for i, a, b in zip(images, own, mirrored, strict=True))


@pytest.mark.parametrize("shuffle", [False, True])
def test_same_seed_same_batches_for_any_number_of_threads_and_another_seed_others(shuffle):
    augment = Compose([CROP_AND_FLIP, ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)])
    threads, runs = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(count)  # nor does the global generator matter
            runs.append(list(Batches(made_split(600), batch_size=256, shuffle=shuffle, augment=augment, seed=7)))
    finally:
        torch.set_num_threads(threads)
    assert_same(*runs)
    other = next(iter(Batches(made_split(600), batch_size=256, shuffle=shuffle, augment=augment, seed=8)))
    assert not torch.equal(other[0], runs[0][0][0])


def test_making_batches_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    list(Batches(made_split(), shuffle=True, augment=MixUp(num_classes=50)))
    assert torch.equal(torch.get_rng_state(), before)


def test_epochs_batches_and_neighbouring_seeds_each_have_numbers_of_their_own():
    """The crops of an image that stands in the same place in every batch and epoch must differ."""
    split = replace(made_split(1).subset([0] * 8), labels=torch.zeros(8, dtype=torch.int64))
    seen = set()
    for seed in range(3):
        batches = Batches(split, batch_size=4, augment=RandomCrop(padding=4), seed=seed)
        seen |= {(images.sum().item(), images[0].sum().item()) for _ in range(4) for images, _ in batches}
    assert len(seen) == 3 * 4 * 2
    first_numbers = {
        torch.rand(1, generator=generator_for(*key)).item() for key in [(0, 1), (1, 0), (0, 1, 0), (0, 10)]
    }
    assert len(first_numbers) == 4


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_an_epoch_taken_up_at_any_batch_goes_on_as_the_uninterrupted_one(start):
    augment = Compose([CROP_AND_FLIP, MixUp(num_classes=50)])
    options = {"batch_size": 16, "shuffle": True, "augment": augment, "seed": 3}
    whole = Batches(made_split(), **options)
    passes = [list(whole) for _ in range(3)]
    resumed = Batches(made_split(), **options)
    resumed.epoch = 1
    assert_same(list(resumed.from_batch(start)), passes[1][start:])
    assert resumed.epoch == 2
    assert_same(list(resumed), passes[2])


def test_an_epoch_left_early_counts_as_a_pass():
    batches = Batches(made_split(), batch_size=16, shuffle=True)
    (_, first), (_, second) = next(iter(batches)), next(iter(batches))
    assert batches.epoch == 2 and not torch.equal(first, second)


def test_earlier_batches_are_not_computed():
    calls = []

    def counting(images, labels, generator):
        calls.append(len(images))
        return images, labels

    list(Batches(made_split(), batch_size=16, augment=counting).from_batch(3))
    assert calls == [2]


def test_the_split_is_not_copied_and_an_augmentation_that_works_in_place_cannot_spoil_it():
    split = made_split()
    before = split.images.clone()

    def darkening(images, labels, generator):
        labels.zero_()
        return images.zero_(), labels

    for shuffle in (False, True):
        batches = Batches(split, shuffle=shuffle, augment=darkening)
        assert batches.images.data_ptr() == split.images.data_ptr()
        list(batches)
        list(Batches(split, shuffle=shuffle))
    assert torch.equal(split.images, before) and split.labels[-1] == 49


def test_soft_labels_pass():
    for images, labels in Batches(made_split(), batch_size=16, augment=MixUp(num_classes=50)):
        assert labels.shape == (len(images), 50)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_batches_on_a_gpu():
    options = {"batch_size": 16, "shuffle": True, "augment": CROP_AND_FLIP}
    on_gpu = [(i.cpu(), y.cpu()) for i, y in Batches(made_split(), device="cuda", **options)]
    assert_same(on_gpu, list(Batches(made_split(), **options)))


@pytest.mark.slow
def test_batches_are_made_ten_times_as_fast_as_by_a_data_loader_with_two_workers():
    rates = compare_ways(count=2000, rounds=3, batch_size=128)
    assert rates["Batches"].median >= 10 * rates["DataLoader, 2 workers"].median


def wrong(change):
    """An augmentation that returns `change(images, labels)`."""

    def my_augment(images, labels, generator):
        return change(images, labels)

    return my_augment


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, y: x, r"augment my_augment returned Tensor: return the pair \(images, labels\)"),
        (
            lambda x, y: (x[:, :, :8], y),
            r"returned images torch.uint8 \(16, 3, 8, 10\): return torch.uint8 \(16, 3, 12, 10\)",
        ),
        (lambda x, y: (x / 255, y), r"returned images torch.float32 \(16, 3, 12, 10\): return torch.uint8"),
        (lambda x, y: (x, y[:3]), r"returned labels torch.int64 \(3,\): return torch.int64 \(16,\)"),
        (lambda x, y: (x, y.float()), r"returned labels torch.float32 \(16,\): return torch.int64 \(16,\), or soft"),
        (lambda x, y: (x, y.view(16, 1)), r"returned labels torch.int64 \(16, 1\)"),
    ],
)
def test_an_augment_that_returns_something_else_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        next(iter(Batches(made_split(), batch_size=16, augment=wrong(change))))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size is 0: give 1 or more"),
        ({"batch_size": -5}, "batch_size is -5"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not on this machine: use one of"),
        ({"device": "fast"}, "'fast' is not the name of a device"),
    ],
)
def test_bad_options_are_named_with_the_remedy(options, message):
    with pytest.raises(ValueError, match=message):
        Batches(made_split(), **options)


def test_a_bad_split_or_start_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="the split has 0 images: give one with at least 1"):
        Batches(made_split().subset([]))
    with pytest.raises(ValueError, match="std is 0 in channel 1: every pixel there is the same"):
        Batches(replace(made_split(), std=(0.1, 0.0, 0.3)))
    with pytest.raises(ValueError, match="start is 5: an epoch has 4 batches, so give 0 to 4"):
        Batches(made_split(), batch_size=16).from_batch(5)
