"""The authoring room: canonical notebooks, the rules, the address, drift, execution."""

import base64
import io
import shutil

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from vit_course.authoring import address, drift, execute, lint, notebooks


def png(colours: int = 500) -> str:
    """A base64 PNG with that many colours."""
    pixels = np.arange(colours * 3, dtype=np.uint32).view(np.uint8).reshape(-1, 3)[: colours // 10 * 10]
    file = io.BytesIO()
    Image.fromarray(pixels.reshape(10, -1, 3).astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def good_notebook(root) -> nbformat.NotebookNode:
    """The smallest notebook that keeps every rule."""
    figure = new_output("display_data", {"image/png": png(), "text/plain": "<Figure size 1x1>"})
    collapsed = {"tags": ["solution"], "jupyter": {"source_hidden": True}, "cellView": "form"}
    cells = [
        new_markdown_cell("# 00 · Toy\n\n**You will be able to** smile.\n\n[The web](https://example.org)"),
        new_code_cell("", metadata={"tags": ["setup"]}),
        new_markdown_cell("## One\n\n### Deeper"),
        new_code_cell("plt.plot([1])\nplt.show()", outputs=[figure]),
        new_code_cell('def f(): ...\n\n\ncheck("f", f)', metadata={"tags": ["exercise"]}),
        new_code_cell("# @title Solution\ndef f():\n    return 1", metadata=collapsed),
        new_markdown_cell("## Recap\n\nx\n\n## Check yourself\n\nx\n\n## Next\n\nx"),
    ]
    notebook = new_notebook(cells=cells)
    address.furnish(notebook, "00_toy.ipynb", root)
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
    return notebook


@pytest.fixture
def root(tmp_path):
    """A repository with a README, one notebook that keeps all rules, and one module."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "vit_course").mkdir()
    (tmp_path / "vit_course" / "toy.py").write_text('def f(x):\n    """Doc."""\n    return x + 1\n\n\nSIDE = 4\n')
    (tmp_path / "pyproject.toml").write_text('Repository = "https://github.com/old/toy"\n')
    (tmp_path / "README.md").write_text("See https://github.com/old/toy and https://github.com/old/toy-box\n")
    notebooks.write(good_notebook(tmp_path), tmp_path / "notebooks" / "00_toy.ipynb")
    return tmp_path


def spoil(root, change) -> list[str]:
    """The problems of the good notebook after `change(notebook)`."""
    path = root / "notebooks" / "00_toy.ipynb"
    notebook = notebooks.read(path)
    change(notebook)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return lint.problems(path, root)


def test_a_good_notebook_has_no_problems(root):
    assert spoil(root, lambda notebook: None) == []


def source(position, text):
    """A change: the source of one cell."""
    return lambda notebook: notebook.cells[position].update(source=text)


def output(position, **fields):
    """A change: one more output of one cell."""
    return lambda notebook: notebook.cells[position].outputs.append(new_output(**fields))


def text(what):
    """An output of text."""
    return {"output_type": "stream", "name": "stdout", "text": what}


SPOILERS = {
    "no '## Recap'": source(6, "## Check yourself\n\n## Next"),
    "not in the order": source(6, "## Next\n\n## Check yourself\n\n## Recap"),
    "is tagged `setup`": lambda notebook: notebook.cells[1].metadata.clear(),
    "its setup cell is not": source(1, "import vit_course"),
    "its badges are not": source(0, "# 00 · Toy\n\n**You will be able to** smile."),
    "not run from top to bottom": lambda notebook: notebook.cells[3].update(execution_count=None),
    "no picture": lambda notebook: notebook.cells[3].update(outputs=[]),
    "a stored error: ValueError": output(3, output_type="error", ename="ValueError", evalue="", traceback=[]),
    "a warning in the output": output(3, **text("UserWarning: no")),
    "a path of one machine in the output: /home/s": output(3, **text("saved to /home/somebody/x")),
    r"a path of one machine in the output: C:\\": output(3, **text(r"saved to C:\Users\x")),
    "an object's address": output(3, **text("<Line2D at 0x7f0011223344>")),
    "a widget in the output": output(3, output_type="display_data", data={"application/widget-view+json": {}}),
    "ends in `plt.show()`": source(3, "plt.plot([1]);"),
    "a heading of level 4 after one of level 2": source(2, "## One\n\n#### Deeper"),
    "one title of level 1": source(2, "# One"),
    "no alt text: ![](https://star.png)": source(2, "## One\n\n![](https://star.png)"),
    'no alt text: <img src="a.png">': source(2, '## One\n\n<img src="a.png">'),
    "a link to 99_later.ipynb, which does not exist": source(2, "## One\n\n[later](99_later.ipynb#top)"),
    "a solution defines what the exercise before it checks: f": source(5, "# @title Solution\ndef g():\n    return 1"),
    "a solution defines what the exercise before it": source(5, '# @title x\nf = right_or_reference("f", f)'),
    "an exercise ends in": source(4, 'check("f", f)\nprint(1)'),
    "an exercise without a solution": lambda notebook: notebook.cells[5].metadata.clear(),
    "is tagged `exercise`, or": lambda notebook: notebook.cells[4].metadata.clear(),
    "a solution is collapsed": lambda notebook: notebook.cells[5].metadata.pop("cellView"),
    "unknown tag 'excercise'": lambda notebook: notebook.cells[3].metadata.update(tags=["excercise"]),
    "an empty cell": source(2, " "),
    "f differs from vit_course/toy.py": source(5, "# -> vit_course/toy.py\ndef f(x):\n    return x"),
    "MB: at most 1": output(3, **text("x" * 1_100_000)),
}


@pytest.mark.parametrize("message", SPOILERS)
def test_every_rule_can_be_broken(root, message):
    found = spoil(root, SPOILERS[message])
    assert any(message in problem for problem in found), found


def test_cell_ids_that_stand_twice_are_found(root):
    path = root / "notebooks" / "00_toy.ipynb"
    first, second = (cell.id for cell in notebooks.read(path).cells[:2])
    path.write_text(path.read_text().replace(second, first))
    assert any("cell ids are missing or stand twice" in problem for problem in lint.problems(path, root))


def test_headings_in_code_are_no_headings(root):
    assert spoil(root, source(2, "## One\n\n```python\n# a comment\n```")) == []


@pytest.mark.parametrize(
    ("cell", "problems"),
    [
        ("def f(x): return 0", []),  # no mark, nothing to hold it to
        ("# -> vit_course/toy.py\ndef f(x):\n    return (x + 1)  # the same\n\nprint(f(1))\nresult = f(2)", []),
        ("# -> vit_course/toy.py\ndef f(x):\n    return x + 2", ["f differs from vit_course/toy.py"]),
        ("# -> vit_course/toy.py\nSIDE = 5\ndef f(x):\n    return x + 1", ["SIDE differs from vit_course/toy.py"]),
        ("# -> vit_course/toy.py\ndef g(x):\n    return x\nSIDE = 4", ["g is not in vit_course/toy.py"]),
        ("# -> vit_course/toy.py\nprint(1)", ["nothing in this cell is in vit_course/toy.py"]),
        ("# -> vit_course/gone.py\ndef f(x): ...", ["vit_course/gone.py does not exist"]),
    ],
)
def test_drift(root, cell, problems):
    assert drift.drifted(cell, root) == problems


def test_canonical_keeps_what_matters_and_drops_the_rest(root):
    notebook = good_notebook(root)
    cell = notebook.cells[3]
    cell.metadata.update(execution={"iopub.execute_input": "2026"}, tags=["nbval-ignore-output"])
    cell.outputs += [new_output(**text("a")), new_output(**text("b"))]
    notebook.metadata.update(widgets={"state": {}}, accelerator="GPU", language_info={"name": "python", "version": "3"})
    result = notebooks.canonical(notebook)
    assert result.cells[3].metadata == {"tags": ["nbval-ignore-output"]}
    assert [output.get("text") for output in result.cells[3].outputs] == [None, "ab"]
    assert "widgets" not in result.metadata and result.metadata.accelerator == "GPU"
    assert result.metadata.language_info == {"name": "python"}
    assert nbformat.writes(notebooks.canonical(result)) == nbformat.writes(result)


def test_figures_become_palettes_once():
    small = notebooks.palette_png(png(500))
    image = Image.open(io.BytesIO(base64.b64decode(small)))
    assert image.mode == "P" and len(image.getcolors()) <= 256
    assert notebooks.palette_png(small) == small


def test_a_white_ground_stays_white_whatever_is_drawn_on_it(monkeypatch):
    monkeypatch.setattr(notebooks, "COLOURS", 2)  # white has to share a place with ivory, which is farther from blue
    drawn = np.full((10, 10, 3), 255, dtype=np.uint8)
    drawn[0], drawn[1] = (255, 255, 240), (0, 0, 255)
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    small = notebooks.palette_png(base64.b64encode(file.getvalue()).decode())
    image = Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB")
    assert image.getpixel((5, 5)) == (255, 255, 255) and image.getpixel((5, 1)) == (0, 0, 255)


def test_stamp_changes_every_address_and_no_other(root):
    changed = address.stamp("new-owner/course", root)
    assert {path.name for path in changed} == {"pyproject.toml", "README.md", "00_toy.ipynb"}
    assert address.address(root) == "new-owner/course"
    readme = (root / "README.md").read_text()
    assert "github.com/new-owner/course " in readme and "github.com/old/toy-box" in readme
    assert lint.problems(root / "notebooks" / "00_toy.ipynb", root) == []
    assert address.stamp("new-owner/course", root) == []


@pytest.mark.parametrize("slug", ["", "name", "https://github.com/a/b", "a/b/c"])
def test_stamp_refuses_what_is_no_address(root, slug):
    with pytest.raises(ValueError, match="give it as owner/name"):
        address.stamp(slug, root)


def test_unknown_notebooks_are_named():
    with pytest.raises(FileNotFoundError, match="no notebook begins with '99'"):
        notebooks.notebook_paths(["99"])


@pytest.fixture
def runnable(tmp_path, monkeypatch):
    """A notebook folder of one notebook with text, a figure and this course's setup."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(notebooks.ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(notebooks, "FOLDER", folder)
    cells = [
        new_markdown_cell("# 00 · Toy"),
        new_code_cell("import matplotlib.pyplot as plt\nprint('one')\nprint('two')"),
        new_code_cell("plt.plot([1, 3, 2])\nplt.show()"),
    ]
    path = folder / "00_toy.ipynb"
    notebooks.write(new_notebook(cells=cells), path)
    return path


def test_outputs_are_the_same_when_written_twice(runnable):
    assert execute.execute([]) == 0
    first = runnable.read_bytes()
    cells = notebooks.read(runnable).cells
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2]
    assert cells[1].outputs[0].text == "one\ntwo\n" and "image/png" in cells[2].outputs[0].data
    assert execute.execute([]) == 0
    assert runnable.read_bytes() == first


def test_a_failing_notebook_is_left_as_it_was(runnable, capsys):
    notebook = notebooks.read(runnable)
    notebook.cells[1].source = "1 / 0"
    notebooks.write(notebook, runnable)
    before = runnable.read_bytes()
    assert execute.execute([]) == 1
    assert runnable.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().out
