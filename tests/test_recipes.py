"""Recipes: the table, what a recipe builds, its runs and their records, and runs that are killed and go on."""

import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from recipe_data import write_folder
from recipe_run import TINY
from safetensors.torch import load_file
from torch.nn import functional as F

from vit_course.__main__ import main
from vit_course.data import load
from vit_course.data.batches import Batches
from vit_course.models.pretrained import load_pretrained
from vit_course.models.small_vgg import SmallVGG, SmallVGGConfig
from vit_course.recipes import RECIPES, AdamW, Recipe, named, record_of, records
from vit_course.recipes import run as running
from vit_course.recipes.records import predictions_of, weights_of
from vit_course.recipes.run import Mirrored, Stopwatch, in_minutes, ship, train
from vit_course.recipes.starts import STARTS, fixed_scale, identity, sine, whiten
from vit_course.training import checkpoint

PROGRAM = Path(__file__).with_name("recipe_run.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset")
    write_folder(path, 100)
    return path


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty data folder: where checkpoints go."""
    monkeypatch.setenv("VIT_COURSE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def tiny(folder, **changes):
    return dataclasses.replace(TINY, dataset=str(folder), **changes)


def quietly(recipe, **options):
    return train(recipe, live="none", **options)


# The table


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_name_a_sentence_and_a_model_that_learns(name):
    recipe = RECIPES[name]
    assert (
        recipe.name == name
        and recipe.about.endswith(".")
        and recipe.as_dict() == json.loads(json.dumps(recipe.as_dict()))
    )
    model = recipe.build(load_like(recipe), 0)
    optimizer = recipe.optimizer(model)
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    before = F.cross_entropy(model(images), labels)
    assert before.item() < 2 * math.log(10)
    before.backward()
    optimizer.step()
    model.zero_grad()
    assert F.cross_entropy(model(images), labels).isfinite()
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in model.parameters() if p.requires_grad}


def load_like(recipe, count=64):
    """A dataset of noise with the shape that the recipe's own has."""
    from vit_course.data.dataset import Dataset, Split

    images = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    split = Split(images, torch.arange(count) % 10, (0.5,) * 3, (0.3,) * 3)
    return Dataset(recipe.dataset, [str(i) for i in range(10)], split, split)


def test_an_unknown_recipe_is_named_with_those_spelled_alike(capsys):
    with pytest.raises(ValueError, match=r"no recipe 'vit-10mins': did you mean vit-10min"):
        named(RECIPES, "vit-10mins")
    assert main(["train", "vgg-10mins"]) == 1
    assert "did you mean vgg-10min" in capsys.readouterr().err


def test_the_command_lists_recipes_with_what_they_are_for(capsys):
    assert main(["train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RECIPES) and any(line.startswith("vit-10min ") for line in lines)


def test_a_recipe_prints_every_field():
    text = str(TINY)
    assert len(text.splitlines()) == len(dataclasses.fields(Recipe))
    for part in ("Muon(lr=0.02", "ViTConfig(image_size=8", "RandomCrop(padding=1", "epochs           3"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0: give a whole number, 1 or more"),
        ({"epochs": 2.5}, r"epochs is 2.5: give a whole number"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"fraction": 0.0}, "fraction 0.0"),
        ({"held_out": 1.0}, "held_out 1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing -0.1"),
        ({"precision": "float8"}, "precision is 'float8': use one of float32, bfloat16, float16"),
        ({"then": "up"}, "then is 'up': use one of linear, cosine"),
        ({"starts": ("warm",)}, "there is no start 'warm': use one of identity, whiten, fixed_scale, sine"),
    ],
)
def test_a_recipe_out_of_range_is_named(changes, message):
    with pytest.raises(ValueError, match=f"tiny: .*{message}"):
        dataclasses.replace(TINY, **changes)


def test_a_model_for_another_image_size_is_named(folder):
    with pytest.raises(ValueError, match=r"the model is for images of 12, those of .* are 8×8"):
        dataset = load(folder)
        tiny(folder, model=dataclasses.replace(TINY.model, image_size=12)).build(dataset, 0)


