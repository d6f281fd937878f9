"""The tables of recorded runs: how a row is made, and that the README has the rows of the records that are here."""

import json
from pathlib import Path

import pytest

from vit_course.recipes.results import FRACTIONS_HEAD, HEAD, LADDER_HEAD, fractions, ladder, results
from vit_course.recipes.table import FOOT, MAIN, RECIPES

README = Path(__file__).parents[1] / "README.md"


def record(folder: Path, name: str, *accuracies: float, sd: float | None = None) -> None:
    """As much of a record as a table reads."""
    value = {"mean": sum(accuracies) / len(accuracies), "sd": sd}
    cpu = {"mean": 1230.0, "sd": None}
    said = {"test_accuracy": value, "test_accuracy_mirrored": value, "cpu_seconds": cpu, "seeds": len(accuracies)}
    runs = [{"parameters": 1_234_567, "machine": {"cpu": f"Abacus {i + 1}"}} for i in range(len(accuracies))]
    (folder / f"{name}.json").write_text(json.dumps({"recipe": {"epochs": 7}, "summary": said, "runs": runs}))


def test_a_row_has_the_spread_of_several_runs_and_none_of_one(tmp_path):
    one, two = MAIN[1].name, MAIN[0].name
    record(tmp_path, one, 0.5)
    record(tmp_path, two, 0.8, 0.9, sd=0.0707)
    assert results(tmp_path).splitlines() == [
        *HEAD.splitlines(),
        f"| `{two}` | 1.2 M | 7 | 85.0 ± 7.1 | 85.0 ± 7.1 | 2 | 20 | Abacus 1 or Abacus 2 |",
        f"| `{one}` | 1.2 M | 7 | 50.0 | 50.0 | 1 | 20 | Abacus 1 |",
    ]


def test_the_ladder_counts_from_its_foot_and_has_the_best_first(tmp_path):
    for name, accuracy in ((f"{FOOT.name}-adamw", 0.6), (FOOT.name, 0.8), (f"{FOOT.name}-cosine", 0.79996)):
        record(tmp_path, name, accuracy)
    adamw, cosine = (RECIPES[f"{FOOT.name}-{rung}"].about.rstrip(".") for rung in ("adamw", "cosine"))
    assert ladder(tmp_path).splitlines() == [
        *LADDER_HEAD.splitlines(),
        "| **as it is** | 80.0 | +0.0 | 1 |",
        f"| {cosine} | 80.0 | +0.0 | 1 |",
        f"| {adamw} | 60.0 | -20.0 | 1 |",
    ]


def test_the_fractions_need_all_of_their_records(tmp_path):
    for i, name in enumerate(("vit-10min-10pct", "vit-10min-30pct", "vit-10min", "vgg-10min-10pct", "vgg-10min-30pct")):
        record(tmp_path, name, 0.5 + i / 10)
    with pytest.raises(FileNotFoundError, match="no record of 'vgg-10min'"):
        fractions(tmp_path)
    record(tmp_path, "vgg-10min", 1.0)
    assert fractions(tmp_path).splitlines() == [
        *FRACTIONS_HEAD.splitlines(),
        "| `vit-10min` | 50.0 | 60.0 | 70.0 |",
        "| `vgg-10min` | 80.0 | 90.0 | 100.0 |",
    ]


@pytest.mark.parametrize("table", [results, ladder, fractions])
def test_the_readme_has_the_tables_of_the_records(table):
    rows = table()
    assert rows.count("\n") > 2, "nothing is recorded"
    text = "the README's table is not that of data/recorded: put in what `python -m vit_course.recipes.results` prints"
    assert rows in README.read_text(encoding="utf-8"), text
