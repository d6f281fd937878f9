"""`python -m vit_course predict`: what it prints, the picture it writes, and what it refuses."""

import pytest
import torch
from PIL import Image

from vit_course.__main__ import main
from vit_course.models.preprocess import Preprocess
from vit_course.models.pretrained import load_pretrained, save_pretrained
from vit_course.models.small_vgg import SmallVGG, SmallVGGConfig
from vit_course.models.vit import ViT, ViTConfig
from vit_course.recipes.records import weights_of

CLASSES = ("ant", "bee", "cow", "dog", "eel", "fox")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder, which is the current one too."""
    monkeypatch.setenv("VIT_COURSE_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def image(data):
    Image.new("RGB", (40, 20), "red").save(data / "red.png")
    return "red.png"


@pytest.fixture
def weights(data):
    """A net that says of every image: fox, eel, dog, cow, bee, each twice as sure as the next one."""
    model = SmallVGG(SmallVGGConfig(num_classes=6, stem=4, widths=(8, 8)))
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data = torch.arange(6) * torch.tensor(2.0).log()
    save_pretrained(model, data / "runs" / "mine-0.safetensors", Preprocess(size=(16, 16), classes=CLASSES))
    return "mine"


def test_the_top_five_and_a_picture(image, weights, data, capsys):
    assert main(["predict", image, image, "--weights", weights, "--picture", "out/seen.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[6] == "red.png" and lines[1:6] == lines[7:12]
    assert [line.split() for line in lines[1:3]] == [["50.79", "%", "fox"], ["25.40", "%", "eel"]]
    assert [line.split()[-1] for line in lines[1:6]] == ["fox", "eel", "dog", "cow", "bee"]
    with Image.open(data / "out" / "seen.png") as picture:
        assert picture.width > picture.height > 200 and len(picture.convert("RGB").getcolors(10**6)) > 100


def test_the_weights_that_come_with_the_course_are_found_by_name(image, capsys):
    assert main(["predict", image]) == 0
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.png"], "there is no file nowhere.png: give image files"),
        (["text.png"], "text.png cannot be read as an image"),
        (["folder"], "folder is a folder: give the image files in it, such as folder"),
        (["red.png", "--weights", "nothing"], "there is no file or folder 'nothing', and no weights of 'nothing' come"),
        (["red.png", "--weights", "text.png"], "text.png is damaged, cut off, or holds more than weights"),
        (["red.png", "--weights", "headless.safetensors"], "is a ViT without a head for classes"),
        (["red.png", "--picture", "seen.txt"], "--picture is seen.txt: give a name that ends in .png"),
    ],
)
def test_what_it_refuses(arguments, said, image, data, capsys):
    (data / "text.png").write_text("no image")
    (data / "folder").mkdir()
    model = ViT(ViTConfig(image_size=8, patch_size=4, num_classes=0, dim=8, depth=1, num_heads=1))
    save_pretrained(model, "headless.safetensors", Preprocess(size=(8, 8)))
    assert main(["predict", *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not (data / "predicted.png").exists()


def test_a_wide_photo_is_cut_and_not_squeezed():
    """The nets that come with the course were trained on square images."""
    wide = torch.zeros(3, 32, 96, dtype=torch.uint8)
    wide[:, :, 32:64] = 255
    _, preprocess = load_pretrained(weights_of("vgg-10min"))
    assert torch.equal(preprocess(wide), preprocess(torch.full((3, 32, 32), 255, dtype=torch.uint8)))