# What a recipe builds


def test_the_seed_decides_the_first_weights_and_the_dataset_the_head(folder):
    dataset = load(folder)
    recipe = tiny(folder, model=dataclasses.replace(TINY.model, num_classes=10))
    one, same, other = (recipe.build(dataset, seed).state_dict() for seed in (0, 0, 1))
    assert one["head.weight"].shape == (2, 16)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_fractions_and_held_out_images_are_disjoint_stratified_and_the_same_for_every_seed(folder):
    dataset = load(folder)  # 80 to train on
    train_split, validation = tiny(folder, fraction=0.5, held_out=0.25).splits(dataset)
    assert (len(train_split), len(validation)) == (30, 10)
    assert train_split.labels.bincount().tolist() == [15, 15]
    both = torch.cat([train_split.images, validation.images]).flatten(1)
    assert len(both.unique(dim=0)) == 40
    again = tiny(folder, fraction=0.5, held_out=0.25).splits(dataset)[0]
    assert torch.equal(train_split.images, again.images)
    assert tiny(folder).splits(dataset) == (dataset.train, None)


@pytest.mark.parametrize("channels", [24, 128])
def test_a_whitened_layer_gives_uncorrelated_outputs(channels):
    """On correlated images. 24: 12 eigenvectors and their negatives, of 27; 128: mixtures of all."""
    torch.manual_seed(0)
    images = F.interpolate(torch.randn(200, 3, 8, 8), size=32, mode="bilinear") + 0.05 * torch.randn(200, 3, 32, 32)
    size = {"kernel_size": 3, "padding": 1} if channels == 24 else {"kernel_size": 4, "stride": 4}
    layer = torch.nn.Conv2d(3, channels, **size)
    whiten(torch.nn.Sequential(layer), images, eps=1e-6)
    out = layer(images)[:, :, 1:-1, 1:-1].transpose(0, 1).flatten(1)  # without the padded border
    if channels == 24:
        torch.testing.assert_close(out[:12], -out[12:])
        covariance = out[:12] @ out[:12].T / out.shape[1]
        torch.testing.assert_close(covariance, torch.eye(12), atol=0.1, rtol=0)
    else:
        assert out.square().mean().item() == pytest.approx(1.0, abs=0.15)
        assert torch.linalg.matrix_rank(out, rtol=1e-3) == 48
    assert not layer.bias.any()


def test_sine_positions_are_a_start_for_learned_ones_and_leave_the_class_token():
    model = TINY.build(load_like_8(), 0)
    before = model.pos_embed.clone()
    sine(model, None, size=0.5)
    assert torch.equal(model.pos_embed[:, :1], before[:, :1])
    assert model.pos_embed[:, 1:].square().mean().item() == pytest.approx(0.125, rel=1e-4)  # 0.5² · mean of sin²
    assert isinstance(model.pos_embed, torch.nn.Parameter)
    fixed = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, positions="none"), starts=("sine",))
    with pytest.raises(ValueError, match="is for a ViT with learned positions"):
        fixed.build(load_like_8(), 0)


def test_identity_passes_on_what_a_kernel_gets():
    torch.manual_seed(0)
    model = SmallVGG(SmallVGGConfig(stem=4, widths=(4, 6)))
    stem = model.stem[0].weight.clone()
    identity(model, None)
    assert torch.equal(model.stem[0].weight, stem)
    for stage in model.stages:
        for kernel in (stage[0], stage[4]):
            images = torch.randn(2, kernel.in_channels, 8, 8)
            out = kernel(images)
            torch.testing.assert_close(out[:, : kernel.in_channels], images)
            assert (out[:, kernel.in_channels :] != 0).all()
    with pytest.raises(ValueError, match="is for a SmallVGG's stages"):
        identity(torch.nn.Linear(2, 2), None)


