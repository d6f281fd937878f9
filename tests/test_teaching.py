"""What a teacher runs: the handout and the marks."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vit_course.authoring import notebooks
from vit_course.authoring.execute import run
from vit_course.authoring.grade import grade
from vit_course.authoring.handout import handout, without_solutions
from vit_course.exercises.core import registry
from vit_course.exercises.fallback import right_or_reference

STUB = 'from vit_course.exercises import check\n\n\ndef mirror(image):\n    ...\n\n\ncheck("mirror", mirror)'
RIGHT = STUB.replace("...", "return image.flip(2)")
WRONG = STUB.replace("...", "return image.flip(1)")
RAISES = STUB.replace("...", "raise RuntimeError")


def notebook_of(*cells: tuple[str, str]) -> nbformat.NotebookNode:
    """A notebook of code cells, each (tag, source)."""
    return new_notebook(
        cells=[new_markdown_cell("# Toy")]
        + [new_code_cell(source, metadata={"tags": [tag]} if tag else {}) for tag, source in cells]
    )


def test_a_right_answer_is_used_and_another_replaced():
    def right(image):
        return image.flip(-1)

    assert right_or_reference("mirror", right) is right
    assert right_or_reference("mirror", lambda image: image) is registry()["mirror"].reference
    with pytest.raises(ValueError, match="there is no exercise 'miror'"):
        right_or_reference("miror", right)


def test_a_handout_has_no_solution_and_still_runs(tmp_path):
    notebook = notebook_of(
        ("setup", f"import sys\nsys.path.insert(0, {str(notebooks.ROOT)!r})"),
        ("exercise", STUB),
        ("solution", "def mirror(image):\n    return image.flip(2)"),
    )
    notebook.cells.append(new_code_cell("import torch\nprint(mirror(torch.arange(3).reshape(1, 1, 3)).tolist())"))
    without_solutions(notebook)
    assert "flip" not in nbformat.writes(notebook)
    run(notebook, tmp_path)
    assert notebook.cells[4].outputs[0].text == "[[[2, 1, 0]]]\n"


def test_a_solution_without_its_exercise_is_named():
    with pytest.raises(ValueError, match=r"no check.* before the solution 'def mirror"):
        without_solutions(notebook_of(("solution", "def mirror(image): return image.flip(2)")))


def test_handout_writes_every_notebook(tmp_path):
    handout(tmp_path / "class", ["00"])
    with pytest.raises(ValueError, match=r"00_start_here.ipynb exists already: give another folder"):
        handout(tmp_path / "class", ["00"])
    copy = notebooks.read(tmp_path / "class" / "00_start_here.ipynb")
    code = [cell for cell in copy.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert any("right_or_reference" in cell.source for cell in code)


def test_marks_of_a_class(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vit_course.authoring.grade.ANSWER_SECONDS", 5)
    endless = ("exercise", RIGHT.replace("return", "while True:\n        image ="))
    for learner, cells in {
        "ada.l": [("setup", "raise SystemExit"), ("exercise", RIGHT), ("", "1 / 0")],
        "ada.m": [("setup", ""), ("exercise", WRONG), ("exercise", RAISES)],
        "cy": [("setup", ""), ("exercise", STUB)],
        "dee": [("", "import os\nos._exit(1)")],
        "eve": [("setup", ""), endless],
    }.items():
        (tmp_path / learner).mkdir()
        nbformat.write(notebook_of(*cells), tmp_path / learner / "00.ipynb")
    (tmp_path / "eve" / "broken.ipynb").write_text("{broken")
    (tmp_path / "eve" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "eve" / ".ipynb_checkpoints" / "00.ipynb").write_text("{broken")
    grade([tmp_path / name for name in ("ada.l", "ada.m", "cy", "dee", "eve")], tmp_path / "marks.csv")
    lines = (tmp_path / "marks.csv").read_text(encoding="utf-8").split()
    assert lines == [
        "learner,mirror,solved",
        "ada.l,✓,1/1",
        "ada.m,✗,0/1",
        "cy,○,0/1",
        "dee,–,0/1",
        "eve,✗,0/1",
    ]
    printed = capsys.readouterr().out
    assert "dee/00.ipynb: its kernel died" in printed and "ada.l    ✓       1/1" in printed
    assert "eve/00.ipynb: mirror took more than 5 s" in printed
    assert printed.count("no notebook that can be read") == 1


def test_missing_submissions_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no notebook in the folder .*: give one folder a learner"):
        grade([tmp_path])


def test_two_learners_of_one_name_and_a_table_without_a_folder_are_named(tmp_path):
    for folder in ("a/ada", "b/ada"):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(notebook_of(), tmp_path / folder / "00.ipynb")
    with pytest.raises(ValueError, match="two folders are called ada"):
        grade([tmp_path / "a/ada", tmp_path / "b/ada"])
    with pytest.raises(FileNotFoundError, match=r"to write marks.csv to: make it first"):
        grade([tmp_path / "a/ada"], tmp_path / "nowhere" / "marks.csv")
