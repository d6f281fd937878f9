"""`python -m vit_course notebooks grade FOLDER…`: run what learners returned, and print one table of marks.

It runs their code, as it is, on this machine and with your rights: do it where that is safe. A mark says that the
check passed; it is a help for the teacher, no proof of who wrote the answer.
"""

import csv
import json
from pathlib import Path

from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from vit_course.authoring import notebooks
from vit_course.authoring.execute import run
from vit_course.exercises.core import registry

MARKS = {"solved": "✓", "tried": "✗", "not started": "○"}
FIND_COURSE = "import sys\nsys.path.insert(0, {root!r})"
REPORT = "import json\nfrom vit_course.exercises.core import results\nprint(json.dumps(results()))"
ANSWER_SECONDS = 60  # what one cell may take; a loop that does not end is interrupted then


def grade(files: list[Path], table: Path | None = None) -> int:
    """Run each notebook and print learner × exercise: ✓ solved, ✗ tried, ○ not started. Returns 0.

    A folder stands for all notebooks in it and is the learner's name; a file's own name is, where it is given itself.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without notebooks.
    """
    marks: dict[str, dict[str, str]] = {}
    for file in files:
        found = sorted(file.rglob("*.ipynb")) if file.is_dir() else [file]
        if not found or not file.exists():
            raise FileNotFoundError(f"no notebook at {file}: give returned notebooks, or folders that hold them")
        for path in found:
            marks.setdefault(file.stem, {}).update(marks_of(notebooks.read(path), path))
    columns = [name for name in registry() if any(name in row for row in marks.values())]
    header = ["learner", *columns, "solved"]
    rows = []
    for learner, row in marks.items():
        solved = sum(row.get(name) == "solved" for name in columns)
        rows.append([learner, *(MARKS.get(row.get(name, ""), "–") for name in columns), f"{solved}/{len(columns)}"])
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if table:
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return 0


def marks_of(notebook: NotebookNode, path: Path) -> dict[str, str]:
    """Exercise name -> "solved", "tried" or "not started", from a run of one returned notebook."""
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = FIND_COURSE.format(root=str(notebooks.ROOT))
    notebook.cells.append(new_code_cell(REPORT))
    try:
        run(notebook, path.parent, allow_errors=True, seconds=ANSWER_SECONDS)
    except DeadKernelError:
        print(f"{path}: its kernel died, so nothing of it is marked")
        return {}
    printed = [output.text for output in notebook.cells[-1].outputs if output.get("name") == "stdout"]
    if not printed:
        print(f"{path}: it does not load the exercises, so nothing of it is marked")
        return {}
    return {name: result["status"] for name, result in json.loads(printed[-1].splitlines()[-1]).items()}
