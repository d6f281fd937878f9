"""Compares an answer with the reference and finds the one thing to say about it."""

import functools
import inspect
import warnings

import numpy as np

from vit_course.exercises import compare, contract
from vit_course.exercises.compare import ARRAYS, LISTS, describe, different, kind, same, told_apart
from vit_course.exercises.running import Complaint, Outcome, is_stub, learners_line, run, unfinished, value
from vit_course.exercises.show import Report

STOPPED = "Your code stopped with an error. "


def examine(exercise, answer: object) -> Report:
    """The report on one answer. Pure: no display, no record, the random state as before."""
    name = exercise.name
    not_started = Report(
        name,
        "not started",
        f"{name}: not started",
        f"{exercise.title}. Write your code in place of the `...`, then run the cell again.",
        footer=f'For a first push: `hint("{name}")`',
    )
    if is_stub(answer):
        return not_started
    misuse = wrong_kind_of_answer(exercise, answer)
    if misuse:
        return wrong(exercise, misuse)
    expected, mistaken = known_outcomes(exercise)
    yours = run(exercise, answer, expected)
    if any(unfinished(y, answer) for y in yours):
        return not_started
    failing = [i for i, (e, y) in enumerate(zip(expected, yours, strict=True)) if not e.same(y, exercise.tolerance)]
    if not failing:
        times = "" if exercise.call is value else f" on {len(yours)} different inputs" if len(yours) > 1 else ""
        return Report(name, "solved", f"{name}: solved", f"Correct{times}. {exercise.solved}".strip())
    i = failing[0]
    problem = first_problem(exercise, expected[i], yours[i])
    facts = evidence(exercise, answer, exercise.inputs()[i], expected[i], yours[i])
    mistake, also = known_mistake(exercise, expected, mistaken, yours)
    if mistake:
        seen = "" if problem is None or isinstance(yours[i].error, Complaint) else problem.replace("`", "")
        label = "error" if yours[i].error else "seen"
        seen_fact = ((label, seen.removeprefix(STOPPED)),) if seen else ()
        return wrong(exercise, mistake.message + also, seen_fact + facts, mistake.name)
    message = problem or what_differs(exercise, expected[i].value, yours[i].value)
    if len(failing) < len(yours):
        message += f" (Right for {len(yours) - len(failing)} of {len(yours)} inputs; this is one where it is not.)"
    return wrong(exercise, message, facts)


def wrong(exercise, message: str, facts: tuple = (), mistake: str | None = None) -> Report:
    """A report that something is to be put right."""
    footer = f'Stuck? `hint("{exercise.name}")`'
    return Report(exercise.name, "wrong", f"{exercise.name}: not yet", message, facts, footer, mistake)


def wrong_kind_of_answer(exercise, answer: object) -> str | None:
    """The result was passed instead of the function, the object instead of the class, or other parameters asked for."""
    reference = exercise.reference
    if exercise.call is value:
        no_value = answer is None or inspect.isroutine(answer)
        return f"Pass the value that you predict, not {contract.a(answer)}." if no_value else None
    if inspect.isclass(reference) and not inspect.isclass(answer):
        return f'Pass the class itself, not an object or its output: `check("{exercise.name}", {exercise.name})`.'
    if not callable(answer):
        return (
            f"You passed {contract.a(answer)}. Pass the function itself, without brackets and arguments, "
            f'so that it can be tried on other inputs: `check("{exercise.name}", {exercise.name})`.'
        )
    if exercise.calls_directly:
        try:
            inspect.signature(answer).bind(*exercise.inputs()[0])
        except TypeError:
            takes = inspect.signature(answer)
            return f"Your function takes `{takes}`, but it is called with `({', '.join(exercise.input_names)})`."
        except ValueError:  # a built-in function that does not tell its parameters
            return None
    return None


def first_problem(exercise, expected: Outcome, yours: Outcome) -> str | None:
    """What is wrong on one probe: an exception, else a breach of the contract, else None for wrong values."""
    if isinstance(yours.error, Complaint):
        return error_text(yours.error)
    if yours.error is not None:
        return f"{STOPPED}`{error_text(yours.error)}`"
    if expected.error is not None:
        kind_of_error = type(expected.error).__name__
        return f"Here a `{kind_of_error}` should be raised (`{expected.error}`), but a result came back."
    problem = contract.problem(exercise, expected.value, yours.value)
    if problem:
        return problem
    wrongly = [name for name in yours.changed if name not in expected.changed]
    if wrongly and wrongly[0] in yours.norms:
        return (
            "The model was in training mode while it ran: its batch norms used the batch's statistics and wrote them "
            f"into their own. Evaluation mode, `{wrongly[0]}.eval()`, before the first batch."
        )
    if wrongly:
        return (
            f"Your code changes its input `{wrongly[0]}` in place: whoever called it loses the original. "
            f"Work on a copy, or use operations that make a new one."
        )
    if yours.changed != expected.changed:
        return f"`{expected.changed[0]}` should be changed, but it is as it was before."
    return None


