"""The rules for notebooks, each a small function from a notebook to the places that break it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from vit_course.authoring import notebooks
from vit_course.authoring.address import BADGES, address, setup_cell
from vit_course.authoring.drift import drifted
from vit_course.authoring.handout import CHECK

LARGEST = 1_000_000  # bytes of a notebook
TAGS = {"setup", "example", "exercise", "hint", "solution", "nbval-ignore-output", "raises-exception"}
A_PATH = re.compile(r"/(?:home|root|tmp|Users|work|content|private|usr|opt|mnt)/\w|[A-Z]:\\+\w")
PARTS = ("**You will be able to**", "## Recap", "## Check yourself", "## Next")


def broken_links(text: str, folder: Path) -> list[str]:
    """The links in Markdown to files that are not there, seen from `folder`; addresses on the web are not tried."""
    links = re.findall(r"\]\((?!https?:|#|mailto:|attachment:)([^)#\s]+)", text)
    return [link for link in links if not (folder / link).exists()]


def problems(path: Path, root: Path = notebooks.ROOT) -> list[str]:
    """Every rule that the notebook at `path` breaks, as lines `01_images [7]: what is wrong` (cells counted from 0)."""
    notebook = notebooks.read(path)
    found = [
        problem
        for rule in (_anatomy, _setup, _outputs, _headings, _pictures, _exercises, _cells)
        for problem in rule(notebook)
    ]
    found += [(None, text) for text in _address(notebook, path, root)]
    for position, cell in _code(notebook):
        found += [(position, text) for text in drifted(cell.source, root)]
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            links = broken_links(cell.source, path.parent)
            found += [(position, f"a link to {link}, which does not exist") for link in links]
    identities = [cell.get("id") for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    if len(set(identities)) != len(identities) or None in identities:  # read from the file: nbformat mends them unasked
        found.append((None, "cell ids are missing or stand twice: `make outputs` mends them"))
    if path.stat().st_size > LARGEST:
        found.append(
            (None, f"{path.stat().st_size / 1e6:.1f} MB: at most {LARGEST / 1e6:.0f} MB; draw smaller figures")
        )
    return [f"{path.stem}{'' if position is None else f' [{position}]'}: {text}" for position, text in found]


def lint(names: list[str]) -> int:
    """Print the problems of the named notebooks (all, if none is named); their number is the exit status."""
    found = [line for path in notebooks.notebook_paths(names) for line in problems(path)]
    print("\n".join(found) or "The notebooks keep all rules.")
    return min(len(found), 100)


Problems = Iterator[tuple[int | None, str]]


def _code(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    return [(position, cell) for position, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _anatomy(notebook: NotebookNode) -> Problems:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    places = [text.find(part) for part in PARTS]
    for part, place in zip(PARTS, places, strict=True):
        if place < 0:
            yield None, f"no {part!r}: every notebook has its aims, recap, questions and way on"
    if -1 not in places and places != sorted(places):
        yield None, f"its parts are not in the order {', '.join(PARTS)}"


def _setup(notebook: NotebookNode) -> Problems:
    tagged = [position for position, cell in _code(notebook) if "setup" in _tags(cell)]
    if len(tagged) != 1 or tagged[0] != _code(notebook)[0][0]:
        yield None, "the first code cell, and it alone, is tagged `setup`"


def _address(notebook: NotebookNode, path: Path, root: Path) -> Iterator[str]:
    slug = address(root)
    if not any(cell.source == setup_cell(slug) for _, cell in _code(notebook)):
        yield "its setup cell is not the course's: `make outputs` writes it"
    if BADGES.format(slug=slug, file=path.name) not in notebook.cells[0].source:
        yield "its badges are not the course's: `make outputs` writes them"


def _outputs(notebook: NotebookNode) -> Problems:
    counts = [cell.execution_count for _, cell in _code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield None, f"not run from top to bottom (counts {counts[:4]}…): `make outputs` runs it"
    if not any("image/png" in output.get("data", {}) for _, cell in _code(notebook) for output in cell.outputs):
        yield None, "no picture"
    for position, cell in _code(notebook):
        for output in cell.outputs:
            shown = json.dumps(
                {**output, "data": {k: v for k, v in output.get("data", {}).items() if "image" not in k}}
            )
            if output.output_type == "error":
                yield position, f"a stored error: {output.ename}"
            if "Warning" in shown:
                yield position, "a warning in the output"
            if path := A_PATH.search(shown):
                yield position, f"a path of one machine in the output: {path[0]}…"
            if re.search(r"\bat 0x[0-9a-f]{6}", shown):
                yield position, "an object's address in the output: end a cell that plots in `plt.show()`"
            if "widget-view" in shown:
                yield position, "a widget in the output: show no progress bar in a stored cell"
        draws = any("image/png" in output.get("data", {}) for output in cell.outputs)
        if draws and "plt." in cell.source and cell.source.rstrip().rsplit("\n", 1)[-1].strip() != "plt.show()":
            yield position, "a cell that plots ends in `plt.show()`"


def _headings(notebook: NotebookNode) -> Problems:
    level = 0
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        source = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
        for heading in re.findall(r"^(#+) ", source, flags=re.MULTILINE):
            if len(heading) > level + 1:
                yield position, f"a heading of level {len(heading)} after one of level {level}"
            if (len(heading) == 1) != (level == 0):
                yield position, "one title of level 1, at the top"
            level = len(heading)


def _pictures(notebook: NotebookNode) -> Problems:
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            bare = re.findall(r"!\[\s*\]\([^)]*\)", cell.source)
            bare += [
                tag for tag in re.findall(r"<img\b[^>]*>", cell.source) if not re.search(r"\balt=[\"'][^\"']", tag)
            ]
            for picture in bare:
                yield position, f"no alt text: {picture[:60]}"


def _exercises(notebook: NotebookNode) -> Problems:
    code = _code(notebook)
    checked = None
    for index, (position, cell) in enumerate(code):
        if "exercise" in _tags(cell):
            checked = CHECK.search(cell.source)
            if not checked:
                yield position, 'an exercise ends in `check("name", …)`'
            if not any("solution" in _tags(later) for _, later in code[index + 1 : index + 3]):
                yield position, "an exercise without a solution within the next two code cells"
        elif re.search(r"\bcheck\(", cell.source) and "example" not in _tags(cell):
            yield position, "a cell that checks an answer is tagged `exercise`, or `example` if it only shows how"
        if "solution" in _tags(cell):
            name = checked[2] if checked else ""
            if checked and not re.search(rf"^(def|class) {name}\b|^{name} = (?!right_or)", cell.source, re.M):
                yield position, f"a solution defines what the exercise before it checks: {name}"
            hidden = cell.metadata.get("jupyter", {}).get("source_hidden") and cell.metadata.get("cellView") == "form"
            if not hidden or not cell.source.startswith("# @title"):
                yield position, "a solution is collapsed: jupyter.source_hidden, cellView form, `# @title` first"


def _cells(notebook: NotebookNode) -> Problems:
    for position, cell in enumerate(notebook.cells):
        for tag in _tags(cell) - TAGS:
            yield position, f"unknown tag {tag!r}: one of {', '.join(sorted(TAGS))}"
        if not cell.source.strip():
            yield position, "an empty cell"
