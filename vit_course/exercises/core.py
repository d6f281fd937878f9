"""The exercises: what one is, where they are found, and what a learner calls.

How to write a bank. Add `banks/topic.py` with a list `EXERCISES`; it is found by itself and tested by
tests/test_banks.py.

    EXERCISES = [
        Exercise(
            name="patchify", notebook="07", title="Cut images into patches",
            reference=patchify,               # right and plain; needs torch and NumPy alone, never vit_course.models
            probes=lambda: [(torch.rand(1, 1, 4, 4), 2), (torch.rand(2, 3, 4, 6), 2)],  # arguments, smallest first
            result="patches",                 # a tuple of names where a tuple comes back
            axes={"images": "B C H W", "patches": "B N D"},
            hints=["What is near …?", "Which axes …?"],
            mistakes=[Mistake("reshape", wrong_function, "What is wrong, what it does to training, where to look.")],
            variants=[with_einsum, with_loops],   # right too, written in another way
        ),
    ]

Probes make latent bugs visible: sizes that differ from each other, non-square images, more than one channel. They are
made anew, from one seed, for every call. What the reference leaves as it was, an answer may not change in place.
`call` says how an answer is used where `answer(*inputs)` is not it, for answer, reference and mistakes alike:

- `call=value`: the answer is a number or tuple that the learner predicts, and `probes` is left out.
- `call=build_and_run`: a module class. Each probe is (constructor's arguments as a dict, input, …).
- a function of your own, `call(answer, *inputs)`: a training step whose parameters are looked at afterwards, a gradient
  (`{"output": y, "gradient": x.grad}`), a random answer's properties (`{"share mirrored": "about half"}`). Dicts are
  compared key by key, and the key is what the learner reads. `raise Complaint("…")` for what cannot be used at all.

A mistake is recognised by doing the same as its wrong implementation on every probe. The first that fits speaks.
If none fits, late probes that stop the answer with an error are left out, where they are a third or fewer.
"""

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vit_course.exercises import examine as diagnosis
from vit_course.exercises.compare import Tolerance
from vit_course.exercises.running import (
    Complaint,
    build_and_run,
    fixed_randomness,
    is_blank,
    network,
    same_weights,
    value,
)
from vit_course.exercises.show import MARKS, Report, show

__all__ = [
    "Complaint",
    "Exercise",
    "Mistake",
    "Tolerance",
    "build_and_run",
    "is_blank",
    "network",
    "same_weights",
    "value",
]


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer and what to say about it: what is wrong, what it does, where to look; not the code."""

    name: str
    wrong: object
    message: str


def call_directly(answer: Callable, *inputs: object) -> object:
    """The usual way: the answer is a function of the inputs."""
    return answer(*inputs)


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise; the fields are explained at the top of this module.

    solved: one sentence for whoever has solved it.
    """

    name: str
    notebook: str
    title: str
    reference: object
    hints: Sequence[str]
    probes: Callable[[], list[tuple]] = lambda: [()]
    mistakes: Sequence[Mistake] = ()
    variants: Sequence[object] = ()
    call: Callable = call_directly
    result: str | tuple[str, ...] = "result"
    axes: Mapping[str, str] = field(default_factory=dict)
    tolerance: Tolerance = Tolerance()  # noqa: RUF009 - frozen
    solved: str = ""

    @property
    def calls_directly(self) -> bool:
        """Whether an answer is called with the inputs as they are."""
        return self.call is call_directly

    @property
    def reveals(self) -> bool:
        """Whether a report may show the expected value: not where that value is the answer."""
        return self.call is not value

    @property
    def result_name(self) -> str:
        """What messages call the whole result."""
        return self.result if isinstance(self.result, str) else "result"

    @property
    def input_names(self) -> list[str]:
        """What messages call the inputs: the parameters' names."""
        if self.call is value:
            return []
        if self.call is build_and_run:
            return ["options", *list(inspect.signature(self.reference.forward).parameters)[1:]]
        if self.calls_directly:
            return list(inspect.signature(self.reference).parameters)
        return list(inspect.signature(self.call).parameters)[1:]

    def part(self, name: str, index: int) -> tuple[str, str]:
        """Name and axes of item `index` of a tuple or list called `name`."""
        if name == self.result_name and not isinstance(self.result, str) and index < len(self.result):
            return self.result[index], self.axes.get(self.result[index], "")
        return f"{name}[{index}]", self.axes.get(name, "")

    def entry(self, name: str, key: object) -> tuple[str, str]:
        """Name and axes of what stands under `key` in a dict called `name`."""
        return str(key) if name == self.result_name else f"{name}: {key}", self.axes.get(str(key), "")

    def inputs(self) -> list[tuple]:
        """Fresh probes, always the same ones."""
        with fixed_randomness():
            return self.probes()


