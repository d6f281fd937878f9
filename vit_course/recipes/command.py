"""`python -m vit_course train [RECIPE]`, alone or under `torchrun`."""

import argparse
import os

from vit_course.recipes.recipe import named
from vit_course.recipes.run import in_minutes, ship, train
from vit_course.recipes.table import RECIPES


def command(options: argparse.Namespace) -> int:
    """Run what the command line says; returns its exit status.

    Raises:
        ValueError: an unknown recipe, `--record` or `--ship` together with `--minutes`, or seeds below 1.
    """
    if options.recipe is None:
        width = max(map(len, RECIPES))
        print("\n".join(f"{name:<{width}}  {recipe.about}" for name, recipe in RECIPES.items()))
        return 0
    recipe = named(RECIPES, options.recipe)
    if options.seeds is not None and options.seeds < 1:
        raise ValueError(f"--seeds is {options.seeds}: give 1 or more")
    if options.minutes is not None:
        if options.record or options.ship:
            kept = "--ship" if options.ship else "--record"
            raise ValueError(f"{kept} with --minutes: a record is of the recipe as it stands; leave one of them out")
        recipe = in_minutes(recipe, options.minutes)
    if os.environ.get("RANK", "0") == "0":
        print(recipe, flush=True)
    train(recipe, seeds=options.seeds, record=options.record or options.ship, resume=options.resume)
    if options.ship and os.environ.get("RANK", "0") == "0":
        print(f"{ship(recipe)} comes with the course now")
    return 0
