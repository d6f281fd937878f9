"""Notebook 04, third part: measuring a model on all samples."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


@torch.no_grad()
def evaluate_by_hand(model: nn.Module, batches: list) -> tuple[float, float]:
    """Mean loss and accuracy over all samples."""
    model.eval()
    loss = correct = count = 0
    for images, labels in batches:
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
        count += len(labels)
    return loss / count, correct / count


def watched(answer: Callable, model: nn.Module, batches: list) -> dict:
    """An evaluation of a model that comes from training; also whether torch kept a graph for a backward pass."""
    recorded: list[bool] = []
    model.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    model.train()
    result = answer(model, batches)
    if is_blank(result) and not recorded:
        return result
    if not (isinstance(result, tuple | list) and len(result) == 2):
        raise Complaint("Return two Python numbers: the mean loss and the accuracy.")
    loss, accuracy = result
    return {"loss": loss, "accuracy": accuracy, "graph kept for a backward pass": "yes" if any(recorded) else "no"}


def uneven_batches() -> list[tuple]:
    """A model with batch norm, and batches of which the last is smaller; several sizes."""
    found = []
    for sizes, features, classes in (((4, 2), 3, 2), ((7, 7, 3), 5, 4), ((5,), 4, 3)):
        model = nn.Sequential(nn.Linear(features, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, classes))
        batches = []
        for size in sizes:
            images = torch.randn(size, features)
            labels = model.eval()(images).argmax(dim=1)  # right ones,
            labels[: max(1, size // 3)] += 1  # but for some
            batches.append((images, labels % classes))
        found.append((model, batches))
    return found


def way(
    *,
    mode: str | None = "eval",
    grad: bool = False,
    loss: str = "samples",
    accuracy: str = "samples",
    train: bool = False,
    exchanged: bool = False,
) -> Callable:
    """`evaluate_by_hand` with something done otherwise."""

    def answer(model, batches):
        if mode:
            model.train(mode == "train")
        losses, rights, sizes = [], [], []
        with torch.set_grad_enabled(grad):
            for images, labels in batches:
                logits = model(images)
                batch_loss = F.cross_entropy(logits, labels)
                if train:
                    model.zero_grad()
                    batch_loss.backward()
                    with torch.no_grad():
                        for p in model.parameters():
                            p -= 0.1 * p.grad
                losses.append(batch_loss.item())
                rights.append((logits.argmax(1) == labels).sum().item())
                sizes.append(len(labels))
        total, batch_count = sum(sizes), len(sizes)
        weighted = sum(one * size for one, size in zip(losses, sizes, strict=True))
        shares = [right / size for right, size in zip(rights, sizes, strict=True)]
        means = {
            "samples": weighted / total,
            "batches": sum(losses) / batch_count,
            "sum": weighted,
            "small": sum(losses) / total,
            "last": losses[-1],
            "first": losses[0],
        }
        accuracies = {
            "samples": sum(rights) / total,
            "batches": sum(shares) / batch_count,
            "percent": 100 * sum(rights) / total,
            "count": sum(rights),
            "full": sum(rights) / (sizes[0] * batch_count),
            "last": shares[-1],
            "first": shares[0],
        }
        pair = means[loss], accuracies[accuracy]
        return pair[::-1] if exchanged else pair

    return answer


def at_once(model: nn.Module, batches: list) -> tuple[float, float]:
    """Right: all images as one batch."""
    model.eval()
    with torch.inference_mode():
        logits = model(torch.cat([images for images, _ in batches]))
    labels = torch.cat([labels for _, labels in batches])
    loss = (logits.logsumexp(1) - logits[torch.arange(len(labels)), labels]).mean()
    return float(loss), float((logits.max(1).indices == labels).float().mean())


def mode_restored(model: nn.Module, batches: list) -> list[float]:
    was = model.training
    values = way()(model, batches)
    model.train(was)
    return list(values)


def sum_of_differences(model: nn.Module, batches: list) -> tuple[float, float]:
    model.train(False)
    images, labels = (torch.cat([batch[i] for batch in batches]) for i in (0, 1))
    with torch.no_grad():
        p: Tensor = model(images).softmax(dim=1)
    wrong = (p.argmax(1) - labels).ne(0).sum().item()
    return F.nll_loss(p.log(), labels).item(), 1 - wrong / len(labels)


EVALUATE = Exercise(
    name="evaluate_by_hand",
    notebook="04",
    title="Measure a model on all samples",
    reference=evaluate_by_hand,
    call=watched,
    probes=uneven_batches,
    hints=[
        "Two switches before the loop: the model's mode, and whether torch keeps a graph. Then three sums in the "
        "loop: losses, right answers, images. Two divisions at the end.",
        "`F.cross_entropy` gives the mean of a batch. Times the number of its images it is a sum again, and sums may "
        "be added.",
        "An answer is right where `logits.argmax(dim=1) == labels`. `@torch.no_grad()` above the function, or "
        "`with torch.no_grad():` around the loop, keeps no graph.",
    ],
    mistakes=[
        Mistake(
            "no_eval",
            way(mode=None),
            "The model is still in train mode: batch norm takes its statistics from the very batch that it is measured "
            "on, dropout drops, and the running statistics move. The same image gets other scores in other company. "
            "Switch the mode before the loop.",
        ),
        Mistake(
            "graph",
            way(grad=True),
            "The numbers are right, but torch has kept a graph of every batch for a backward pass that never comes: "
            "twice the memory, and time. Switch that off around the loop.",
        ),
        Mistake(
            "no_eval_and_graph",
            way(mode=None, grad=True),
            "Two switches are missing: the model is still in train mode, so batch norm and dropout work as in "
            "training, and torch keeps a graph that nobody needs.",
        ),
        Mistake(
            "batch_means",
            way(loss="batches", accuracy="batches"),
            "You average the means of the batches. The last batch is smaller, and its few images count as much as a "
            "full batch of others: both numbers depend on the batch size. Add up over images, divide once.",
        ),
        Mistake(
            "loss_of_batches",
            way(loss="batches"),
            "The accuracy is right. The loss is a mean of batch means: the small last batch counts as much as a full "
            "one. Weigh each batch's loss with the number of its images.",
        ),
        Mistake(
            "accuracy_of_batches",
            way(accuracy="batches"),
            "The loss is right. The accuracy is a mean of the batches' accuracies, so a right answer in the small last "
            "batch counts for more than one elsewhere. Count right answers, and divide once.",
        ),
        Mistake(
            "mixed_division",
            way(loss="small"),
            "You add up *means* of batches and divide by the number of *images*: the loss is too small by about the "
            "batch size. Make each batch's loss a sum before you add.",
        ),
        Mistake(
            "loss_summed",
            way(loss="sum"),
            "The loss is the sum over all images: twice the data, twice the loss, and no comparison with the training "
            "loss. Divide it by the number of images.",
        ),
        Mistake(
            "percent",
            way(accuracy="percent"),
            "The accuracy is in percent. In this course it is a share between 0 and 1; write it as percent where you "
            "print it: `f'{accuracy:.1%}'`.",
        ),
        Mistake(
            "count",
            way(accuracy="count"),
            "You return how many answers are right. Divide by the number of images.",
        ),
        Mistake(
            "all_full",
            way(accuracy="full"),
            "You divide by (number of batches) · (size of the first), as if every batch were full. The last one is "
            "not, so a perfect model would not reach 100 %. Count the images as they come.",
        ),
        Mistake(
            "last_batch",
            way(loss="last", accuracy="last"),
            "That is the last batch alone: the sums start anew in every round. Set them to zero before "
            "the loop, not in it.",
        ),
        Mistake(
            "first_batch",
            way(loss="first", accuracy="first"),
            "That is the first batch alone: your function returns in the first round already. Look at how far the "
            "`return` is indented.",
        ),
        Mistake(
            "exchanged",
            way(exchanged=True),
            "Both numbers are right, but they have changed places: the loss comes first, then the accuracy.",
        ),
        Mistake(
            "trains",
            way(mode="train", grad=True, train=True),
            "The model has learned from the images that it is measured on. Then the result says nothing about new "
            "ones, and the weights are no longer those that you wanted to measure. No `backward`, no step here.",
        ),
        Mistake(
            "trains_in_eval",
            way(grad=True, train=True),
            "Eval mode does not stop learning: it only changes batch norm and dropout. Your loop still goes backward "
            "and changes the weights, on validation images. Leave both lines out.",
        ),
    ],
    variants=[at_once, mode_restored, sum_of_differences],
    solved="Two switches, three sums, two divisions: the same number for every batch size.",
)

EXERCISES = [EVALUATE]
