"""The tables of recorded runs as they stand in the README. `python -m vit_course.recipes.results` prints them."""

import os
from pathlib import Path

from vit_course.recipes.recipe import Recipe
from vit_course.recipes.records import FOLDER, record_of
from vit_course.recipes.table import FOOT, FRACTIONS, LADDER, MAIN, RECIPES

HEAD = """\
| recipe | parameters | epochs | test accuracy, % | with the mirror image, % | runs | CPU minutes of each | processor |
|---|---|---|---|---|---|---|---|"""

LADDER_HEAD = f"""\
| `{FOOT.name}`, and one change each | test accuracy, % | points | runs |
|---|---|---|---|"""
FRACTIONS_HEAD = """\
| test accuracy, % | 10 % of the images | 30 % | all |
|---|---|---|---|"""


def results(folder: str | os.PathLike | None = None) -> str:
    """A Markdown table with a row for each recorded recipe of `table.MAIN`, accuracies as mean ± sd over the runs.

    CPU minutes are those of one core of the processor: 20 of them are 10 minutes on two cores, if both are kept busy.
    """
    return "\n".join([HEAD, *(_row(name, folder) for name in _recorded(MAIN, folder))])


def ladder(folder: str | os.PathLike | None = None) -> str:
    """A Markdown table of the recorded rungs of `table.LADDER`, the best first: accuracies, and points from the foot.

    Raises:
        FileNotFoundError: the foot is not recorded.
    """
    found = {name: record_of(name, folder)["summary"] for name in _recorded(LADDER, folder)}
    foot = record_of(FOOT.name, folder)["summary"]["test_accuracy"]["mean"]
    rows = []
    for name in sorted(found, key=lambda name: -found[name]["test_accuracy"]["mean"]):
        about = "**as it is**" if name == FOOT.name else RECIPES[name].about.rstrip(".")
        accuracy, seeds = found[name]["test_accuracy"], found[name]["seeds"]
        points = round(100 * (accuracy["mean"] - foot), 1) + 0.0  # never -0.0
        rows.append(f"| {about} | {_percent(accuracy)} | {points:+.1f} | {seeds} |")
    return "\n".join([LADDER_HEAD, *rows])


def fractions(folder: str | os.PathLike | None = None) -> str:
    """A Markdown table of test accuracies after training on a part of the images and on all of them, a row a net.

    Raises:
        FileNotFoundError: one of them is not recorded.
    """
    rows = []
    for name in dict.fromkeys(recipe.name.rpartition("-")[0] for recipe in FRACTIONS):
        parts = [recipe.name for recipe in FRACTIONS if recipe.name.startswith(f"{name}-")]
        summaries = [record_of(part, folder)["summary"] for part in (*parts, name)]
        rows.append(f"| `{name}` | {' | '.join(_percent(one['test_accuracy']) for one in summaries)} |")
    return "\n".join([FRACTIONS_HEAD, *rows])


def _recorded(recipes: list[Recipe], folder: str | os.PathLike | None) -> list[str]:
    """The names of those that are."""
    return [recipe.name for recipe in recipes if (Path(folder or FOLDER) / f"{recipe.name}.json").is_file()]


def _row(name: str, folder: str | os.PathLike | None) -> str:
    record = record_of(name, folder)
    summary, runs = record["summary"], record["runs"]
    plain, mirrored = (_percent(summary[key]) for key in ("test_accuracy", "test_accuracy_mirrored"))
    parameters, minutes = runs[0]["parameters"] / 1e6, summary["cpu_seconds"]["mean"] / 60
    processors = " or ".join(sorted({run["machine"]["cpu"] for run in runs}))
    return (
        f"| `{name}` | {parameters:.1f} M | {record['recipe']['epochs']} | {plain} | {mirrored} "
        f"| {summary['seeds']} | {minutes:.0f} | {processors} |"
    )


def _percent(value: dict[str, float | None]) -> str:
    spread = "" if value["sd"] is None else f" ± {100 * value['sd']:.1f}"
    return f"{100 * value['mean']:.1f}{spread}"


if __name__ == "__main__":
    print(results(), ladder(), fractions(), sep="\n\n")
