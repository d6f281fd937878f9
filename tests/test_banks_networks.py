"""Wrong answers to the exercises of notebooks 14 and 16, as learners write them."""

import copy
import math
from math import comb

import pytest
import torch
from torch import nn

from vit_course.exercises.core import examine


def left_closed(probabilities, labels, bins):
    confidence, answers = probabilities.max(dim=1)
    total = 0.0
    for b in range(bins):
        inside = (confidence >= b / bins) & (confidence < (b + 1) / bins)
        if inside.any():
            right = (answers[inside] == labels[inside]).float().mean()
            total += inside.sum().item() * (confidence[inside].mean() - right).abs().item()
    return total / len(labels)


def bin_by_bin(probabilities, labels, bins):
    confidence, answers = probabilities.max(dim=1)
    where = (confidence * bins).long()
    gaps = [confidence[where == b].sum() - (answers == labels)[where == b].sum() for b in where.unique()]
    return sum(gap.abs() for gap in gaps) / len(labels)


def paired(p):
    """`paired_p` with `p(n, k)`."""

    def answer(correct_a, correct_b):
        a, b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
        return p(a + b, min(a, b))

    return answer


def predicted(prepare, mode=None):
    @torch.no_grad()
    def answer(model, images, mean, std, batch_size):
        if mode is not None:
            model.train(mode)
        mean, std = mean[:, None, None], std[:, None, None]
        return torch.cat([model(prepare(part / 255, mean, std)) for part in images.split(batch_size)])

    return answer


def features(*, before=lambda model: None, after=lambda model, kept: None, mode=False, times=1):
    """`features_before_head` that leaves something behind, or is off in another way."""

    @torch.no_grad()
    def answer(model, images, batch_size):
        kept = []
        model.train(mode)
        before(model)
        hook = model.head.register_forward_pre_hook(lambda _, inputs: kept.append(times * inputs[0]))
        for batch in images.split(batch_size):
            model(batch)
        hook.remove()
        after(model, kept)
        return torch.cat(kept)

    return answer


def patched(model, images, batch_size, put_back):
    kept, forward = [], model.head.forward
    model.eval()
    model.head.forward = lambda x: forward(kept.append(x.detach()) or x)
    for batch in images.split(batch_size):
        model(batch)
    if put_back:
        model.head.forward = forward
    return torch.cat(kept)


@torch.no_grad()
def without_head(model, images, batch_size):
    model.head, model.old_head = nn.Identity(), model.head
    found = torch.cat([model.eval()(batch) for batch in images.split(batch_size)])
    model.head = model.old_head
    return found


def standardised(guard):
    def answer(train, test):
        mean, std = train.mean(dim=0), guard(train.std(dim=0, correction=0))
        return (train - mean) / std, (test - mean) / std

    return answer


def overwritten(train, test):
    for _ in range(2):
        mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
        result, train = train, (train - mean) / torch.where(std > 0, std, 1.0)
    return result, (test - mean) / torch.where(std > 0, std, 1.0)


def other_head(layer):
    def answer(model, num_classes):
        new = copy.deepcopy(model)
        new.head = layer(model.head.in_features, num_classes).to(model.head.weight)
        return new

    return answer


def one_more_layer(model):
    model.requires_grad_(False)
    for parameter in (*model.head.parameters(), model.body[0].bias):
        parameter.requires_grad = True
    model.body.train = lambda mode=True: model.body
    return model


def nothing(*_):
    print(end="")


