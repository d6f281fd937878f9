"""What notebook 18 claims of its small CLIP: the record keeps the bounds; marked slow: so does a run made now."""

import pytest
from measure_clip import HELD_OUT, RECIPE, SHOWN, drawings, measure

from vit_course.data.outlines import CLASSES
from vit_course.data.scenes import COLOURS
from vit_course.recipes.records import record_of


def test_the_record_is_of_this_recipe_and_keeps_the_bounds():
    record = record_of("clip-shapes")
    assert record["recipe"] == RECIPE, "the recipe was changed: python tests/measure_clip.py --record"
    assert len(record["runs"]) >= 3
    assert record["summary"]["seen"]["mean"] >= 0.85
    assert record["summary"]["unseen"]["mean"] >= 0.50


def test_every_shape_and_every_colour_is_shown_in_other_pairs():
    assert len(set(HELD_OUT)) == 10 and not set(HELD_OUT) & set(SHOWN) and len(SHOWN) == 70
    for place, words in ((0, COLOURS), (1, CLASSES)):
        for word in words:
            assert sum(pair[place] == word for pair in SHOWN) >= 7


@pytest.mark.slow
def test_a_run_names_pairs_that_it_was_never_shown():
    run = measure(drawings(), seed=3)
    assert run["seen"] >= 0.8 and run["unseen"] >= 0.5, run
