"""Each augmentation: torchvision's pixels where it has the operation, random per image, seeded, out of place."""

import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms.v2 import functional as tv

from vit_course.data.augment import (
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    HorizontalFlip,
    MixUp,
    RandAugment,
    RandomCrop,
    RandomErasing,
    beta,
)
from vit_course.data.pixels import turned_hue

ALL = [
    RandomCrop(padding=2),
    RandomCrop(padding=4, mode="zeros"),
    HorizontalFlip(),
    ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1),
    RandomErasing(p=0.7, fill=(0.1, 0.5, 0.9)),
    Cutout(size=5),
    MixUp(num_classes=7, alpha=0.4),
    CutMix(num_classes=7),
    RandAugment(),
    Compose([RandomCrop(), HorizontalFlip(), CutMix(num_classes=7)]),
]
each = pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 16, height: int = 12, width: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pixels, not square, batch ≠ channels ≠ sides ≠ classes, so that a swapped axis shows."""
    generator = seeded(seed)
    images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 7, (count,), generator=generator)


@each
def test_keeps_shape_dtype_input_and_the_global_generator(augment):
    images, labels = noise()
    images_before, labels_before, global_before = images.clone(), labels.clone(), torch.get_rng_state()
    new_images, new_labels = augment(images, labels, seeded())
    assert new_images.shape == images.shape and new_images.dtype == torch.uint8
    assert not torch.equal(new_images, images)
    assert torch.equal(images, images_before) and torch.equal(labels, labels_before)
    assert torch.equal(torch.get_rng_state(), global_before)
    if new_labels.ndim == 1:
        assert torch.equal(new_labels, labels)
    else:
        assert new_labels.shape == (16, 7) and new_labels.dtype == torch.float32
        assert_close(new_labels.sum(1), torch.ones(16))


@each
def test_same_seed_same_result_for_any_number_of_threads_and_another_seed_another(augment):
    images, labels = noise(count=64, height=33, width=32)  # enough pixels that torch would share them out
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.rand(count)  # the global generator elsewhere each time: it must not matter
            results.append(augment(images, labels, seeded(3)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    assert not torch.equal(augment(images, labels, seeded(4))[0], results[0][0])


@each
def test_each_draw_moves_the_generator_on(augment):
    images, labels = noise()
    generator = seeded()
    assert not torch.equal(augment(images, labels, generator)[0], augment(images, labels, generator)[0])


@each
def test_equal_images_come_out_different(augment):
    """One crop, flip or colour for a whole batch is the trap; mixing needs images to mix, so there the labels tell."""
    images, labels = noise(count=32)
    if not isinstance(augment, MixUp | CutMix | Compose):
        images = images[:1].expand(32, -1, -1, -1)
    new_images, new_labels = augment(images, labels, seeded())
    different = new_labels.amax(1).unique() if new_labels.ndim == 2 else new_images.unique(dim=0)
    assert len(different) >= (2 if isinstance(augment, HorizontalFlip) else 8)


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_crop_is_a_crop_of_the_padded_image_and_takes_every_place_evenly(mode):
    images = noise(count=1, height=6, width=5)[0].expand(2500, -1, -1, -1)
    crops, _ = RandomCrop(padding=2, mode=mode)(images, torch.zeros(2500, dtype=torch.int64), seeded())
    padded = tv.pad(images[0], [2], padding_mode="reflect" if mode == "reflect" else "constant")
    counts = [
        (crops == tv.crop(padded, top, left, 6, 5)).flatten(1).all(1).sum().item()
        for top in range(5)
        for left in range(5)
    ]
    assert sum(counts) == 2500  # each crop is one of the 25
    assert min(counts) > 60 and max(counts) < 140  # 100 ± 4 standard deviations


def test_flip_mirrors_some_images_and_leaves_the_others():
    images, labels = noise(count=2000, height=4, width=5)
    flips, _ = HorizontalFlip(p=0.3)(images, labels, seeded())
    mirrored = (flips == tv.horizontal_flip(images)).flatten(1).all(1)
    same = (flips == images).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert abs(mirrored.float().mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)
    assert torch.equal(HorizontalFlip(p=0.0)(images, labels, seeded())[0], images)
    assert torch.equal(HorizontalFlip(p=1.0)(images, labels, seeded())[0], images.flip(3))


@pytest.mark.parametrize("row, what", [(0, "contrast"), (1, "brightness"), (2, "saturation"), (3, "hue")])
def test_color_jitter_equals_torchvision_image_by_image(row, what):
    images, labels = noise(count=24)
    images[0], images[1] = 77, 0  # grey and black: no hue
    jittered, _ = ColorJitter(**{what: 0.4})(images, labels, seeded(5))
    draws = 2 * torch.rand(4, 24, generator=seeded(5))[row] - 1
    assert draws.min() < -0.5 and draws.max() > 0.5
    for image, ours, draw in zip(images, jittered, draws.tolist(), strict=True):
        amount = 0.4 * draw if what == "hue" else 1 + 0.4 * draw
        theirs = getattr(tv, f"adjust_{what}")(image.float() / 255, amount) * 255
        assert_close(ours.float(), theirs, atol=0.501, rtol=0)  # the rounding to whole grey levels


def test_turning_hue_once_round_changes_nothing_and_a_third_swaps_channels():
    pixels = noise()[0].float()
    assert_close(turned_hue(pixels, torch.ones(16, 1, 1, 1)), pixels, atol=1e-2, rtol=0)
    assert_close(turned_hue(pixels, torch.full((16, 1, 1, 1), 1 / 3)), pixels.roll(1, dims=1), atol=1e-2, rtol=0)


def test_color_jitter_draws_stay_when_another_amount_is_switched_off():
    images, labels = noise()
    alone, _ = ColorJitter(hue=0.2)(images, labels, seeded())
    tiny, _ = ColorJitter(hue=0.2, contrast=1e-9)(images, labels, seeded())
    assert_close(alone, tiny, atol=1, rtol=0)


def test_erasing_paints_one_box_inside_with_the_rate_area_and_shape_asked_for():
    images = torch.zeros(3000, 3, 40, 36, dtype=torch.uint8)
    erasing = RandomErasing(p=0.25, scale=(0.05, 0.2), ratio=(0.5, 2.0), fill=(0.2, 0.4, 1.0))
    erased, _ = erasing(images, torch.zeros(3000, dtype=torch.int64), seeded())
    box = erased[:, 0] > 0  # (B, H, W)
    hit = box.flatten(1).any(1)
    assert abs(hit.float().mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 3000)
    height, width = box.any(2).sum(1)[hit], box.any(1).sum(1)[hit]
    area = box.sum((1, 2))[hit]
    assert torch.equal(area, height * width)  # a full rectangle, in one piece
    assert 0.04 < area.min() / 1440 < 0.06 and 0.18 < area.max() / 1440 < 0.215
    assert 0.4 < (height / width).min() < 0.6 and 1.7 < (height / width).max() < 2.4
    assert abs((area / 1440).mean() - 0.125) < 0.01  # even over its range: nothing is cut off at the border
    assert box.any((0, 1)).all() and box.any((0, 2)).all()  # it reaches every row and column
    top, left = int(box[hit][0].any(1).int().argmax()), int(box[hit][0].any(0).int().argmax())
    paint = torch.tensor([51, 102, 255], dtype=torch.uint8).view(3, 1, 1)
    expected = tv.erase(images[0], top, left, int(height[0]), int(width[0]), paint.expand(3, height[0], width[0]))
    assert torch.equal(erased[hit][0], expected)


def test_cutout_squares_are_centred_on_every_pixel_and_cut_at_the_border():
    images = torch.zeros(4000, 3, 12, 10, dtype=torch.uint8)
    cut, _ = Cutout(size=5, fill=1.0)(images, torch.zeros(4000, dtype=torch.int64), seeded())
    box = cut[:, 0] > 0
    areas = box.sum((1, 2))
    assert areas.max() == 25 and areas.min() == 9  # in a corner, 3 × 3 of it remain
    assert (areas == 25).float().mean() == pytest.approx(
        8 * 6 / 120, abs=0.04
    )  # centres 2 pixels or more from the edge
    assert set(cut.unique().tolist()) == {0, 255}


def test_mixup_blends_pixels_and_labels_by_the_same_share():
    """Image i is all of grey level 10·i, and label i, so pixels and labels can be read back against each other."""
    levels = 10 * torch.arange(20)
    images = levels.to(torch.uint8).view(20, 1, 1, 1).expand(20, 3, 4, 5)
    mixed, soft = MixUp(num_classes=20, alpha=1.0)(images, torch.arange(20), seeded())
    assert (soft.count_nonzero(1) <= 2).all() and (soft > 0.01).any(1).all()
    assert_close(mixed.float()[:, 0, 0, 0], soft @ levels.float(), atol=0.501, rtol=0)
    assert (mixed == mixed[:, :1, :1, :1]).all()
    # A permutation: what goes out of each label over the batch is what its share and its partner's add up to.
    own = soft.diagonal()
    others = soft.clone().fill_diagonal_(0)
    assert ((others > 0).sum(0) <= 1).all() and ((others > 0).sum(1) <= 1).all()
    assert own.std() > 0.15  # shares differ from image to image


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_has_its_mean_and_variance(alpha):
    shares = beta(alpha, 20000, seeded())
    assert shares.mean().item() == pytest.approx(0.5, abs=0.015)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_cutmix_pastes_one_box_and_weighs_labels_by_its_true_area():
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 3, 14, 11)  # image i is all i
    mixed, soft = CutMix(num_classes=40)(images, torch.arange(40), seeded())
    for i in range(40):
        values, counts = mixed[i, 0].unique(return_counts=True)
        expected = torch.zeros(40)
        expected[values.long()] = counts / (14 * 11)
        assert_close(soft[i], expected)
        pasted = mixed[i, 0] != i
        assert pasted.sum() == pasted.any(0).sum() * pasted.any(1).sum()  # a rectangle
    assert (mixed == mixed[:, :1]).all()  # the same place in every channel
    assert soft.diagonal().std() > 0.1


def test_cutmix_boxes_have_the_area_that_beta_draws_before_the_border_cuts_them():
    """Uniform shares (alpha 1) mean boxes of half the image on average, of which the border leaves a known part."""
    images = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 64, 64).repeat(2000, 1, 1, 1)
    _, soft = CutMix(num_classes=4000)(images, torch.arange(4000), seeded())
    # A side of share s, centred evenly, keeps s - s²/4 of itself; the area is the square of that, with s² even.
    side = torch.linspace(0, 1, 10001).sqrt()
    assert 1 - soft.diagonal().mean().item() == pytest.approx(((side - side**2 / 4) ** 2).mean().item(), abs=0.02)


def test_mixing_composes_on_soft_labels():
    images, labels = noise()
    _, soft = Compose([MixUp(num_classes=7), CutMix(num_classes=7)])(images, labels, seeded())
    assert_close(soft.sum(1), torch.ones(16))
    assert (soft.count_nonzero(1) > 2).any()


def test_compose_hands_one_generator_through_its_steps_in_order():
    images, labels = noise()
    steps = [RandomCrop(padding=2, mode="zeros"), ColorJitter(brightness=0.5)]
    generator = seeded()
    by_hand = steps[1](*steps[0](images, labels, generator), generator)
    assert torch.equal(Compose(steps)(images, labels, seeded())[0], by_hand[0])
    assert Compose([])(images, labels, seeded())[0] is images


def test_rand_augment_is_torchvision_s_given_the_same_state():
    from torchvision.transforms import v2

    images, labels = noise(count=8, height=32, width=24)
    ours, _ = RandAugment(num_ops=3, magnitude=12)(images, labels, seeded(9))
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(seeded(9).get_state())
        theirs = torch.stack([v2.RandAugment(num_ops=3, magnitude=12)(image) for image in images])
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RandomCrop(padding=-1), "padding is -1: give 0 or more"),
        (lambda: RandomCrop(mode="edge"), "mode is 'edge': give 'reflect' or 'zeros'"),
        (lambda: RandomCrop(padding=10)(*noise(), seeded()), "padding 10 is not smaller than the 12×10 image"),
        (lambda: HorizontalFlip(p=1.5), "p is 1.5: give a number from 0 to 1"),
        (lambda: ColorJitter(hue=0.7), "hue is 0.7: give a number from 0 to 0.5"),
        (lambda: ColorJitter()(noise()[0][:, :1], noise()[1], seeded()), "images have 1 channels: ColorJitter needs 3"),
        (
            lambda: ColorJitter()(noise()[0] / 255, noise()[1], seeded()),
            "images are torch.float32: .*before normalising",
        ),
        (lambda: RandomErasing(p=-0.1), "p is -0.1"),
        (lambda: RandomErasing(scale=(0.5, 0.1)), r"scale is \(0.5, 0.1\): give a range"),
        (lambda: RandomErasing(ratio=(0, 1)), r"ratio is \(0, 1\): give a range"),
        (lambda: Cutout(fill=(0.0, 1.0))(*noise(), seeded()), "fill has 2 values for 3 channels"),
        (lambda: Cutout(fill=128)(*noise(), seeded()), "fill is 128: give numbers from 0 to 1"),
        (lambda: Cutout(size=0), "size is 0: give a side of 1 pixel or more"),
        (lambda: MixUp(num_classes=7, alpha=0.0), "alpha is 0.0: give a number from 0.01 to 1000"),
        (lambda: CutMix(num_classes=7, alpha=-1), "alpha is -1"),
        (lambda: MixUp(num_classes=3)(*noise(), seeded()), r"labels go from 0 to 6, num_classes is 3: give len\("),
        (lambda: CutMix(num_classes=7)(noise()[0], noise()[1] - 1, seeded()), "labels go from -1 to 5"),
        (lambda: CutMix(num_classes=7)(noise()[0], torch.rand(16, 5), seeded()), "5 classes with num_classes=7"),
        (lambda: RandAugment(magnitude=31), "magnitude is 31: give a number from 0 to 30"),
    ],
)
def test_bad_input_is_named_with_the_remedy(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_typos_are_refused():
    with pytest.raises(TypeError, match="paddding"):
        RandomCrop(paddding=4)