CASES = {
    "left-closed bins": ("calibration_error", left_closed, "ends_early", "falls into none of your bins"),
    "a bin for 1.0": ("calibration_error", bin_by_bin, "bin_too_many", "a bin of their own"),
    "times 0.5**n": (
        "paired_p",
        paired(lambda n, k: min(1, 2 * sum(comb(n, i) * 0.5**n for i in range(k + 1)))),
        "times_a_float",
        "has hundreds of digits",
    ),
    "2.0 times": (
        "paired_p",
        paired(lambda n, k: min(1, 2.0 * sum(comb(n, i) for i in range(k + 1)) / 2**n)),
        "times_a_float",
        "times 2.0",
    ),
    "by 2.0**n": (
        "paired_p",
        paired(lambda n, k: min(1, sum(2 * comb(n, i) / 2.0**n for i in range(k + 1)))),
        "by_a_float",
        "larger than any float",
    ),
    "one tail, times 0.5**n": (
        "paired_p",
        paired(lambda n, k: sum(comb(n, i) * 0.5**n for i in range(k + 1))),
        "one_sided",
        "also stops it with an error: `OverflowError",
    ),
    "not divided": (
        "paired_p",
        paired(lambda n, k: 2.0 * sum(comb(n, i) for i in range(k + 1))),
        "not_divided",
        "n coins fall in 2ⁿ ways",
    ),
    "in train mode": ("predict_images", predicted(lambda x, m, s: (x - m) / s), "no_eval", "still in train mode"),
    "in train mode, not divided": (
        "predict_images",
        predicted(lambda x, m, s: x - m),
        None,
        "the model was in training mode while it ran",
    ),
    "features in train mode, doubled": (
        "features_before_head",
        features(mode=True, times=2),
        None,
        "evaluation mode, `model.eval()`, before the first batch.",
    ),
    "an attribute": (
        "features_before_head",
        features(after=lambda model, kept: setattr(model, "found", kept)),
        None,
        "Left on the model: the attribute `model.found`, expected nothing.",
    ),
    "a hook on the model": (
        "features_before_head",
        features(before=lambda model: model.register_forward_hook(nothing)),
        None,
        "Left on the model: a hook on `model`, expected nothing.",
    ),
    "two hooks inside": (
        "features_before_head",
        features(before=lambda model: [model.body[1].register_forward_hook(nothing) for _ in range(2)]),
        None,
        "Left on the model: 2 hooks on `model.body.1`, expected nothing.",
    ),
    "a hook on the head": (
        "features_before_head",
        features(before=lambda model: model.head.register_forward_hook(nothing)),
        "hook_left",
        "still on the head",
    ),
    "forward patched": (
        "features_before_head",
        lambda model, images, batch_size: patched(model, images, batch_size, put_back=False),
        None,
        "Left on the model: the attribute `model.head.forward`, expected nothing.",
    ),
    "a second name for the head": (
        "features_before_head",
        without_head,
        None,
        "Left on the model: the module `model.old_head`, expected nothing.",
    ),
    "a copy of the head": (
        "features_before_head",
        features(after=lambda model, kept: setattr(model, "head", copy.deepcopy(model.head))),
        None,
        "The model's head afterwards: another (`Linear`), expected its own.",
    ),
    "train overwritten": ("standardise_features", overwritten, "train_only", "keep both numbers before you do"),
    "1e-8": ("standardise_features", standardised(lambda std: std + 1e-8), "tiny_1e-08", "0.5 gets 50,000,000 there"),
    "1e-12": (
        "standardise_features",
        standardised(lambda std: std + 1e-12),
        "tiny_1e-12",
        "a tiny number, 0.000000000001 here",
    ),
    "1e-5": ("standardise_features", standardised(lambda std: std + 1e-5), "added_1e-05", "*every* deviation"),
    "1e-3 at least": (
        "standardise_features",
        standardised(lambda std: std.clamp(min=1e-3)),
        "tiny_0.001",
        "a tiny number, 0.001 here",
    ),
    "1e-5 under the root": (
        "standardise_features",
        standardised(lambda std: (std**2 + 1e-5).sqrt()),
        "under_the_root_1e-05",
        "a tiny number, 0.00316 here",
    ),
    "no network": ("keep_body", lambda model: 3, None, "gives back a number. A network is asked for, an `nn.Module`."),
    "a body's bias": (
        "keep_body",
        one_more_layer,
        None,
        "Parameters that learn: `body.0.bias`, `head.weight`, `head.bias`, expected `head.weight`, `head.bias`.",
    ),
    "a head in a Sequential": (
        "other_classes",
        other_head(lambda D, C: nn.Sequential(nn.Dropout(), nn.Linear(D, C))),
        None,
        "The new head has no `head.weight` and no `head.bias`; what stands there is `Sequential`, with "
        "`head.1.weight` (2, 5), `head.1.bias` (2,).",
    ),
    "no head": ("other_classes", lambda model, _: model.body, None, "What came back is a Sequential that lacks"),
}
NO_RETURN = ("features_before_head", "keep_body", "other_classes")
CASES |= {
    f"no return in {name}": (name, nothing, None, "Your function gives back `None`: is the `return` missing?")
    for name in NO_RETURN
}


@pytest.mark.parametrize(("name", "answer", "mistake", "message"), CASES.values(), ids=CASES.keys())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_said_is_true_of_the_answer(name, answer, mistake, message):
    report = examine(name, answer)
    assert report.status == "wrong" and report.mistake == mistake, report
    assert message.lower() in report.message.lower(), report


def in_logarithms(n, k):
    terms = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * sum(map(math.exp, terms)))


def by_scipy(n, k):
    stats = pytest.importorskip("scipy.stats")
    return stats.binomtest(k, n, 0.5).pvalue if n else 1.0


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("paired_p", paired(in_logarithms)),
        ("paired_p", paired(by_scipy)),
        ("paired_p", paired(lambda n, k: min(1, sum(2 * comb(n, i) / 2**n for i in range(k + 1))))),
        ("predict_images", predicted(lambda x, m, s: (x - m) / s, mode=False)),
        ("features_before_head", features()),
        ("features_before_head", lambda model, images, size: patched(model, images, size, put_back=True)),
        ("standardise_features", standardised(lambda std: torch.where(std > 1e-6, std, 1.0))),
    ],
)
def test_other_right_answers_pass(name, answer):
    assert examine(name, answer).status == "solved"
