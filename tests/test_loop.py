"""The training loop: sums over samples, any iterable, the best weights, and every way in which training stops."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vit_course.data.batches import Batches
from vit_course.data.dataset import Split
from vit_course.training.batch import check_batch, peek
from vit_course.training.loop import History, Metrics, Tally, evaluate, fit, train_one_epoch
from vit_course.training.optim import sgd, warm_up


def images_and_labels(count=60, classes=3, seed=0):
    """Images (count, 1, 4, 4) whose brightest row says the class; the last class is the rest."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    images = torch.randn(count, 1, 4, 4, generator=generator)
    images[torch.arange(count), 0, labels] += 2
    return images, labels


def batches_of(size, count=60, seed=0):
    images, labels = images_and_labels(count, seed=seed)
    return list(zip(images.split(size), labels.split(size), strict=True))


def model_for(classes=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, classes))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fit_quietly(model, *args, **options):
    return fit(model, *args, precision=torch.float32, live="none", **options)


def test_metrics_are_sums_over_samples():
    model, (images, labels) = model_for(), images_and_labels(7)
    with torch.no_grad():
        logits = model(images)
    loss, accuracy = evaluate(model, zip(images.split(4), labels.split(4), strict=True))  # batches of 4 and 3
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    assert accuracy == (logits.argmax(1) == labels).sum().item() / 7
    one, three = (F.cross_entropy(*part).item() for part in zip(logits.split(4), labels.split(4), strict=True))
    assert loss != pytest.approx((one + three) / 2, rel=1e-4), "the mean of batch means is the same here: no test"


def test_training_metrics_are_sums_over_samples_too():
    model = model_for()
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    found = train_one_epoch(model, batches_of(7), frozen)
    assert found == pytest.approx(evaluate(model, batches_of(60)), rel=1e-6)


def test_nothing_is_read_from_the_device_before_the_end():
    tally = Tally()
    logits = torch.zeros(4, 3, device="meta")  # a meta tensor has no values: reading one would raise
    tally.add(logits.sum(), logits, torch.zeros(4, dtype=torch.int64, device="meta"))
    tally.add(logits.sum(), logits, torch.zeros(4, 3, device="meta"))
    assert tally.samples == 8


def test_soft_labels_train_and_count_by_their_largest_share():
    images, labels = images_and_labels()
    soft = 0.7 * F.one_hot(labels, 3).float() + 0.3 * F.one_hot(labels.roll(1), 3).float()
    model = model_for()
    found = evaluate(model, [(images, soft)])
    assert found.accuracy == evaluate(model, [(images, labels)]).accuracy
    assert found.loss == pytest.approx(F.cross_entropy(model(images), soft).item(), rel=1e-6)
    history = fit_quietly(model, [(images, soft)] * 5, epochs=5, optimizer=sgd(model, lr=0.3))
    assert history.train_loss[-1] < history.train_loss[0] - 0.1
    smoothing = functools.partial(F.cross_entropy, label_smoothing=0.1)
    assert fit_quietly(model_for(), [(images, labels)], loss_fn=smoothing).train_loss[0] > 0


def data_loader():
    return DataLoader(TensorDataset(*images_and_labels()), batch_size=8, shuffle=True)


def our_batches():
    images, labels = images_and_labels()
    pixels = (images * 40 + 100).clamp(0, 255).to(torch.uint8)
    return Batches(Split(pixels, labels, (0.4,), (0.2,)), batch_size=8, shuffle=True)


@pytest.mark.parametrize("make", [data_loader, our_batches, lambda: batches_of(8)])
def test_any_iterable_of_batches_trains(make):
    model = model_for()
    history = fit_quietly(model, make(), make(), 12, optimizer=sgd(model, lr=0.1))
    assert len(history) == len(history.val_accuracy) == 12
    assert max(history.val_accuracy) > 0.85 > history.train_accuracy[0]


def test_an_iterator_trains_one_epoch_with_its_first_batch():
    seen = []
    history = fit_quietly(model_for(), (seen.append(i) or batch for i, batch in enumerate(batches_of(8))))
    assert len(history) == 1 and seen == list(range(8))
    with pytest.raises(ValueError, match=r"iterator, used up after one of 2 epochs: give a list"):
        fit_quietly(model_for(), iter(batches_of(8)), epochs=2)
    with pytest.raises(ValueError, match=r"iterator, used up after one of 2 epochs"):
        fit_quietly(model_for(), batches_of(8), iter(batches_of(8)), epochs=2)
    with pytest.raises(ValueError, match="there is no batch"):
        fit_quietly(model_for(), [])
    with pytest.raises(ValueError, match="there was no batch"):
        evaluate(model_for(), [])


def test_a_peek_changes_nothing():
    batches = our_batches()
    batches.epoch = 5
    _, same = peek(batches)
    assert same is batches and batches.epoch == 5
    torch.manual_seed(3)
    loader = data_loader()
    peek(loader)
    first = next(iter(loader))[1]
    torch.manual_seed(3)
    assert torch.equal(first, next(iter(loader))[1])


