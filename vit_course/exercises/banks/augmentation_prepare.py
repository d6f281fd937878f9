"""Notebook 15: what happens to a training image, and what to a test image."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def prepare_batch(
    images: Tensor, augment: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor, training: bool
) -> Tensor:
    """uint8 images (B, C, H, W): augmented if `training`, then normalised with the training set's statistics."""
    if training:
        images = augment(images)
    return normalised(images, mean, std)


def column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (images.float() / 255 - column(mean)) / column(std)


def own_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    pixels = images.float() / 255
    return pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))


def mirrored_and_erased(images: Tensor) -> Tensor:
    """An augmentation without dice, so that results can be compared: a mirror image with a grey corner."""
    result = images.flip(-1).clone()
    result[..., :2, :2] = 128
    return result


def brighter(images: Tensor) -> Tensor:
    return (images.float() + 60).clamp(0, 255).round().to(images.dtype)


def batches_to_prepare() -> list[tuple]:
    """In training and not; in one of them W = C, where a wrong broadcast is silent."""
    cases = [(2, 3, 3, 4, mirrored_and_erased, True), (3, 3, 4, 5, mirrored_and_erased, False)]
    cases += [(4, 3, 5, 3, brighter, True), (2, 3, 6, 3, brighter, False)]
    return [
        (torch.randint(256, (b, c, h, w), dtype=torch.uint8), how, torch.rand(c) / 2 + 0.1, torch.rand(c) / 4 + 0.1, on)
        for b, c, h, w, how, on in cases
    ]


def prepared(when: Callable = lambda training: training, how: Callable = normalised) -> Callable:
    """`prepare_batch` that augments `when(training)` and normalises by `how(images, mean, std)`."""

    def answer(images, augment, mean, std, training):
        return how(augment(images) if when(training) else images, mean, std)

    return answer


def by_loop(images: Tensor, augment: Callable, mean: Tensor, std: Tensor, training: bool) -> Tensor:
    result = augment(images) if training else images.clone()
    result = result.to(torch.float32)
    for c in range(images.shape[1]):
        result[:, c] = (result[:, c] - 255 * mean[c]) / (255 * std[c])
    return result


def in_one_step(images: Tensor, augment: Callable, mean: Tensor, std: Tensor, training: bool) -> Tensor:
    source = (augment(images) if training else images).float()
    return torch.addcmul(column(-mean / std), source, column(1 / (255 * std)))


def after_normalising(images, augment, mean, std, training):
    result = normalised(images, mean, std)
    return augment(result) if training else result


def after_scaling(images, augment, mean, std, training):
    result = images.float() / 255
    return ((augment(result) if training else result) - column(mean)) / column(std)


def test_by_its_own(images, augment, mean, std, training):
    return normalised(augment(images), mean, std) if training else normalised(images, *own_statistics(images))


def test_not_normalised(images, augment, mean, std, training):
    return normalised(augment(images), mean, std) if training else images.float() / 255


PREPARE_BATCH = Exercise(
    name="prepare_batch",
    notebook="15",
    title="One path for training images, another for test images",
    reference=prepare_batch,
    probes=batches_to_prepare,
    axes={"images": "B C H W", "mean": "C", "std": "C", "result": "B C H W"},
    hints=[
        "The two paths share all but one step. Which one must a test image not take?",
        "`augment` takes uint8 pixels and gives uint8 pixels, so it comes first. Then scale to 0 … 1, take away the "
        "mean, divide by the deviation.",
        "mean and std are (C,) and must meet the axis of the channels: `mean.view(-1, 1, 1)`.",
    ],
    mistakes=[
        Mistake(
            "always",
            prepared(lambda training: True),
            "Test images are augmented too. Then you measure the model on pictures that nobody asked about, the number "
            "is lower than it should be, and it changes from one evaluation to the next. Only training rolls dice.",
        ),
        Mistake(
            "never",
            prepared(lambda training: False),
            "Nothing is ever augmented: `augment` is not called, or its result is thrown away. It changes nothing in "
            "place; it returns new images.",
        ),
        Mistake(
            "the_wrong_way_round",
            prepared(lambda training: not training),
            "The condition is the wrong way round: test images are augmented, and training images are not. Overfitting "
            "stays as it was, and the test gets harder.",
        ),
        Mistake(
            "after_normalising",
            after_normalising,
            "You normalise first and augment afterwards. The augmentation works in grey levels 0 … 255; a normalised "
            "pixel lies between about -2 and 2, so what it adds or paints is a hundred times too bright. Order: "
            "augment, then normalise.",
        ),
        Mistake(
            "after_scaling",
            after_scaling,
            "The augmentation gets pixels in 0 … 1, and works in 0 … 255: its grey of 128 becomes a light such as no "
            "image holds. Augment the uint8 images, then scale.",
        ),
        Mistake(
            "statistics_of_the_batch",
            prepared(how=lambda images, mean, std: normalised(images, *own_statistics(images))),
            "You normalise with the statistics of the batch at hand. The same image then looks different in each "
            "batch, and a batch of dark images loses what made it dark. Use the `mean` and `std` that you are given: "
            "the training set's, always.",
        ),
        Mistake(
            "test_by_its_own",
            test_by_its_own,
            "Test images are normalised with their own statistics. The model has learned what a brightness of 0.3 "
            "means *on the scale of the training set*; on another scale, colours mean something else. And one test "
            "image should not depend on the others.",
        ),
        Mistake(
            "test_not_normalised",
            test_not_normalised,
            "Test images are scaled to 0 … 1 and left there; training images are normalised. The model meets numbers "
            "at test time such as it never saw. Only the augmentation differs between the two paths.",
        ),
        Mistake(
            "not_scaled",
            prepared(how=lambda images, mean, std: (images.float() - column(mean)) / column(std)),
            "The pixels are still 0 … 255 where `mean` and `std` are in units of 0 … 1. Everything comes out hundreds "
            "of times too large, and training begins with a huge loss. Divide by 255 first.",
        ),
        Mistake(
            "by_the_maximum",
            prepared(how=lambda images, mean, std: (images / images.max() - column(mean)) / column(std)),
            "You divide by the brightest pixel that happens to be there, so the same image comes out differently in "
            "each batch. The scale is fixed: 255.",
        ),
        Mistake(
            "no_std",
            prepared(how=lambda images, mean, std: images.float() / 255 - column(mean)),
            "The mean is taken away, the division by the deviation is missing.",
        ),
        Mistake(
            "wrong_order",
            prepared(how=lambda images, mean, std: images.float() / 255 / column(std) - column(mean)),
            "You divide by the deviation before the mean is taken away. Then too little is taken away, and the result "
            "is not centred. (x - mean) / std.",
        ),
        Mistake(
            "along_width",
            prepared(how=lambda images, mean, std: (images.float() / 255 - mean) / std),
            "Shapes are lined up from the right, so (C,) meets the *width*: an error for most sizes, and a silent one "
            "where the width happens to be C. Give mean and std the shape (C, 1, 1).",
        ),
    ],
    variants=[by_loop, in_one_step],
    solved="`Batches` does the same: its `augment` is None for every test split of this course.",
)

EXERCISES = [PREPARE_BATCH]
