"""`python -m vit_course notebooks grade FOLDER…`: run what learners returned, and print one table of marks.

It runs their code, as it is, on this machine and with your rights: do it where that is safe. A mark says that the
check passed; it is a help for the teacher, no proof of who wrote the answer.
"""

import csv
import json
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell

from vit_course.authoring import notebooks
from vit_course.authoring.execute import run
from vit_course.authoring.handout import CHECK
from vit_course.exercises.core import registry

MARKS = {"solved": "✓", "tried": "✗", "not started": "○"}
FIND_COURSE = "import sys\nsys.path.insert(0, {root!r})"
REPORT = "import json\nfrom vit_course.exercises.core import results\nprint(json.dumps(results()))"
ANSWER_SECONDS = 60  # what one cell may take; a loop that does not end is interrupted then


def grade(folders: list[Path], table: Path | None = None) -> int:
    """Run each learner's notebooks and print learner × exercise: ✓ solved, ✗ tried, ○ not started. Returns 0.

    Args:
        folders: one a learner, named after the learner, with the returned notebooks somewhere in it.
        table: a file to write the same table to, as CSV.

    Raises:
        FileNotFoundError: a folder that is not there or holds no notebook, or no folder to write the table to.
        ValueError: two folders of one name.
    """
    returned = {}
    for folder in folders:
        found = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
        if not found:
            raise FileNotFoundError(
                f"no notebook in the folder {folder}: give one folder a learner, such as returned/*"
            )
        if folder.name in returned:
            raise ValueError(f"two folders are called {folder.name}: a folder's name is the learner's; rename one")
        returned[folder.name] = found
    if table and not table.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {table.parent} to write {table.name} to: make it first")
    marks = {learner: {} for learner in returned}
    for learner, paths in returned.items():
        for path in paths:
            marks[learner] |= marks_of(path)
    columns = [name for name in registry() if any(name in row for row in marks.values())]
    header = ["learner", *columns, "solved"]
    rows = []
    for learner, row in marks.items():
        solved = sum(row.get(name) == "solved" for name in columns)
        rows.append([learner, *(MARKS.get(row.get(name, ""), "–") for name in columns), f"{solved}/{len(columns)}"])
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("✓ solved  ✗ tried  ○ not started  – not in what was returned")
    if table:
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return 0


def marks_of(path: Path) -> dict[str, str]:
    """Exercise name -> "solved", "tried" or "not started", from a run of one returned notebook; prints what failed."""
    shown = f"{path.parent.name}/{path.name}"
    try:
        notebook = notebooks.read(path)
    except (ValueError, nbformat.reader.NotJSONError) as error:
        print(f"{shown}: no notebook that can be read ({str(error)[:60]!r}), so nothing of it is marked")
        return {}
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = FIND_COURSE.format(root=str(notebooks.ROOT))
    notebook.cells.append(new_code_cell(REPORT))
    try:
        run(notebook, path.parent, allow_errors=True, seconds=ANSWER_SECONDS)
    except DeadKernelError:
        print(f"{shown}: its kernel died, so nothing of it is marked")
        return {}
    printed = [output.text for output in notebook.cells[-1].outputs if output.get("name") == "stdout"]
    if not printed:
        print(f"{shown}: it does not load the exercises, so nothing of it is marked")
        return {}
    marks = {name: result["status"] for name, result in json.loads(printed[-1].splitlines()[-1]).items()}
    for cell in notebook.cells:  # an answer that stopped before its check was tried all the same
        error = next((output.ename for output in cell.get("outputs", []) if output.output_type == "error"), None)
        if error and (check := CHECK.search(cell.source)):
            what = f"took more than {ANSWER_SECONDS} s" if error == "KeyboardInterrupt" else f"stopped with {error}"
            print(f"{shown}: {check[1]} {what}")
            if marks.get(check[1]) != "solved":
                marks[check[1]] = "tried"
    return marks
