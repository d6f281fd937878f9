"""Recipes: named dataset + model + optimiser + schedule + augmentation + budget, and the records of their runs."""

from vit_course.recipes.recipe import AdamW, Muon, Recipe, named
from vit_course.recipes.records import record_of
from vit_course.recipes.table import RECIPES

__all__ = ["RECIPES", "AdamW", "Muon", "Recipe", "named", "record_of"]