def test_fixed_scale_leaves_the_first_filters_and_the_gains_out_of_training():
    model = SmallVGG(SmallVGGConfig(stem=4, widths=(4, 6)))
    fixed_scale(model, None)
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    gains = [f"stages.{stage}.{norm}.weight" for stage in (0, 1) for norm in (2, 5)]
    assert fixed == ["stem.0.weight", *gains]
    with pytest.raises(ValueError, match="is for a SmallVGG's stem and norms"):
        fixed_scale(torch.nn.Linear(2, 2), None)


def load_like_8():
    dataset = load_like(TINY)
    small = dataclasses.replace(dataset.train, images=dataset.train.images[:, :, :8, :8].contiguous())
    return dataclasses.replace(dataset, train=small)


def test_starts_see_the_images_that_are_trained_on(monkeypatch):
    seen = []
    monkeypatch.setitem(STARTS, "sine", lambda model, images: seen.append(images))
    dataset = load_like_8()
    recipe = dataclasses.replace(TINY, starts=("sine",), fraction=0.5)
    recipe.build(dataset, 0)
    split = recipe.splits(dataset)[0]
    assert torch.equal(seen[0], Batches(split, 99).normalise(split.images)) and len(split) < 64


def test_the_mirrored_classifier_does_not_care_about_left_and_right():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    images = torch.randn(3, 3, 4, 4)
    mirrored = Mirrored(model)
    torch.testing.assert_close(mirrored(images), mirrored(images.flip(3)))
    torch.testing.assert_close(mirrored(images).exp().sum(1), torch.ones(3))
    expected = (model(images).softmax(1) + model(images.flip(3)).softmax(1)) / 2
    torch.testing.assert_close(mirrored(images).exp(), expected)


# Runs and records


def test_a_run_is_what_its_recipe_says(folder, data):
    """The same steps written out, from the same parts: equal weights, curve and accuracy."""
    recipe = tiny(folder, seeds=1, label_smoothing=0.2, then="cosine", warm_up=0.3)
    (run,) = quietly(recipe)
    dataset = load(folder)
    model = recipe.build(dataset, 0)
    optimizer = recipe.optimizer(model)
    rates = [group["lr"] for group in optimizer.param_groups]
    batches = Batches(dataset.train, 16, shuffle=True, augment=recipe.augment, seed=0)
    step, steps, losses = 0, 3 * 5, []
    for _ in range(3):
        total = 0.0
        for images, labels in batches:
            rising = round(0.3 * steps)  # 4
            done = (step - rising) / (steps - rising)
            factor = (step + 1) / (rising + 1) if step < rising else (1 + math.cos(math.pi * done)) / 2
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            step += 1
        losses.append(total / 80)
    assert run["curve"]["train_loss"] == pytest.approx(losses, rel=1e-3)
    kept = checkpoint.load(recipe.build(dataset, 1), data / "runs" / "tiny-0.safetensors")
    model.eval()
    ((images, labels),) = Batches(dataset.test, 500)
    accuracy = (kept.eval()(images).argmax(1) == labels).float().mean().item()
    assert run["test_accuracy"] == pytest.approx(accuracy) and run["parameters"] == sum(
        p.numel() for p in model.parameters()
    )
    assert run["test_loss"] == pytest.approx(F.cross_entropy(kept(images), labels).item(), rel=1e-5)
    torch.testing.assert_close(kept.head.weight, model.head.weight, rtol=0.02, atol=2e-3)
    assert not (data / "runs" / "tiny-0.pt").exists(), "the checkpoint of a finished run stays behind"