def test_validation_chooses_the_best_epoch_and_the_model_has_its_weights():
    model = model_for()
    rising_then_broken = sgd(model, lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(rising_then_broken, lambda step: 1 if step < 24 else -3)
    validation = batches_of(20, seed=1)
    history = fit_quietly(model, batches_of(8), validation, 5, optimizer=rising_then_broken, scheduler=scheduler)
    assert history.best_epoch in (2, 3) and history.val_accuracy[-1] < max(history.val_accuracy)
    assert evaluate(model, validation) == (
        history.val_loss[history.best_epoch - 1],
        history.val_accuracy[history.best_epoch - 1],
    )


def test_best_epoch_of_equals_is_the_one_of_lower_loss_and_then_the_first():
    history = History()
    assert history.best_epoch == 0
    for loss, accuracy in ((0.9, 0.5), (0.8, 0.7), (0.7, 0.7), (0.7, 0.7), (0.1, 0.6)):
        history.append(Metrics(1.0, 1.0), Metrics(loss, accuracy))
    assert history.best_epoch == 3
    plain = History()
    plain.append(Metrics(1.0, 0.5))
    plain.append(Metrics(2.0, 0.1))
    assert plain.best_epoch == 2


def test_the_scheduler_is_stepped_every_batch():
    model = model_for()
    optimizer = sgd(model, lr=1.0)
    scheduler = warm_up(optimizer, 16, then="linear", share=0)
    fit_quietly(model, batches_of(8), epochs=1, optimizer=optimizer, scheduler=scheduler)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


class Interrupted(list):
    """Batches that end in Ctrl-C in one epoch."""

    def __init__(self, batches, epoch):
        super().__init__(batches)
        self.epoch_of_interrupt, self.passes = epoch + 1, 0  # fit's look at the first batch is a pass, too

    def __iter__(self):
        self.passes += 1
        yield from self[:4]
        if self.passes == self.epoch_of_interrupt:
            raise KeyboardInterrupt
        yield from self[4:]


def test_an_interrupt_keeps_the_best_weights_and_the_history_and_says_so(capsys):
    model, reference = model_for(), model_for()
    history = fit_quietly(model, Interrupted(batches_of(8), epoch=3), batches_of(20, seed=1), 9)
    expected = fit_quietly(reference, batches_of(8), batches_of(20, seed=1), 2)
    assert history == expected and torch.equal(weights(model), weights(reference))
    assert capsys.readouterr().out == (
        "Stopped in epoch 3 of 9. The model has its best weights, those of epoch "
        f"{expected.best_epoch}; the history holds 2 epochs.\n"
    )


def test_an_interrupt_in_the_first_epoch_says_that_nothing_is_finished(capsys):
    assert len(fit_quietly(model_for(), Interrupted(batches_of(8), epoch=1), epochs=2)) == 0
    assert "Stopped in epoch 1 of 2. No epoch was finished" in capsys.readouterr().out


def breaking_in(call):
    """A loss that is nan in its `call`-th call, which is to be its last."""
    calls = []

    def loss_fn(logits, labels):
        calls.append(1)
        assert len(calls) <= call, "a batch was computed after the nan"
        return F.cross_entropy(logits, labels) * (float("nan") if len(calls) == call else 1)

    return loss_fn


def test_a_nan_loss_stops_with_step_causes_and_rate_and_gives_the_best_weights_back():
    model, reference = model_for(), model_for()
    with pytest.raises(FloatingPointError) as raised:
        fit_quietly(model, batches_of(8), epochs=4, loss_fn=breaking_in(8 + 3), optimizer=sgd(model, lr=0.123))
    message = str(raised.value)
    assert message.startswith("the loss is nan at step 3 of epoch 2. Likely causes")
    for cause in ("learning rate that is too high", "nan or inf in the images", "float16 without", "rate was 0.12"):
        assert cause in message
    assert "has its best weights, those of epoch 1" in message
    fit_quietly(reference, batches_of(8), epochs=1, optimizer=sgd(reference, lr=0.123))
    assert torch.equal(weights(model), weights(reference))


def test_a_nan_loss_is_found_at_the_end_of_the_epoch_where_looking_costs_time(monkeypatch):
    tally, logits, labels = Tally(where=" of epoch 7"), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
    with monkeypatch.context() as patched:
        patched.setattr(Tally, "_check", lambda *_: None)  # as on a GPU
        for loss in (1.0, 2.0, float("inf"), 1.0):
            tally.add(torch.tensor(loss), logits, labels)
    with pytest.raises(FloatingPointError, match="the loss is inf at step 3 of epoch 7"):
        tally.metrics()


def test_a_learning_rate_far_too_high_diverges_into_that_message():
    model = model_for()
    with pytest.raises(FloatingPointError, match=r"step \d+ of epoch \d+. Likely causes"):
        fit_quietly(model, batches_of(8), epochs=50, optimizer=torch.optim.SGD(model.parameters(), lr=1e9))


def test_a_first_batch_that_does_not_fit_the_model_is_named():
    model, (images, labels) = model_for(), images_and_labels(6)
    wrong = {
        "label 5 is out of range: the model has 3 outputs, for labels 0 to 2": (images, labels + 3 - labels + 2),
        "label -1 is out of range": (images, labels - labels - 1),
        r"images are torch.uint8: give floats": (images.to(torch.uint8), labels),
        "nan or inf in the images of the first batch": (images / 0, labels),
        r"labels are torch.float32 \(6,\): give int64 \(6,\)": (images, labels.float()),
        r"labels are torch.int64 \(5,\)": (images, labels[:5]),
        r"soft labels are \(6, 4\), logits \(6, 3\)": (images, torch.zeros(6, 4)),
    }
    for message, batch in wrong.items():
        with pytest.raises(ValueError, match=message):
            fit_quietly(model, [batch])
    with pytest.raises(ValueError, match=r"the model returned \(2, 4, 2, 2\): return logits"):
        check_batch(model[0], images, labels)
    with pytest.raises(ValueError, match="a batch is Tensor: give pairs"):
        fit_quietly(model, [images])
    with pytest.raises(ValueError, match=r"the model is on cpu, its batches on meta: model.to\('meta'\) first"):
        check_batch(model, images.to("meta"), labels)
