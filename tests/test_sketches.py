"""Sketches: what they are, and that a net which has seen photographs alone names them."""

import pytest
import torch

from vit_course.data.sketches import SKETCHES, sketch
from vit_course.models.pretrained import load_pretrained
from vit_course.recipes.records import weights_of


@pytest.mark.parametrize("name", SKETCHES)
def test_a_sketch_is_a_picture(name):
    picture = sketch(name, size=64)
    assert picture.shape == (3, 64, 64) and picture.dtype == torch.uint8
    assert torch.equal(picture, sketch(name, size=64)) and len(picture.flatten(1).unique(dim=1).T) > 50


def test_there_is_no_sketch_of_that_name():
    with pytest.raises(ValueError, match="there is no sketch 'cat': use one of airplane"):
        sketch("cat")


@pytest.mark.parametrize("recipe", ["vgg-10min", "vgg-20min", "vit-10min", "vit-60min"])
def test_the_nets_that_come_with_the_course_name_every_sketch(recipe):
    model, preprocess = load_pretrained(weights_of(recipe))
    with torch.no_grad():
        named = model(torch.cat([preprocess(sketch(name)) for name in SKETCHES])).argmax(dim=1)
    assert [preprocess.classes[i] for i in named] == list(SKETCHES)
