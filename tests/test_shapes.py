"""The embedded dataset: the same bits for the same seed, true captions, flip-safe classes, a cache that never lies."""

import re
import time

import numpy as np
import pytest
import torch

from vit_course.data import load
from vit_course.data import shapes as module
from vit_course.data.outlines import CLASSES, REACH, distance
from vit_course.data.scenes import COLOURS
from vit_course.data.shapes import draw

PALETTE = torch.tensor(list(COLOURS.values()))
NAMES = list(COLOURS)
PINNED = [
    [255, 229, 54],
    [175, 150, 142],
    [246, 163, 184],
    [58, 97, 73],
    [10, 25, 102],
    [255, 240, 62],
    [234, 255, 249],
    [255, 249, 50],
    [48, 58, 19],
    [73, 10, 8],
]


@pytest.fixture
def small_counts(monkeypatch, tmp_path):
    """A dataset of 40 + 40 pictures in a folder of its own: as many in each, so that equal seeds would show."""
    monkeypatch.setenv("VIT_COURSE_DATA", str(tmp_path))
    monkeypatch.setattr(module, "COUNTS", {"train": 40, "test": 40})
    return tmp_path


@pytest.fixture(scope="module")
def scenes():
    return draw(400, 64, seed=7, captions=True)


def grid(side: int = 201):
    line = torch.linspace(-1.5, 1.5, side)
    return torch.meshgrid(line, line, indexing="xy")


def patch_colour(image, centre, radius, at):
    """The colour name nearest to the mean of 3×3 pixels, `at` (in radii, y upward) from an object's centre."""
    size = image.shape[-1]
    column, row = int((centre[0] + at[0] * radius) * size), int((centre[1] - at[1] * radius) * size)
    pixels = image[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].float() / 255
    return NAMES[(PALETTE - pixels.mean(dim=(1, 2))).square().sum(dim=1).argmin()]


@pytest.mark.parametrize("shape", CLASSES)
def test_the_mirror_image_of_a_shape_is_the_same_shape(shape):
    x, y = grid()
    inside, mirrored = distance(shape, x, y) < 0, distance(shape, -x, y) < 0
    assert inside.any()
    if shape == "moon":  # drawn open to either side, in both splits
        assert not torch.equal(inside, mirrored)
    else:
        assert torch.equal(inside, mirrored)


def test_moons_open_to_both_sides():
    drawing = draw(200, 32, seed=3)
    moons = drawing.images[drawing.labels == CLASSES.index("moon")].float()
    centres = drawing.centres[drawing.labels == CLASSES.index("moon"), 0]
    radii = drawing.radii[drawing.labels == CLASSES.index("moon"), 0]
    sides = []
    for image, (x, y), radius in zip(moons, centres, radii, strict=True):
        row = image.amax(dim=0)[int(y * 32)]
        left, right = (row[min(max(int((x + s * 0.65 * radius) * 32), 0), 31)] for s in (-1, 1))
        sides.append(bool(left > right))
    assert {True, False} == set(sides) and 4 <= sum(sides) <= 16


@pytest.mark.parametrize("shape", CLASSES)
def test_distances_fit_the_reach_and_grow_evenly(shape):
    x, y = grid()
    d = distance(shape, x, y)
    radius = (x * x + y * y).sqrt()
    assert radius[d < 0].max() <= REACH
    assert radius[d < 0].max() > 0.85
    step = 3 / 200  # one grid step changes a distance by one step at most: so an edge is one pixel soft, nowhere more
    assert (d[:, 1:] - d[:, :-1]).abs().max() <= 1.01 * step
    assert (d[1:] - d[:-1]).abs().max() <= 1.01 * step


def test_the_seed_decides_everything_and_threads_nothing():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = draw(300, 32, seed=5, captions=True)
        torch.set_num_threads(4)
        four = draw(300, 32, seed=5, captions=True)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.images, four.images) and one.captions == four.captions
    other = draw(300, 32, seed=6, captions=True)
    assert not torch.equal(one.images, other.images) and one.captions != other.captions


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    draw(20)
    assert torch.equal(before, torch.get_rng_state())


def test_the_pixels_are_those_of_this_version():
    """If this fails you changed the pixels: raise `VERSION`, so that no cache shows the old ones, and measure again."""
    assert module.VERSION == 1
    corner = draw(10, 32, seed=0).images[:, :, 16, 16]  # (10, 3)
    expected = torch.tensor(PINNED, dtype=torch.uint8)
    assert (corner.int() - expected.int()).abs().max() <= 1, corner.tolist()


