"""Class folders of image files, of every kind, to and from tensors."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vit_course.data import Split, folders, images, load
from vit_course.data.dataset import channel_statistics


def png(path, colour="red", size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def some(root, counts, size=(8, 8)):
    for name, count in counts.items():
        for i in range(count):
            png(root / name / f"{i}.png", (i, len(name), 0), size)
    return root


def a_split(count=30, classes=3, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, channels, 5, 7), dtype=torch.uint8, generator=generator)  # not square
    labels = torch.randint(0, classes, (count,), generator=generator)
    return Split(pixels, labels, *channel_statistics(pixels))


# --- write and read back ---


def test_what_is_written_is_read_back_in_the_same_order(tmp_path):
    train, test, classes = a_split(30), a_split(20, seed=1), ["ant", "bee", "cat"]
    folders.write(train, classes, tmp_path / "train")
    folders.write(test, classes, tmp_path / "test")
    back = load(tmp_path)
    assert back.classes == classes and back.name == tmp_path.name
    for split, wrote in ((back.train, train), (back.test, test)):
        torch.testing.assert_close(split.images, wrote.images)
        torch.testing.assert_close(split.labels, wrote.labels)
        assert (split.mean, split.std) == (train.mean, train.std)
    assert (tmp_path / "train" / classes[int(train.labels[7])] / "00007.png").is_file()


def test_classes_are_sorted_and_labels_follow_their_names(tmp_path):
    wrote, classes = a_split(30), ["zebra", "ant", "Mole"]
    for part in ("train", "test"):
        folders.write(wrote, classes, tmp_path / part)
    back = load(tmp_path)
    assert back.classes == ["Mole", "ant", "zebra"]
    assert [back.classes[i] for i in back.train.labels] == [classes[i] for i in wrote.labels]


def test_grey_images_are_written_and_come_back_as_rgb(tmp_path):
    wrote = a_split(30, channels=1)
    for part in ("train", "test"):
        folders.write(wrote, ["a", "b", "c"], tmp_path / part)
    torch.testing.assert_close(load(tmp_path).train.images, wrote.images.expand(-1, 3, -1, -1))


def test_writing_twice_is_the_same_and_never_mixes_with_other_files(tmp_path):
    split = a_split()
    folders.write(split, ["a", "b", "c"], tmp_path)
    folders.write(split, ["a", "b", "c"], tmp_path)
    with pytest.raises(ValueError, match=r"holds other files already, such as .*give a new folder"):
        folders.write(split.subset(range(5)), ["a", "b", "c"], tmp_path)


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", "", "con", "NUL.txt", "what?", "end.", ".hidden"])
def test_a_class_name_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        folders.write(a_split(), [name, "b", "c"], tmp_path)


def test_other_bad_writes(tmp_path):
    with pytest.raises(ValueError, match="differ only in capitals"):
        folders.write(a_split(), ["Cat", "cat", "dog"], tmp_path)
    with pytest.raises(ValueError, match="4 channels"):
        folders.write(a_split(channels=4), ["a", "b", "c"], tmp_path)


# --- which files ---


def test_without_train_a_fifth_of_each_class_is_held_back_always_the_same(tmp_path):
    some(tmp_path, {"many": 20, "few": 5})
    one, two = load(tmp_path), load(tmp_path)
    assert one.classes == ["few", "many"]
    assert one.train.labels.bincount().tolist() == [4, 16] and one.test.labels.bincount().tolist() == [1, 4]
    torch.testing.assert_close(one.test.images, two.test.images)
    seen = {tuple(image.flatten().tolist()) for split in (one.train, one.test) for image in split.images}
    assert len(seen) == 25  # nothing twice, nothing lost
    assert one.train.mean == one.test.mean == channel_statistics(one.train.images)[0]


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_the_test_split_by_each_of_its_names(tmp_path, name):
    some(tmp_path / "train", {"a": 3, "b": 2})
    some(tmp_path / name, {"a": 1, "b": 1})
    dataset = load(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (5, 2)


def test_val_beside_test_is_left_alone_with_a_word(tmp_path, capsys):
    for name in ("train", "test", "val"):
        some(tmp_path / name, {"a": 3 if name == "train" else 1})
    assert len(load(tmp_path).test) == 1
    assert "val not read" in capsys.readouterr().out


def test_order_is_that_of_the_file_names_whatever_the_system_gives(tmp_path, monkeypatch):
    for name, i in (("b", 3), ("a", 2), ("b", 1), ("a", 0), ("a", 3)):
        png(tmp_path / "train" / name / f"{i:05d}.png", (i, 0, 0))
    some(tmp_path / "test", {"a": 1, "b": 1})
    expected = [0, 1, 2, 3, 3]
    walk = folders.os.walk
    backwards = lambda root: ((top, subs[::-1], names[::-1]) for top, subs, names in walk(root))  # noqa: E731
    for _ in range(2):
        dataset = load(tmp_path)
        assert dataset.train.images[:, 0, 0, 0].tolist() == expected
        assert dataset.train.labels.tolist() == [0, 1, 0, 0, 1]
        monkeypatch.setattr(folders.os, "walk", backwards)


def test_folders_within_a_class_and_capital_suffixes_are_read(tmp_path):
    some(tmp_path, {"a": 3, "b": 3})
    png(tmp_path / "a" / "more" / "deep.PNG")
    assert len(load(tmp_path).train) + len(load(tmp_path).test) == 7


def test_hidden_files_are_ignored_and_others_skipped_with_one_line(tmp_path, capsys):
    some(tmp_path, {"a": 3, "b": 3})
    for name in (".DS_Store", "a/.DS_Store", "a/Thumbs.db", "b/desktop.ini", ".git/config", "__MACOSX/a/0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert load(tmp_path).classes == ["a", "b"]
    assert capsys.readouterr().out == ""
    (tmp_path / "labels.txt").write_text("a, b")
    (tmp_path / "a" / "notes.md").write_text("x")
    load(tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: skipped 2 files that are no images or in no class, such as a/notes.md"
    ]


# --- every kind of image ---


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".webp", ".tif", ".ppm"])
def test_every_format_is_read(tmp_path, suffix):
    for i in range(3):
        png(tmp_path / "a" / f"{i}{suffix}", (200, 40, 80))
    pixel = load(tmp_path).train.images[0, :, 4, 4].float()
    assert (pixel - torch.tensor([200.0, 40.0, 80.0])).abs().max() < 8  # JPEG and WebP lose a little


def rgb(image, tmp_path, suffix=".png", **options):
    """The first pixel of an image as it comes out of a folder."""
    for i in range(3):
        path = tmp_path / "a" / f"{i}{suffix}"
        path.parent.mkdir(exist_ok=True)
        image.save(path, **options)
    return load(tmp_path).train.images[0, :, 0, 0].tolist()


def test_grey(tmp_path):
    assert rgb(Image.new("L", (4, 4), 90), tmp_path) == [90, 90, 90]


def test_black_and_white(tmp_path):
    assert rgb(Image.new("1", (4, 4), 1), tmp_path) == [255, 255, 255]


def test_palette(tmp_path):
    assert rgb(Image.new("RGB", (4, 4), (10, 20, 30)).quantize(4), tmp_path) == [10, 20, 30]


def test_palette_with_transparency_becomes_white(tmp_path):
    assert rgb(Image.new("P", (4, 4), 0), tmp_path, transparency=0) == [255, 255, 255]


@pytest.mark.parametrize(("alpha", "expected"), [(0, [255, 255, 255]), (255, [200, 0, 0]), (51, [244, 204, 204])])
def test_transparency_is_laid_over_white(tmp_path, alpha, expected):
    assert rgb(Image.new("RGBA", (4, 4), (200, 0, 0, alpha)), tmp_path) == expected


def test_grey_with_transparency(tmp_path):
    assert rgb(Image.new("LA", (4, 4), (0, 0)), tmp_path) == [255, 255, 255]


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32768, 128), (65535, 255)])
def test_sixteen_bits_are_scaled_not_cut_off(tmp_path, value, expected):
    assert rgb(Image.fromarray(np.full((4, 4), value, np.uint16)), tmp_path) == [expected] * 3


def test_cmyk(tmp_path):
    pixel = rgb(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path, ".jpg")
    assert pixel[0] > 240 and max(pixel[1:]) < 15  # no cyan: red


def test_photos_are_turned_upright_and_their_size_with_them(tmp_path):
    sideways = Image.new("RGB", (8, 4), "blue")
    sideways.paste("red", (0, 0, 4, 4))  # left half red
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    rgb(sideways, tmp_path, exif=exif.tobytes())
    image = load(tmp_path).train.images[0]
    assert image.shape == (3, 8, 4)
    assert image[:, 0, 0].tolist() == [255, 0, 0] and image[:, 7, 0].tolist() == [0, 0, 255]  # red on top


def test_floating_point_pixels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"0\.tif.*mode 'F' have no agreed range; save it with 8 or 16 bits"):
        rgb(Image.new("F", (4, 4), 0.5), tmp_path, ".tif")


# --- sizes ---


def test_mixed_sizes_take_the_commonest_with_a_line(tmp_path, capsys):
    some(tmp_path, {"a": 4}, size=(8, 6))
    png(tmp_path / "a" / "x.png", size=(20, 20))
    assert load(tmp_path).train.images.shape[1:] == (3, 6, 8)
    assert capsys.readouterr().out == (
        f"{tmp_path}: 1 of 5 images have another size; scaled and cropped around the middle to 8×6\n"
    )


def test_of_two_commonest_sizes_the_smaller_is_taken(tmp_path):
    some(tmp_path, {"a": 3}, size=(9, 9))
    some(tmp_path, {"b": 3}, size=(5, 5))
    assert load(tmp_path).train.images.shape[1:] == (3, 5, 5)


def test_a_given_size_is_kept_to_without_stretching(tmp_path):
    wide = Image.new("RGB", (60, 20), "white")
    wide.paste("black", (0, 0, 20, 20))
    wide.paste("black", (40, 0, 60, 20))  # black at both sides, which a crop around the middle leaves out
    for i in range(3):
        (tmp_path / "a").mkdir(exist_ok=True)
        wide.save(tmp_path / "a" / f"{i}.png")
    dataset = load(tmp_path, size=10)
    assert dataset.train.images.shape[1:] == (3, 10, 10)
    assert dataset.train.images[0, :, :, 2:8].min() > 240


def test_large_photos_are_the_same_in_threads_and_alone(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(6):
        png(tmp_path / "a" / f"{i}.jpg", tuple(rng.integers(0, 256, 3).tolist()), (300, 200))
    many = load(tmp_path, size=32).train.images
    monkeypatch.setattr(images, "THREADS_FROM", 10**9)
    torch.testing.assert_close(load(tmp_path, size=32).train.images, many)


def test_too_many_pixels_ask_for_a_size(tmp_path, monkeypatch):
    some(tmp_path, {"a": 3})
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"3 images of 8×8 are .* GiB in memory: give a smaller size"):
        load(tmp_path)


# --- what is wrong, and the remedy ---


def test_a_file_that_is_no_image_is_named(tmp_path):
    some(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "b" / "fake.jpg").write_text("I am a text")
    with pytest.raises(ValueError, match=r"fake\.jpg cannot be read as an image .*replace it or delete it"):
        load(tmp_path)


def test_a_cut_off_image_is_named(tmp_path):
    some(tmp_path, {"a": 3})
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    (tmp_path / "a" / "half.png").write_bytes(file.getvalue()[:120])
    with pytest.raises(ValueError, match=r"half\.png cannot be read as an image"):
        load(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no folder .pets. here .*"shapes" and "cifar10"'):
        load("pets")


def test_no_class_folders(tmp_path):
    png(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match="has no class folders: put the images of each class in a folder named after it"
    ):
        load(tmp_path)


def test_an_empty_class_folder(tmp_path):
    some(tmp_path, {"a": 3})
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match=r"b has no images: put some there .* or delete the folder"):
        load(tmp_path)


def test_train_and_test_with_other_classes(tmp_path):
    some(tmp_path / "train", {"a": 2, "b": 2})
    some(tmp_path / "test", {"a": 2, "c": 2})
    with pytest.raises(ValueError, match=r"other classes .'b' only in train, 'c' only in test.*the same folders"):
        load(tmp_path)


@pytest.mark.parametrize(("there", "missing"), [("train", "test"), ("test", "train"), ("val", "train")])
def test_one_split_without_the_other(tmp_path, there, missing):
    some(tmp_path / there, {"a": 2})
    with pytest.raises(ValueError, match=f"has {there}/ and not the other split: add {missing}/"):
        load(tmp_path)


def test_too_few_images_to_hold_some_back(tmp_path):
    some(tmp_path, {"a": 2, "b": 5})
    with pytest.raises(ValueError, match="class 'a' has 2 images: at least 3"):
        load(tmp_path)


def test_a_size_that_is_none(tmp_path):
    some(tmp_path, {"a": 3})
    with pytest.raises(ValueError, match="size is -1"):
        load(tmp_path, size=-1)
