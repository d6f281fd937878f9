"""`python -m vit_course notebooks handout FOLDER`: the notebooks for a class, without solutions and outputs."""

import re
from pathlib import Path

from nbformat import NotebookNode

from vit_course.authoring import notebooks

CHECK = re.compile(r'\bcheck\("(\w+)", (\w+)\)\s*$')
INSTEAD = """\
# @title What follows uses your answer if it is right, else the course's
from vit_course.exercises.fallback import right_or_reference

{variable} = right_or_reference("{name}", {variable})"""


def handout(folder: Path, names: list[str]) -> int:
    """Write the named notebooks (all, if none is named) to `folder`; returns 0.

    Where a solution stood, a line now takes the course's own answer unless the learner's is right, so that a handout
    runs from top to bottom however much of it is answered.

    Raises:
        ValueError: one of the files exists already; nothing is written then.
    """
    paths = notebooks.notebook_paths(names)
    for path in paths:
        if (folder / path.name).exists():  # the course's own notebooks, perhaps, or a class's work
            raise ValueError(f"{folder / path.name} exists already: give another folder, or move it away")
    for path in paths:
        notebook = notebooks.read(path)
        without_solutions(notebook)
        notebooks.write(notebook, folder / path.name)
        print(folder / path.name)
    return 0


def without_solutions(notebook: NotebookNode) -> None:
    """Clear outputs, and replace each solution, in place.

    Raises:
        ValueError: a solution without a cell before it that ends in `check("name", answer)`.
    """
    last = None
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            last = CHECK.search(cell.source)
        if "solution" in tags:
            if not last:
                raise ValueError(f'no check("name", answer) before the solution {cell.source[:60]!r}: add the exercise')
            cell.source = INSTEAD.format(name=last[1], variable=last[2])