def error_text(error: BaseException) -> str:
    """An error in one line: a Complaint's own words, or "ValueError: its text"."""
    text = " ".join(str(error).split())
    if isinstance(error, Complaint):
        return text
    return f"{type(error).__name__}: {text[:300]}".rstrip(": ").replace("`", "'")


def known_mistake(exercise, expected: list[Outcome], mistaken: list[list[Outcome]], yours: list[Outcome]):
    """(the known mistake that `yours` makes or None, what to say besides).

    An answer that makes one and is written for three channels, say, stops with an error on a late probe. It is known
    all the same, by the other probes, as long as these are most of them.
    """
    whole = range(len(yours))
    late = [i for i in whole[1:] if yours[i].error is not None and not isinstance(yours[i].error, Complaint)]
    chosen = [whole]
    if late and 3 * len(late) <= len(yours):
        chosen.append([i for i in whole if i not in late])
    for probes in chosen:
        for mistake, theirs in zip(exercise.mistakes, mistaken, strict=True):
            if recognised(exercise, *([outcomes[i] for i in probes] for outcomes in (theirs, expected, yours))):
                if probes is whole:
                    return mistake, ""
                return mistake, f" (Another input also stops it with an error: `{error_text(yours[late[0]].error)}`.)"
    return None, ""


@functools.lru_cache(maxsize=8)
def known_outcomes(exercise) -> tuple[list[Outcome], list[list[Outcome]]]:
    """What the reference does, and each known mistake: worked out once, as a learner checks again and again."""
    with warnings.catch_warnings():  # a warning about somebody else's mistake would puzzle the learner
        warnings.simplefilter("ignore")
        expected = run(exercise, exercise.reference)
        return expected, [run(exercise, mistake.wrong, expected) for mistake in exercise.mistakes]


def recognised(exercise, theirs: list[Outcome], expected: list[Outcome], yours: list[Outcome]) -> bool:
    """Whether an answer does on every probe what a known mistake does (`theirs`), types and dtypes aside.

    Errors are compared by type, and by text too where only errors tell the mistake from the reference.
    """
    loosely = compare.Tolerance(exercise.tolerance.rtol, exercise.tolerance.atol, only_values=True)
    if not all(m.same(y, loosely) and y.same(m, loosely) for m, y in zip(theirs, yours, strict=True)):
        return False
    exact = all(m.same(y, exercise.tolerance) for m, y in zip(theirs, yours, strict=True))
    telling = [
        m.error is None or str(m.error) == str(y.error)
        for e, m, y in zip(expected, theirs, yours, strict=True)
        if not e.same(m, exercise.tolerance if exact else loosely)
    ]
    return any(telling)


def evidence(exercise, answer, inputs: tuple, expected: Outcome, yours: Outcome) -> tuple[tuple[str, str], ...]:
    """The case: where it stopped, the inputs, what was expected, what came, where they first differ.

    Numbers are shown only where they are what differs.
    """
    facts = []
    if yours.error is not None and not isinstance(yours.error, Complaint):
        line = learners_line(yours.error, answer)
        facts += [("at", line)] if line else []
    compared, numbers = [], False
    if yours.error is None and not exercise.reveals:
        compared = [("yours", describe(yours.value))]
    elif yours.error is None and expected.error is None and not same(expected.value, yours.value, exercise.tolerance):
        label, axes, wanted, given = first_difference(exercise, expected.value, yours.value)
        numbers = compare.comparable(wanted, given) and bool(different(wanted, given, exercise.tolerance).any())
        suffix = "" if label == "result" else f" {label}"
        if kind(wanted) in ARRAYS and kind(given) in ARRAYS:
            shown_axes = axes if compare.comparable(wanted, given) else ""
            texts = told_apart(
                lambda digits: (describe(wanted, axes, numbers, digits), describe(given, shown_axes, numbers, digits))
            )
            compared = [
                *zip((f"expected{suffix}", f"yours{suffix}"), texts, strict=True),
                *(where(exercise, wanted, given, axes) if numbers else ()),
            ]
        elif kind(wanted) == kind(given) != "dict":
            numbers = True
            texts = told_apart(lambda digits: tuple(describe(v, axes, digits=digits) for v in (wanted, given)))
            compared = list(zip(("expected", "yours"), texts, strict=True))
            if suffix:
                compared = [(label, ", ".join(f"{who} {what}" for who, what in compared).replace("`", ""))]
    for name, item in zip(exercise.input_names, inputs, strict=False):
        facts.append((name, describe(item, exercise.axes.get(name, ""), numbers)))
    return (*facts, *compared)


