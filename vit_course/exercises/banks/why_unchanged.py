"""Notebook 06, second part: how many answers of a network a change of its images leaves as they were."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def share_unchanged(model: nn.Module, batches: Iterable, change: Callable[[Tensor], Tensor]) -> float:
    """The share of images, 0…1, that get the same predicted class before and after `change(images)`."""
    return share()(model, batches, change)


TRAIN_MODE = (
    "The model works in train mode, as it came: dropout draws anew at each call, and batch norm uses the batch. Then "
    "answers change even if the images do not. Put it into evaluation mode before its first call."
)


def watched(answer: Callable, model: nn.Module, batches: Iterable, change: Callable[[Tensor], Tensor]) -> object:
    """The share; a complaint if the model was called in train mode, where chance decides what comes out."""
    modes = []
    model.register_forward_pre_hook(lambda module, inputs: modes.append(module.training))
    found = answer(model, batches, change)
    if any(modes) and not is_blank(found):
        raise Complaint(TRAIN_MODE)
    return found


def predicted(model: nn.Module, images: Tensor) -> Tensor:
    return model(images).argmax(dim=1)


def share(
    compare: Callable | None = None,
    collect: Callable = lambda parts: torch.cat(parts).float().mean().item(),
    mode: str | None = "eval",
) -> Callable:
    """`share_unchanged` with another comparison, another mean, or another mode of the model."""

    def same(model, images, labels, change):
        return predicted(model, images) == predicted(model, change(images))

    def answer(model, batches, change):
        if mode:
            model.train(mode == "train")
        with torch.no_grad():
            parts = [(compare or same)(model, images, labels, change) for images, labels in batches]
        return collect(parts)

    return answer


def counted(model: nn.Module, batches: Iterable, change: Callable[[Tensor], Tensor]) -> float:
    model.eval()
    same = total = 0
    for images, _ in batches:
        before, after = model(images).softmax(1), model(change(images)).softmax(1)
        same += (before.max(1).indices == after.max(1).indices).sum().item()
        total += len(images)
    return same / total


def images_per_class(model: nn.Module, batches: Iterable, change: Callable[[Tensor], Tensor]) -> float:
    """Wrong: compares which image fits each class best, and divides by the number of images."""
    model.eval()
    same = [(model(images).argmax(0) == model(change(images)).argmax(0)).sum().item() for images, _ in batches]
    return sum(same) / sum(len(images) for images, _ in batches)


def one_answer_a_batch(model: nn.Module, batches: Iterable, change: Callable[[Tensor], Tensor]) -> float:
    """Wrong: the place of the largest logit of a whole batch."""
    model.eval()
    same = [(model(images).argmax() == model(change(images)).argmax()).item() for images, _ in batches]
    return sum(same) / sum(len(images) for images, _ in batches)


def image_by_image(model: nn.Module, batches: Iterable, change: Callable[[Tensor], Tensor]) -> float:
    model.eval()
    hits = []
    for images, _ in batches:
        for image in images.split(1):
            hits.append(int(model(image).argmax()) == int(model(change(image)).argmax()))
    return sum(hits) / len(hits)


def networks_and_changes() -> list[tuple]:
    """Networks in train mode, with batch norm and dropout; batches of unequal size; labels that are often right."""
    found = []
    for sizes, classes in (((9, 4), 3), ((17, 16, 3), 4), ((13, 13, 2), 5)):
        model = nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(72, classes)
        )
        nn.init.normal_(model[1].running_mean)
        model.eval()
        batches = []
        for count in sizes:
            images = torch.randn(count, 2, 5, 6)
            with torch.no_grad():
                labels = predicted(model, images)
            batches.append((images, torch.where(torch.rand(count) < 0.7, labels, (labels + 1) % classes)))
        found.append((model.train(), batches, lambda images: images.roll(1, dims=3)))
    return found


SHARE_UNCHANGED = Exercise(
    name="share_unchanged",
    notebook="06",
    title="The share of answers that stay",
    reference=share_unchanged,
    probes=networks_and_changes,
    call=watched,
    result="share",
    axes={"images": "B C H W"},
    hints=[
        "For each batch: predict for the images, predict for `change(images)`, compare. The predicted class is where "
        "the logits (B, classes) are largest.",
        "The labels are not needed. The network's own answer is what it is compared with.",
        "`model.eval()` first. Count what is equal and how many images there were, over all batches, and divide once.",
    ],
    mistakes=[
        Mistake(
            "train_mode",
            share(mode=None),
            TRAIN_MODE,
        ),
        Mistake(
            "accuracy",
            share(compare=lambda model, images, labels, change: predicted(model, change(images)) == labels),
            "That is the accuracy on changed images. A wrong answer that *stays* the same wrong answer counts as "
            "unchanged: compare with the network's own answer, not with the label.",
        ),
        Mistake(
            "accuracy_before",
            share(compare=lambda model, images, labels, change: predicted(model, images) == labels),
            "That is the plain accuracy: the change is not used.",
        ),
        Mistake(
            "change_forgotten",
            share(compare=lambda model, images, labels, change: predicted(model, images) == predicted(model, images)),
            "You compare the network with itself on the same images: nothing can change. One of the two has to "
            "see `change(images)`.",
        ),
        Mistake(
            "batch_means",
            share(collect=lambda parts: sum(part.float().mean().item() for part in parts) / len(parts)),
            "You averaged the shares of the batches. The last batch is smaller, and its images count for more than the "
            "others. Count over all images, divide once.",
        ),
        Mistake(
            "last_batch",
            share(collect=lambda parts: parts[-1].float().mean().item()),
            "You return the last batch's share: the earlier ones are overwritten.",
        ),
        Mistake(
            "first_batch",
            share(collect=lambda parts: parts[0].float().mean().item()),
            "You return after the first batch. Look at where the `return` stands.",
        ),
        Mistake(
            "changed",
            share(collect=lambda parts: 1 - torch.cat(parts).float().mean().item()),
            "That is the share of answers that *change*. Asked is what stays.",
        ),
        Mistake(
            "counted",
            share(collect=lambda parts: float(torch.cat(parts).sum())),
            "You return how many answers stay, not which share of all images that is.",
        ),
        Mistake(
            "percent",
            share(collect=lambda parts: 100 * torch.cat(parts).float().mean().item()),
            "Right, but in percent. A share lies between 0 and 1, as accuracies do everywhere in the course.",
        ),
        Mistake(
            "logits",
            share(
                compare=lambda model, images, labels, change: (model(images) == model(change(images))).all(dim=1),
            ),
            "You compare the logits. They change with every pixel; the *answer* is the class whose logit is largest.",
        ),
        Mistake(
            "over_the_batch_axis",
            images_per_class,
            "Your argmax runs over axis 0: for each class, the image that fits it best. Logits are (B, classes); the "
            "class is found along axis 1.",
        ),
        Mistake(
            "over_the_batch_axis_mean",
            share(
                compare=lambda model, images, labels, change: (
                    model(images).argmax(dim=0) == model(change(images)).argmax(dim=0)
                )
            ),
            "You look along axis 0, the batch, so you compare as many numbers as there are classes. The class of an "
            "image is where its row of logits (B, classes) is largest: axis 1.",
        ),
        Mistake(
            "no_axis",
            one_answer_a_batch,
            "An argmax without `dim` gives one number for the whole batch. Each image has a row of logits and a class "
            "of its own: the largest along axis 1.",
        ),
        Mistake(
            "divided_by_batches",
            share(collect=lambda parts: sum(part.sum().item() for part in parts) / len(parts)),
            "You divide by the number of batches, so you return how many answers of a batch stay. Divide by the number "
            "of *images*.",
        ),
        Mistake(
            "both_right",
            share(
                compare=lambda model, images, labels, change: (
                    (predicted(model, images) == labels) & (predicted(model, change(images)) == labels)
                )
            ),
            "You count the answers that are right before and after. A wrong answer can stay the same as well; leave "
            "the labels out of it.",
        ),
    ],
    variants=[counted, image_by_image],
    solved="It needs no labels, and tells more than an accuracy: how much the network cares about what you changed.",
)

EXERCISES = [SHARE_UNCHANGED]
