"""Every exercise of every bank, and every exercise cell of every notebook: a new one is tested without a word here."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from vit_course.exercises import core
from vit_course.exercises.core import Exercise, examine, registry, value
from vit_course.exercises.examine import known_outcomes

NOTEBOOKS = sorted(Path(__file__).parents[1].glob("notebooks/*.ipynb"))
ALL = list(registry().values())
every_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
every_mistake = pytest.mark.parametrize(
    ("exercise", "mistake"),
    [pytest.param(e, m, id=f"{e.name}-{m.name}") for e in ALL for m in e.mistakes],
)


def stub(*_):
    """What a notebook gives."""
    ...


@every_exercise
def test_an_exercise_is_complete(exercise: Exercise):
    names = [mistake.name for mistake in exercise.mistakes]
    messages = [mistake.message for mistake in exercise.mistakes]
    assert exercise.title and re.fullmatch(r"\d\d", exercise.notebook)
    assert len(exercise.hints) >= 2
    assert len(exercise.mistakes) >= (1 if exercise.call is value else 4)
    assert len(set(names)) == len(names) and len(set(messages)) == len(messages)
    if exercise.call is not value:
        assert len(exercise.inputs()) >= 2 and len(exercise.variants) >= 2
        assert exercise.reference.__module__.startswith(("vit_course.exercises.", "torch."))


@every_exercise
@pytest.mark.filterwarnings("error")
def test_right_answers_pass_and_a_stub_is_not_started(exercise: Exercise):
    known_outcomes.cache_clear()
    assert not [o.error for o in known_outcomes(exercise)[0] if not isinstance(o.error, ValueError | None)]
    for answer in (exercise.reference, *exercise.variants):
        report = examine(exercise.name, answer)
        assert report.status == "solved", report
    for untouched in (..., stub):
        assert examine(exercise.name, untouched).status == "not started"


class Awkward:
    """A result that cannot even be compared or printed."""

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None
    __repr__ = None


STRANGE = [
    None, True, 3, float("nan"), 1j, "text", b"bytes", (), [], {}, {1, 2}, range(3), [None], [[1], [2, 3]],
    {"a": torch.ones(1)}, np.array(1.0), np.array(["a"]), np.array([object()]), np.float32(1), np.ma.masked,
    torch.tensor([]), torch.tensor(1.0), torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.complex64),
    torch.eye(2).to_sparse(), torch.ones(2, device="meta"), torch.float32, torch.nn.Linear(2, 2), torch.Generator(),
    iter([1]), map(str, [1]), Awkward(), Awkward, print, object(),
]  # fmt: skip


@every_exercise
def test_no_answer_breaks_the_check(exercise: Exercise):
    for thing in STRANGE:
        for answer in (thing, lambda *_, thing=thing: thing, lambda *_, thing=thing: (thing, thing)):
            report = examine(exercise.name, answer)
            assert report.status in ("wrong", "not started")
            assert repr(report) and report._repr_html_() and " at 0x" not in repr(report)


@every_mistake
@pytest.mark.filterwarnings("ignore")
def test_a_mistake_gets_its_own_message(exercise, mistake):
    report = examine(exercise.name, mistake.wrong)
    assert report.status == "wrong"
    assert report.mistake == mistake.name, report
    assert report.message == mistake.message
    assert report == examine(exercise.name, mistake.wrong)


def test_no_two_mistakes_are_worded_alike():
    messages = [mistake.message for exercise in ALL for mistake in exercise.mistakes]
    assert len(set(messages)) == len(messages)


def code_cells(path: Path, tag: str) -> list[str]:
    """The sources of the code cells with a tag, in order."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code" and tag in c["metadata"].get("tags", [])]


def exercise_cells() -> list:
    """(path, name, stub cell, answer's name) of every `check("name", answer)` in an exercise cell."""
    found = []
    for path in NOTEBOOKS:
        for source in code_cells(path, "exercise"):
            for name, answer in re.findall(r'^check\("(\w+)", (\w+)\)', source, flags=re.MULTILINE):
                found.append(pytest.param(path, name, source, answer, id=f"{path.stem[:2]}-{name}"))
    return found


@pytest.mark.parametrize(("path", "name", "source", "answer"), exercise_cells())
def test_a_notebooks_stub_and_solution(path, name, source, answer, monkeypatch):
    assert name in registry(), f"{path.name} checks {name!r}, which no bank has"
    assert registry()[name].notebook == path.name[:2]
    monkeypatch.setattr(core, "show", lambda report: None)
    space = {}
    exec("import torch, numpy as np\nfrom torch import nn, Tensor\nfrom vit_course.exercises import check", space)
    given = dict(space)
    exec(source, given)
    assert examine(name, given[answer]).status == "not started"
    solutions = [
        cell for cell in code_cells(path, "solution") if re.search(rf"^(def|class) {answer}\b|^{answer} =", cell, re.M)
    ]
    assert len(solutions) == 1, f"{path.name} needs one solution cell that defines {answer}"
    exec(solutions[0], space)
    report = examine(name, space[answer])
    assert report.status == "solved", report


def test_every_exercise_stands_in_its_notebook():
    checked = {(case.values[0].name[:2], case.values[1]) for case in exercise_cells()}
    written = {path.name[:2] for path in NOTEBOOKS}
    missing = [e.name for e in ALL if e.notebook in written and (e.notebook, e.name) not in checked]
    assert not missing