@pytest.mark.parametrize("model", [TINY.model, SmallVGGConfig(stem=4, widths=(8, 8))])
def test_weights_that_come_with_the_course_say_the_same_when_they_are_read_again(folder, data, tmp_path, model):
    recipe = tiny(folder, model=model, starts=(), seeds=1)
    quietly(recipe, record=True, folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no weights of 'tiny' come with .* those of: none"):
        weights_of("tiny", tmp_path)
    assert ship(recipe, folder=tmp_path) == weights_of("tiny", tmp_path)
    assert weights_of("tiny", tmp_path).stat().st_size < 0.7 * (data / "runs" / "tiny-0.safetensors").stat().st_size
    shipped, preprocess = load_pretrained(weights_of("tiny", tmp_path))
    test, said = load(folder).test, predictions_of("tiny", tmp_path)
    assert next(shipped.parameters()).dtype == torch.float32 and preprocess.classes == tuple(load(folder).classes)
    with torch.no_grad():
        torch.testing.assert_close(said.logits, shipped(preprocess(test.images)), rtol=2e-3, atol=2e-3)
    assert torch.equal(said.labels, test.labels)


def test_a_run_that_is_not_there_cannot_come_with_the_course(folder, data, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiny-3\.safetensors is not there: .* train tiny --ship"):
        ship(tiny(folder), seed=3, folder=tmp_path)


def test_the_record_holds_the_recipe_every_seed_and_where_it_ran(folder, data, tmp_path, capsys):
    recipe = tiny(folder)
    runs = quietly(recipe, record=True, folder=tmp_path)
    record = record_of("tiny", tmp_path)
    assert record["runs"] == runs and [run["seed"] for run in runs] == [0, 1]
    assert record["recipe"] == recipe.as_dict() and record["recipe"]["optimizer"]["kind"] == "Muon"
    assert record["recipe"]["augment"]["steps"][1] == {"kind": "HorizontalFlip", "p": 0.5}
    assert record["command"] == "python -m vit_course train tiny --record --seeds 2"
    accuracies = [run["test_accuracy"] for run in runs]
    found = record["summary"]["test_accuracy"]
    assert found == {"mean": statistics.mean(accuracies), "sd": statistics.stdev(accuracies)}
    for run in runs:
        assert len(run["curve"]["train_loss"]) == 3 and run["curve"]["val_loss"] == []
        assert run["cpu_seconds"] > 0 and 0 < run["seconds"] < 100
        assert run["machine"]["threads"] == torch.get_num_threads() and run["versions"]["torch"] in torch.__version__
        assert run["commit"] is None or len(run["commit"].removesuffix("+changes")) == 40
    text = (tmp_path / "tiny.json").read_text(encoding="utf-8")
    assert os.uname().nodename not in text.replace(str(folder), "") if hasattr(os, "uname") else True
    assert str(data) not in text
    assert capsys.readouterr().out.count("tiny, seed ") == 2


def test_seeds_accumulate_and_none_is_run_twice(folder, data, tmp_path, monkeypatch):
    first = quietly(tiny(folder), seeds=1, record=True, folder=tmp_path)
    assert record_of("tiny", tmp_path)["summary"]["test_accuracy"]["sd"] is None
    seeds = []
    original = running.train_seed
    monkeypatch.setattr(
        running, "train_seed", lambda *args, **options: seeds.append(args[2]) or original(*args, **options)
    )
    both = quietly(tiny(folder), seeds=2, record=True, folder=tmp_path)
    assert seeds == [1] and both[:1] == first and record_of("tiny", tmp_path)["summary"]["seeds"] == 2


def test_a_record_from_before_a_part_got_another_field_is_still_of_this_recipe(folder, data, tmp_path):
    recipe = tiny(folder, seeds=1, epochs=1)
    quietly(recipe, record=True, folder=tmp_path)
    record = record_of("tiny", tmp_path)
    del record["recipe"]["model"]["norm_pre"], record["recipe"]["optimizer"]["renormalise"]
    (tmp_path / "tiny.json").write_text(json.dumps(record))
    assert records.runs_so_far(recipe, tmp_path) == record["runs"]
    with pytest.raises(ValueError, match=r"of another recipe \(model differ\)"):
        model = dataclasses.replace(recipe.model, norm_pre=True)
        records.runs_so_far(dataclasses.replace(recipe, model=model), tmp_path)


def test_a_record_of_another_recipe_is_not_added_to(folder, data, tmp_path):
    recipe = tiny(folder, seeds=1, epochs=1)
    quietly(recipe, record=True, folder=tmp_path)
    before = (tmp_path / "tiny.json").read_text()
    changed = dataclasses.replace(recipe, batch_size=8, optimizer=AdamW())
    with pytest.raises(ValueError, match=r"of another recipe \(batch_size, optimizer differ\): delete data/recorded"):
        quietly(changed, record=True, folder=tmp_path)
    assert (tmp_path / "tiny.json").read_text() == before
    assert records.runs_so_far(dataclasses.replace(recipe, about="Other words.", seeds=9), tmp_path)


def test_a_missing_record_is_named_with_those_that_are_there(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"no record of 'tiny'; recorded: other. `python -m vit_course train"):
        record_of("tiny", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"`python tests/measure_clip.py --record` makes one"):
        record_of("clip-shapes", tmp_path)


def test_held_out_images_validate_every_epoch(folder, data):
    (run,) = quietly(tiny(folder, seeds=1, held_out=0.25))
    assert len(run["curve"]["val_accuracy"]) == 3


def test_a_run_that_is_killed_and_resumed_ends_as_the_uninterrupted_one(folder, tmp_path):
    """Killed in the middle of the first seed's second epoch, then in the second seed, bit for bit."""
    ends = {}
    for name, kills in (("whole", [0]), ("killed", [8, 14, 0])):
        environment = os.environ | {"PYTHONPATH": str(PROGRAM.parents[1]), "VIT_COURSE_DATA": str(tmp_path / name)}
        for kill_at in kills:
            command = [sys.executable, str(PROGRAM), str(folder), str(tmp_path / name), str(kill_at)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
            assert done.returncode == (-9 if kill_at else 0), done.stderr
        runs = record_of("tiny", tmp_path / name)["runs"]
        files = [tmp_path / name / "runs" / f"tiny-{seed}.safetensors" for seed in (0, 1)]
        weights = [{key: tensor.tolist() for key, tensor in load_file(file).items()} for file in files]
        ends[name] = weights, [(run["curve"], run["test_loss"], run["test_accuracy"]) for run in runs]
    assert ends["whole"] == ends["killed"]


def test_the_stopwatch_goes_on_from_a_checkpoint():
    watch = Stopwatch()
    watch.load_state_dict({"seconds": 100.0, "cpu_seconds": 50.0})
    sum(range(200_000))
    time.sleep(0.02)
    found = watch.read()
    assert 100.02 <= found["seconds"] < 101 and 50 < found["cpu_seconds"] < 51


# The command


def test_minutes_scale_the_epochs_to_this_machine(folder, data, monkeypatch):
    recipe = tiny(folder)
    with pytest.raises(ValueError, match="minutes is 0: give a number above 0"):
        in_minutes(recipe, 0)
    for epoch_seconds, expected in ((2.0, 6), (120.0, 1)):  # of 5 batches, all of which the probe takes
        clock = iter((100.0, 100.0 + epoch_seconds))
        monkeypatch.setattr(running, "time", SimpleNamespace(perf_counter=lambda clock=clock: next(clock)))
        assert in_minutes(recipe, 0.2) == dataclasses.replace(recipe, epochs=expected)


def test_the_command_runs_a_recipe_and_refuses_what_makes_no_sense(folder, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(RECIPES, "tiny", tiny(folder, seeds=1, epochs=1))
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setenv("VIT_COURSE_LIVE", "none")
    assert main(["train", "tiny", "--record", "--minutes", "1"]) == 1
    assert "--record with --minutes" in capsys.readouterr().err
    assert main(["train", "tiny", "--ship", "--minutes", "1"]) == 1
    assert "--ship with --minutes" in capsys.readouterr().err
    assert main(["train", "tiny", "--ship"]) == 0 and weights_of("tiny", tmp_path).is_file()
    assert "tiny.safetensors comes with the course now" in capsys.readouterr().out
    (tmp_path / "tiny.json").unlink()
    assert main(["train", "tiny", "--seeds", "0"]) == 1
    assert "--seeds is 0" in capsys.readouterr().err
    assert main(["train", "tiny", "--seeds", "2", "--record", "--resume"]) == 0
    out = capsys.readouterr().out
    assert "batch_size       16" in out and "tiny, seed 1: test accuracy" in out
    assert record_of("tiny", tmp_path)["summary"]["seeds"] == 2