def what_differs(exercise, expected: object, yours: object) -> str:
    """One sentence on values that differ where no contract is broken."""
    if not exercise.reveals:
        return "That is not it. Count once more, step by step."
    label, _, wanted, given = first_difference(exercise, expected, yours)
    if not isinstance(exercise.result, str) and kind(expected) in LISTS:
        parts = zip(exercise.result, expected, yours, strict=True)
        right = [f"`{name}`" for name, e, y in parts if same(e, y, exercise.tolerance)]
        if right:
            amiss = f"the values of `{label}` are not" if kind(wanted) in ARRAYS else f"`{label}` is not"
            return f"{' and '.join(right)} {'is' if len(right) == 1 else 'are'} right; {amiss}."
    if kind(wanted) in ARRAYS:
        return "Type and shape are right, the values are not."
    if label == "result":
        return "The result is not the expected one."
    if isinstance(wanted, bool) and isinstance(given, bool):
        return f"This should be so, but is not: {label}." if wanted else f"This should not be so, but is: {label}."
    if kind(wanted) in ("number", "text") and kind(given) in ("number", "text"):
        subject = f"{sentence_start(label)}:" if " " in label else f"`{label}` is"
        told, due = told_apart(lambda digits: tuple(describe_plainly(v, digits) for v in (given, wanted)))
        return f"{subject} {told}, expected {due}."
    return f"This is not as it should be yet: `{label}`."


def describe_plainly(value: object, digits: int) -> str:
    """A number or a text in a sentence: no quotation marks."""
    return value if isinstance(value, str) else describe(value, digits=digits)


def sentence_start(label: str) -> str:
    """`label` with a capital, unless its first word is code, as in "model.head afterwards"."""
    return label if any(sign in label.split()[0] for sign in "._()[]=") else f"{label[0].upper()}{label[1:]}"


def first_difference(exercise, expected: object, yours: object, name: str | None = None, axes: str | None = None):
    """(name, axes, expected, yours) of the first part that differs, looking into lists and dicts of equal length."""
    name = name or exercise.result_name
    axes = exercise.axes.get(name, "") if axes is None else axes
    named = name == exercise.result_name and not isinstance(exercise.result, str)  # a number with a name is a part, too
    if kind(expected) in LISTS and kind(yours) in LISTS and len(expected) == len(yours):
        for i, (e, y) in enumerate(zip(expected, yours, strict=True)):
            if not same(e, y, exercise.tolerance) and (named or kind(e) != "number"):
                return first_difference(exercise, e, y, *exercise.part(name, i))
    if kind(expected) == kind(yours) == "dict" and expected.keys() == yours.keys():
        for key in expected:
            if not same(expected[key], yours[key], exercise.tolerance):
                return first_difference(exercise, expected[key], yours[key], *exercise.entry(name, key))
    return name, axes, expected, yours


def where(exercise, wanted, given, axes: str) -> list[tuple[str, str]]:
    """How many values differ, and the first (few values) or the largest difference (many) with its index."""
    apart = different(wanted, given, exercise.tolerance)
    a, b = compare.as_array(wanted), compare.as_array(given)
    few = a.size <= compare.SMALL
    gaps = apart if few else apart * abs(b.astype(complex) - a.astype(complex))
    index = tuple(int(i) for i in np.unravel_index(gaps.argmax(), a.shape))
    names = axes.split() if len(axes.split()) == len(index) else []
    spot = ", ".join(f"{n}={i}" for n, i in zip(names, index, strict=True)) if names else ", ".join(map(str, index))
    due, told = told_apart(lambda digits: tuple(compare.number_text(array[index], digits) for array in (a, b)))
    which = "the first" if few else "the largest difference"
    return [("differ", f"{int(apart.sum())} of {a.size} values; {which} at [{spot}]: expected {due}, yours {told}")]
