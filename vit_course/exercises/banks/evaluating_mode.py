"""Notebook 14, first part: what a model says of a whole split."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake, is_blank


@torch.no_grad()
def predict_images(model: nn.Module, images: Tensor, mean: Tensor, std: Tensor, batch_size: int) -> Tensor:
    """The logits of every image, in order: uint8 (N, C, H, W) -> float32 (N, num_classes)."""
    model.eval()
    mean, std = mean[:, None, None], std[:, None, None]  # (C, 1, 1)
    return torch.cat([model((part / 255 - mean) / std) for part in images.split(batch_size)])


def watched(answer: Callable, model: nn.Module, images: Tensor, mean: Tensor, std: Tensor, batch_size: int) -> object:
    """The logits of a model that comes from training; besides, whether a graph was kept, and the largest batch."""
    graphs: list[bool] = []
    sizes: list[int] = []

    def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        graphs.append(torch.is_grad_enabled())
        sizes.append(len(inputs[0]))

    model.register_forward_hook(note)
    model.train()
    logits = answer(model, images, mean, std, batch_size)
    if is_blank(logits) and not sizes:
        return logits
    if isinstance(logits, Tensor):
        logits = logits.detach()
    return {
        "logits": logits,
        "graph kept for a backward pass": "yes" if any(graphs) else "no",
        "batches above batch_size": sum(size > batch_size for size in sizes),
    }


def small_nets() -> list[tuple]:
    """Convolutional nets with batch norm and dropout, and dark images whose statistics are not the given ones."""
    found = []
    for count, (C, H, W), classes, size in ((7, (3, 4, 5), 4, 3), (8, (2, 6, 4), 3, 4), (11, (3, 5, 6), 2, 3)):
        norm = nn.BatchNorm2d(5)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        layers = [nn.Conv2d(C, 5, 3), norm, nn.GELU(), nn.Dropout(0.3), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(5 * (H - 2) * (W - 2), classes))
        images = torch.randint(0, 160, (count, C, H, W), dtype=torch.uint8)
        found.append((model, images, torch.linspace(0.4, 0.6, C), torch.linspace(0.2, 0.3, C), size))
    return found


def usual(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (pixels / 255 - mean[:, None, None]) / std[:, None, None]


def way(
    *,
    mode: bool | None = False,
    grad: bool = False,
    prepare: Callable = usual,
    cut: Callable = lambda images, size: images.split(size),
    join: Callable = torch.cat,
) -> Callable:
    """`predict_images` with something done otherwise."""

    def answer(model, images, mean, std, batch_size):
        if mode is not None:
            model.train(mode)
        with torch.set_grad_enabled(grad):
            return join([model(prepare(part, mean, std)) for part in cut(images, batch_size)])

    return answer


def own(dims: tuple[int, ...]) -> Callable:
    """Normalisation with the given pixels' own statistics."""

    def prepare(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        x = pixels / 255
        return (x - x.mean(dims, keepdim=True)) / x.std(dims, keepdim=True)

    return prepare


def statistics_of_all(model, images, mean, std, batch_size):
    x = images / 255
    return way()(model, images, x.mean((0, 2, 3)), x.std((0, 2, 3)), batch_size)


def in_a_shuffled_order(model, images, mean, std, batch_size):
    return way()(model, images[torch.randperm(len(images))], mean, std, batch_size)


def by_positions(model, images, mean, std, batch_size):
    model.train(False)
    shape = (1, -1, 1, 1)
    scores = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            x = images[start : start + batch_size].float().div(255)
            scores.append(model((x - mean.view(shape)).div(std.view(shape))))
    return torch.vstack(scores)


def into_a_table(model, images, mean, std, batch_size):
    model.eval()
    x = (images.permute(0, 2, 3, 1).float() - 255 * mean) / (255 * std)
    rows = []
    for part in x.permute(0, 3, 1, 2).split(batch_size):
        with torch.no_grad():
            rows.extend(model(part))
    return torch.stack(rows)


PREDICT = Exercise(
    name="predict_images",
    notebook="14",
    title="What a model says of every image",
    reference=predict_images,
    call=watched,
    probes=small_nets,
    axes={"images": "N C H W", "logits": "N classes", "mean": "C", "std": "C"},
    hints=[
        "Two switches first, as in notebook 04: the model's mode, and whether torch keeps a graph.",
        "`images.split(batch_size)` gives the batches, the smaller last one too. Each goes through four steps: to "
        "0…1, minus the mean, divided by the deviation, through the model.",
        "mean is (C,), a batch (B, C, H, W): `mean[:, None, None]` has the shape (C, 1, 1), which lines up with the "
        "channels. `torch.cat` joins the batches' logits.",
    ],
    mistakes=[
        Mistake(
            "no_eval",
            way(mode=None),
            "The model is still in train mode: dropout drops, and batch norm takes its statistics from the batch that "
            "it should judge. The same image gets other logits in other company. Switch the mode before the loop.",
        ),
        Mistake(
            "graph",
            way(grad=True),
            "The logits are right, but torch kept a graph of every batch for a backward pass that never comes. With "
            "10,000 images that is gigabytes. Switch it off around the loop.",
        ),
        Mistake(
            "no_eval_and_graph",
            way(mode=None, grad=True),
            "Both switches are missing: the model is in train mode, so the company of an image changes its logits, "
            "and torch keeps a graph that nobody needs.",
        ),
        Mistake(
            "statistics_of_all",
            statistics_of_all,
            "You normalise with the mean and deviation of the *test* images. The model has learned with the training "
            "images' numbers, and a single photo, tomorrow, has no test set around it. Use the ones you are given.",
        ),
        Mistake(
            "statistics_of_the_batch",
            way(prepare=own((0, 2, 3))),
            "You normalise each batch with its own mean and deviation, so an image's logits depend on its neighbours "
            "in the batch. Use the mean and deviation that you are given: those of training.",
        ),
        Mistake(
            "statistics_of_the_image",
            way(prepare=own((2, 3))),
            "You normalise each image with its own mean and deviation: dark and bright images become alike, which the "
            "model has never seen. Use the mean and deviation that you are given.",
        ),
        Mistake(
            "not_scaled",
            way(prepare=lambda x, m, s: (x - m[:, None, None]) / s[:, None, None]),
            "The pixels are still 0…255, while mean and std are on the scale 0…1: the model gets numbers up to a "
            "thousand. Divide by 255 first.",
        ),
        Mistake(
            "not_normalised",
            way(prepare=lambda x, m, s: x / 255),
            "The pixels are on the scale 0…1, but not normalised: the model was trained on numbers around 0 with "
            "deviation 1. Subtract the mean and divide by the deviation.",
        ),
        Mistake(
            "raw",
            way(prepare=lambda x, m, s: x.float()),
            "The model gets the bare bytes, 0 to 255. It was trained on normalised pixels: divide by 255, subtract the "
            "mean, divide by the deviation.",
        ),
        Mistake(
            "order",
            way(prepare=lambda x, m, s: x / 255 / s[:, None, None] - m[:, None, None]),
            "You divide by the deviation first and subtract the mean afterwards, so too little is taken away. First "
            "minus the mean, then divided: look at the brackets.",
        ),
        Mistake(
            "only_the_mean",
            way(prepare=lambda x, m, s: x / 255 - m[:, None, None]),
            "You subtract the mean and do not divide by the deviation: the contrast is a quarter of what the model "
            "knows.",
        ),
        Mistake(
            "channel_axis",
            way(prepare=lambda x, m, s: (x / 255 - m) / s),
            "mean is (C,), and torch lines shapes up from the right, so it stands against the image's *width*. Give it "
            "two more axes: (C, 1, 1). With images as wide as they have channels you would get no error, and nonsense.",
        ),
        Mistake(
            "probabilities",
            way(join=lambda parts: torch.cat(parts).softmax(1)),
            "These are probabilities. Logits are asked for: what the model returns. From logits you get the "
            "probabilities at any time, and the temperature later in this notebook needs logits.",
        ),
        Mistake(
            "last_dropped",
            way(cut=lambda images, size: images[: len(images) // size * size].split(size)),
            "The smaller last batch is missing: as many rows as full batches hold. In training one may drop it; a "
            "test set is measured whole.",
        ),
        Mistake(
            "last_only",
            way(join=lambda parts: parts[-1]),
            "Only the last batch's logits come back: each round overwrites the round before. Collect them in a list.",
        ),
        Mistake(
            "first_only",
            way(join=lambda parts: parts[0]),
            "Only the first batch's logits come back: the `return` stands in the loop. Move it out.",
        ),
        Mistake(
            "stacked_as_list",
            way(join=list),
            "You return a list of batches. Join them along the images: one tensor (N, num_classes).",
        ),
        Mistake(
            "at_once",
            way(cut=lambda images, size: [images]),
            "The logits are right, but all images go through the model at once: with 10,000 of them memory "
            "runs out. Take batch_size at a time.",
        ),
        Mistake(
            "shuffled",
            in_a_shuffled_order,
            "You shuffle. That is for training. Row 5 must belong to image 5, or labels and logits no longer fit "
            "together and the accuracy falls to a guess.",
        ),
    ],
    variants=[by_positions, into_a_table],
    solved="Mode, no graph, the training set's statistics, every image once, in order.",
)

EXERCISES = [PREDICT]
