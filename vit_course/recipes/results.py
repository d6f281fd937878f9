"""The table of recorded runs as it stands in the README. `python -m vit_course.recipes.results` prints it."""

import os
from pathlib import Path

from vit_course.recipes.records import FOLDER, record_of
from vit_course.recipes.table import MAIN

HEAD = """\
| recipe | parameters | epochs | test accuracy, % | with the mirror image, % | runs | CPU minutes of each | processor |
|---|---|---|---|---|---|---|---|"""


def results(folder: str | os.PathLike | None = None) -> str:
    """A Markdown table with a row for each recorded recipe of `table.MAIN`, accuracies as mean ± sd over the runs.

    CPU minutes are those of one core of the processor: 20 of them are 10 minutes on two cores, if both are kept busy.
    """
    recorded = [recipe.name for recipe in MAIN if (Path(folder or FOLDER) / f"{recipe.name}.json").is_file()]
    return "\n".join([HEAD, *(_row(name, folder) for name in recorded)])


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
    print(results())