@functools.cache
def registry() -> dict[str, Exercise]:
    """Every exercise by name, in the order of the notebooks.

    Raises:
        ValueError: two exercises of one name.
    """
    from vit_course.exercises import banks

    found: dict[str, Exercise] = {}
    modules = [importlib.import_module(f"{banks.__name__}.{m.name}") for m in pkgutil.iter_modules(banks.__path__)]
    for exercise in sorted((e for module in modules for e in module.EXERCISES), key=lambda e: e.notebook):
        if exercise.name in found:
            raise ValueError(f"two exercises are called {exercise.name!r}: give one another name")
        found[exercise.name] = exercise
    return found


@dataclass
class Record:
    """What happened with one exercise in this session. Its status is the last check's, but what is solved stays so."""

    checks: int = 0
    hints: int = 0
    status: str = "not started"

    def add(self, status: str) -> None:
        """Note a check that ended in `status` ("solved", "wrong" or "not started")."""
        self.checks += status != "not started"
        if self.status != "solved":
            self.status = "tried" if status == "wrong" else status


session: dict[str, Record] = {}


def unknown(name: object) -> Report | None:
    """What to say if there is no exercise `name`; None if there is."""
    if isinstance(name, str) and name in registry():
        return None
    if not isinstance(name, str):
        return Report(
            "", "note", "The name comes first", 'For instance: `check("mirror", mirror)`, or `hint("mirror")`.'
        )
    near = difflib.get_close_matches(name, registry(), n=1, cutoff=0.5)
    message = f'Did you mean `"{near[0]}"`?' if near else f"There are: {', '.join(f'`{n}`' for n in registry())}."
    return Report(name, "note", f'There is no exercise "{name}"', message)


def examine(name: str, answer: object) -> Report:
    """The report that `check` would show, with nothing displayed or recorded."""
    return unknown(name) or diagnosis.examine(registry()[name], answer)


def check(name: str, answer: object = ...) -> None:
    """Check your answer to an exercise and show what is right, or what exactly is wrong. Never raises.

    >>> check("mirror", mirror)
    """
    try:
        report = examine(name, answer)
    except Exception as error:  # a checker that stops a notebook is worse than one that gives up
        text = f"`{type(error).__name__}: {error}`"
        show(Report(str(name), "note", f"{name}: the check itself failed", f"That is our fault, not yours. {text}"))
        return
    if report.status != "note":
        session.setdefault(name, Record()).add(report.status)
    show(report)


def hint(name: str) -> None:
    """Show the next hint for an exercise; the last one says that it is the last."""
    report = unknown(name)
    if report is None:
        hints = registry()[name].hints
        record = session.setdefault(name, Record())
        number = min(record.hints, len(hints) - 1)
        record.hints += 1
        last = "That was the last hint. The solution, if your notebook has it, is folded away below."
        more = f'For the next one: `hint("{name}")`'
        title = f"{name}: hint {number + 1} of {len(hints)}"
        report = Report(name, "hint", title, hints[number], footer=last if number + 1 == len(hints) else more)
    show(report)


def progress() -> None:
    """Show where you stand: every exercise of the notebooks whose exercises you met in this session."""
    met = {registry()[name].notebook for name in session}
    order = {name: place for place, name in enumerate(session)}  # of meeting them, which is the notebook's own
    exercises = [e for e in registry().values() if e.notebook in met]
    exercises.sort(key=lambda e: (e.notebook, order.get(e.name, len(order))))
    statuses = [session.get(e.name, Record()).status for e in exercises]
    marks = {"solved": MARKS["solved"], "tried": "…", "not started": MARKS["not started"]}
    facts = tuple(
        (f"{e.notebook}  {e.name}", f"{marks[status]} {status}") for e, status in zip(exercises, statuses, strict=True)
    )
    title = f"{statuses.count('solved')} of {len(exercises)} solved" if met else "No exercise checked yet"
    show(Report("", "note", title, "" if met else 'Run the cell of an exercise: it ends in `check("…", …)`.', facts))


def results() -> dict[str, dict]:
    """This session as data, for marking: name → notebook, status ("solved", "tried", "not started"), checks, hints."""
    return {
        name: {
            "notebook": registry()[name].notebook,
            "status": session[name].status,
            "checks": session[name].checks,
            "hints": session[name].hints,
        }
        for name in registry()
        if name in session
    }
