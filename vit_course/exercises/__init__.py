"""How a learner is checked: `check("name", answer)` says what is right or what exactly is wrong."""

from vit_course.exercises.core import check, hint, progress

__all__ = ["check", "hint", "progress"]