def test_classes_are_balanced_and_images_are_as_promised():
    drawing = draw(200, 48, seed=1)
    assert drawing.images.shape == (200, 3, 48, 48) and drawing.images.dtype == torch.uint8
    assert drawing.labels.dtype == torch.int64
    assert torch.equal(drawing.labels.bincount(minlength=10), torch.full((10,), 20))
    assert (drawing.labels[:50] != drawing.labels[:50].sort().values).any()  # shuffled
    assert drawing.radii[:, 1].isnan().all() and (drawing.shapes[:, 1] == -1).all()


def test_a_larger_picture_shows_the_same_scene():
    small, large = draw(50, 32, seed=2), draw(50, 64, seed=2)
    assert torch.equal(small.shapes, large.shapes) and torch.equal(small.colours, large.colours)
    shrunk = torch.nn.functional.avg_pool2d(large.images.float(), 2)
    assert (shrunk - small.images.float()).abs().mean() < 0.06 * 255


def test_chunks_do_not_show(monkeypatch):
    whole = draw(100, 32, seed=4).images
    monkeypatch.setattr(module, "CHUNK_PIXELS", 7 * 32 * 32)
    assert torch.equal(draw(100, 32, seed=4).images, whole)
    assert len({image.numpy().tobytes() for image in whole}) == 100


def test_captions_name_the_colours_that_are_there(scenes):
    checked = 0
    for i, text in enumerate(scenes.captions):
        words = re.findall("|".join(NAMES), text)
        for which in range(2):
            shape = int(scenes.shapes[i, which])
            if shape < 0 or CLASSES[shape] == "moon":
                continue
            at = (0, 0.78) if CLASSES[shape] == "ring" else (0, 0)  # a point well inside
            found = patch_colour(scenes.images[i], scenes.centres[i, which], scenes.radii[i, which], at)
            assert found == words[which], (i, text, found)
            checked += 1
    assert checked > 400


def test_captions_tell_size_and_relation_without_doubt(scenes):
    pattern = re.compile(r"a (small|large) (\w+) (\w+)(?: (above|below|left of|right of) an? (\w+) (\w+))?")
    relations, sizes, singles = set(), set(), 0
    for i, text in enumerate(scenes.captions):
        match = pattern.fullmatch(text)
        assert match, text
        size, _, shape, relation, _, other = match.groups()
        sizes.add(size)
        assert CLASSES[scenes.labels[i]] == shape
        radius = scenes.radii[i, 0].item()
        assert radius <= 0.1401 if size == "small" else radius >= 0.2099
        if relation is None:
            singles += 1
            continue
        relations.add(relation)
        assert other != shape
        (x0, y0), (x1, y1) = scenes.centres[i].tolist()
        amount = {"above": y1 - y0, "below": y0 - y1, "left of": x1 - x0, "right of": x0 - x1}
        sideways = abs(x1 - x0) if relation in ("above", "below") else abs(y1 - y0)
        assert amount[relation] > 2 * sideways
        assert amount[relation] > REACH * scenes.radii[i].sum().item()  # they do not touch
    assert relations == {"above", "below", "left of", "right of"} and sizes == {"small", "large"}
    assert 150 < singles < 250


def test_the_relation_is_in_the_pixels():
    """Independent of the columns: where the two named colours are in the picture agrees with the sentence."""
    drawing = draw(300, 64, seed=8, captions=True)
    line = torch.arange(64.0)
    for image, text in zip(drawing.images, drawing.captions, strict=True):
        found = re.search(f"({'|'.join(NAMES)}) .*(above|below|left of|right of) an? ({'|'.join(NAMES)})", text)
        if not found or found[1] == found[3]:
            continue
        places = []
        for name in (found[1], found[3]):
            near = (
                (image.float() / 255 - PALETTE[NAMES.index(name)][:, None, None]).square().sum(dim=0) < 0.05
            ).float()
            assert near.sum() > 30, text
            places.append(((near.sum(dim=0) @ line / near.sum()).item(), (near.sum(dim=1) @ line / near.sum()).item()))
        (x0, y0), (x1, y1) = places
        right = {"above": y0 < y1, "below": y0 > y1, "left of": x0 < x1, "right of": x0 > x1}
        assert right[found[2]], text


def test_every_object_is_wholly_in_the_picture():
    for captions in (False, True):
        drawing = draw(500, 16, seed=9, captions=captions)
        there = drawing.shapes >= 0
        edge = torch.minimum(drawing.centres, 1 - drawing.centres).amin(dim=2) - REACH * drawing.radii
        assert edge[there].min() > -1e-6


