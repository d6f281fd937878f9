"""The table of recorded runs: how a row is made, and that the README has the rows of the records that are here."""

import json
from pathlib import Path

from vit_course.recipes.results import HEAD, results
from vit_course.recipes.table import MAIN

README = Path(__file__).parents[1] / "README.md"


def test_a_row_has_the_spread_of_several_runs_and_none_of_one(tmp_path):
    def record(name, accuracies, spread):
        value = {"mean": sum(accuracies) / len(accuracies), "sd": spread}
        cpu = {"mean": 1230.0, "sd": None}
        said = {"test_accuracy": value, "test_accuracy_mirrored": value, "cpu_seconds": cpu, "seeds": len(accuracies)}
        runs = [{"parameters": 1_234_567, "machine": {"cpu": f"Abacus {i + 1}"}} for i in range(len(accuracies))]
        (tmp_path / f"{name}.json").write_text(json.dumps({"recipe": {"epochs": 7}, "summary": said, "runs": runs}))

    one, two = MAIN[1].name, MAIN[0].name
    record(one, [0.5], None)
    record(two, [0.8, 0.9], 0.0707)
    assert results(tmp_path).splitlines() == [
        *HEAD.splitlines(),
        f"| `{two}` | 1.2 M | 7 | 85.0 ± 7.1 | 85.0 ± 7.1 | 2 | 20 | Abacus 1 or Abacus 2 |",
        f"| `{one}` | 1.2 M | 7 | 50.0 | 50.0 | 1 | 20 | Abacus 1 |",
    ]


def test_the_readme_has_the_table_of_the_records():
    table = results()
    assert table.count("\n") > 2, "nothing is recorded"
    text = "the README's table is not that of data/recorded: put in what `python -m vit_course.recipes.results` prints"
    assert table in README.read_text(encoding="utf-8"), text