def test_excluded_pairs_are_never_drawn_and_can_be_found_elsewhere():
    pairs = [("red", "star"), ("blue", "ring"), ("blue", "heart")]
    without = draw(2000, 16, seed=0, captions=True, exclude=pairs)
    assert not without.contains(pairs).any()
    assert not any(f"{colour} {shape}" in text for text in without.captions for colour, shape in pairs)
    drawing = draw(2000, 16, seed=0, captions=True)
    named = [any(f"{colour} {shape}" in text for colour, shape in pairs) for text in drawing.captions]
    assert drawing.contains(pairs).tolist() == named and sum(named) > 50
    assert torch.equal(without.labels.bincount(), drawing.labels.bincount())  # still balanced
    stars = without.colours[without.labels == CLASSES.index("star"), 0]
    assert sorted(stars.unique().tolist()) == [i for i, name in enumerate(NAMES) if name != "red"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 12}, "size is 12: shapes are drawn at 16 pixels or more; use 32 or 64"),
        ({"count": 0}, "count is 0: draw at least 1 picture"),
        ({"exclude": [("mauve", "star")]}, "there is no 'mauve' 'star' here: give (colour, shape), a colour of red"),
        ({"exclude": [("star", "red")]}, "there is no 'star' 'red' here"),
        ({"exclude": [(c, "moon") for c in COLOURS]}, "exclude leaves no colour for the moon: leave it at least one"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        draw(**{"count": 10, **arguments})


def test_load_refuses_a_small_size(small_counts):
    with pytest.raises(ValueError, match="size is 8: "):
        load("shapes", size=8)
    assert not list(small_counts.iterdir())


@pytest.mark.parametrize("captions", [False, True])
def test_load_draws_once_and_then_reads(small_counts, monkeypatch, captions):
    first = load("shapes", size=16, captions=captions)
    assert [path.name for path in small_counts.iterdir()] == [
        f"shapes-v{module.VERSION}-16{'-captions' if captions else ''}.npz"
    ]
    monkeypatch.setattr(module, "draw", None)  # drawing again would fail
    again = load("shapes", size=16, captions=captions)
    for which in ("train", "test"):
        one, two = getattr(first, which), getattr(again, which)
        assert torch.equal(one.images, two.images) and torch.equal(one.labels, two.labels)
        assert one.captions == two.captions and (one.captions is not None) == captions
        assert (one.mean, one.std) == (two.mean, two.std) == (first.train.mean, first.train.std)
    assert first.classes == CLASSES and len(first.train) == 40 and len(first.test) == 40
    seen = {image.numpy().tobytes() for image in first.train.images}
    assert not any(image.numpy().tobytes() in seen for image in first.test.images)


def columns(path):
    with np.load(path) as file:  # closed again: Windows replaces no open file
        return dict(file)


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a zip file"),
        flip_a_byte,
        lambda path: np.savez(path, train_images=np.zeros((40, 3, 16, 16), np.uint8)),
        lambda path: np.savez(path, **{name: column[:4] for name, column in columns(path).items()}),
        lambda path: np.savez(
            path, **{name: column[..., :4] if column.ndim == 4 else column for name, column in columns(path).items()}
        ),
    ],
    ids=["cut off", "empty", "text", "one byte", "a column short", "too few", "too narrow"],
)
def test_a_damaged_cache_is_drawn_again_with_a_word(small_counts, capsys, damage):
    good = load("shapes", size=16)
    (path,) = small_counts.iterdir()
    damage(path)
    capsys.readouterr()
    again = load("shapes", size=16)
    assert capsys.readouterr().out == "shapes-v1-16.npz in the data folder is damaged: drawing it again.\n"
    assert torch.equal(again.train.images, good.train.images) and torch.equal(again.test.labels, good.test.labels)
    load("shapes", size=16)
    assert capsys.readouterr().out == ""  # mended


def test_a_cache_without_its_captions_is_drawn_again(small_counts, capsys):
    good = load("shapes", size=16, captions=True)
    (path,) = small_counts.iterdir()
    np.savez(path, **{name: column for name, column in columns(path).items() if "captions" not in name})
    assert load("shapes", size=16, captions=True).train.captions == good.train.captions
    assert "shapes-v1-16-captions.npz in the data folder is damaged" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_stops_nothing(small_counts, monkeypatch, capsys):
    (small_counts / "file").write_text("")
    monkeypatch.setenv("VIT_COURSE_DATA", str(small_counts / "file" / "inside"))  # no folder can be made here
    assert len(load("shapes", size=16).train) == 40
    assert capsys.readouterr().out == ""


def test_ten_thousand_pictures_take_seconds():
    start = time.perf_counter()
    draw(2_000, 32)
    assert (time.perf_counter() - start) * 5 < 8
