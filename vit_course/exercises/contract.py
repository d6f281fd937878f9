"""What is wrong with a result before its numbers are looked at: its type, count, shape, dtype, device, NaN, gradient.

Each function returns one or two plain sentences, or None if that part of the contract is kept.
"""

import itertools
import math

import numpy as np

from vit_course.exercises.compare import (
    ARRAYS,
    LISTS,
    Tolerance,
    as_array,
    different,
    dtype_of,
    kind,
    same_dtype,
    shape_text,
)

ARTICLES = {"NumPy array": "a NumPy array", "number": "a number", "text": "a text", "dict": "a dict", "None": "None"}
REMEDIES = {
    ("torch tensor", "NumPy array"): " (`torch.from_numpy(array.copy())` makes a tensor of an array)",
    ("NumPy array", "torch tensor"): " (`.numpy()` turns a tensor into an array)",
    ("torch tensor", "sequence"): " (`torch.stack` or `torch.tensor` makes one tensor of it)",
    ("number", "torch tensor"): " (`.item()` takes the number out of a tensor that holds one)",
    ("sequence", "iterator"): " (`yield` makes an iterator: collect its items in a list)",
}


def a(value: object) -> str:
    """ "a torch tensor", "None", "2 values in a tuple": the kind of a value in a sentence."""
    if kind(value) in LISTS:
        return f"{len(value)} value{'s' * (len(value) != 1)} in a {type(value).__name__.lower()}"
    return ARTICLES.get(kind(value), f"a {kind(value)}")


def problem(exercise, expected: object, yours: object, name: str | None = None, axes: str | None = None) -> str | None:
    """The first breach of the contract anywhere in `yours`, or None."""
    name = name or exercise.result_name
    axes = exercise.axes.get(name, "") if axes is None else axes
    wanted, given = kind(expected), kind(yours)
    subject = "Your result" if name == "result" else f"`{name}`"
    if yours is None and expected is not None:
        return f"{'Your code' if name == 'result' else subject} gives `None`: is the `return` missing?"
    if wanted != given and not (wanted == "iterator" and given == "sequence"):
        returned = "You returned" if name == "result" else f"{subject} is"
        parts = (
            "" if name != "result" or exercise.result_name == exercise.result else f": `{', '.join(exercise.result)}`"
        )
        return f"{returned} {a(yours)}, expected {a(expected)}{parts}{REMEDIES.get((wanted, given), '')}."
    if wanted in LISTS:
        return count_problem(subject, expected, yours) or first(
            problem(exercise, e, y, *exercise.part(name, i))
            for i, (e, y) in enumerate(zip(expected, yours, strict=True))
        )
    if wanted == "dict":
        return keys_problem(subject, expected, yours) or first(
            problem(exercise, expected[key], yours[key], *exercise.entry(name, key)) for key in expected
        )
    if wanted in ARRAYS:
        return array_problem(exercise, subject, expected, yours, axes)
    if wanted == "number" and isinstance(yours, float) and not math.isfinite(yours) and math.isfinite(expected):
        return f"{subject} is {yours}, not a finite number."
    return None


def first(problems) -> str | None:
    """The first that is not None."""
    return next((found for found in problems if found), None)


def count_problem(subject: str, expected, yours) -> str | None:
    """A list, tuple or iterator of another length."""
    if len(yours) == len(expected):
        return None
    if kind(yours) == "iterator" and len(yours) > len(expected):
        return f"{subject} gives more than the {len(expected)} items expected: does it ever stop?"
    return f"{subject} holds {len(yours)} items, expected {len(expected)}."


def keys_problem(subject: str, expected, yours) -> str | None:
    """A dict with other keys (the parameters of a module, for instance)."""
    missing = [f"`{key}`" for key in expected if key not in yours]
    extra = [f"`{key}`" for key in yours if key not in expected]
    if not missing and not extra:
        return None
    lacks = f" lacks {', '.join(missing)}" if missing else ""
    has = f" has {', '.join(extra)}, which is not expected" if extra else ""
    return f"{subject}{' and'.join(filter(None, (lacks, has)))}."


def array_problem(exercise, subject: str, expected, yours, axes: str) -> str | None:
    """Shape, dtype, device, NaN and gradient of one tensor, array or PIL image."""
    wanted, given = as_array(expected).shape, as_array(yours).shape
    if wanted != given:
        told = f"{subject} has shape {shape_text(given)}, expected {shape_text(wanted, axes)}"
        why = shape_reason(wanted, given, axes.split() or [f"axis {i}" for i in range(len(wanted))])
        return f"{told}: {why}." if why else f"{told}."
    if not same_dtype(expected, yours, exercise.tolerance):
        if kind(expected) == "PIL image":
            return f"{subject} has mode {yours.mode}, expected {expected.mode}."
        why = dtype_reason(expected, yours, exercise.tolerance)
        return f"{subject} has dtype {dtype_of(yours)}, expected {dtype_of(expected)}.{why}"
    if kind(expected) == "torch tensor" and expected.device.type != yours.device.type:
        return f"{subject} is on {yours.device}, expected on {expected.device}, where its inputs are."
    if as_array(yours).dtype.kind in "fc" and np.isfinite(as_array(expected)).all():
        bad = ~np.isfinite(as_array(yours))
        if bad.any():
            what = "NaN" if np.isnan(as_array(yours)).any() else "infinite"
            return f"{subject} has values that are {what}: {bad.sum()} of {bad.size}."
    if kind(expected) == "torch tensor" and expected.requires_grad and not yours.requires_grad:
        return (
            f"{subject} has lost its gradient: nothing before it can learn. "
            "(`.detach()`, `.item()`, `.numpy()`, `torch.tensor(…)` and `torch.no_grad()` cut it.)"
        )
    return None


def dtype_reason(expected, yours, tolerance: Tolerance) -> str:
    """What a wrong dtype does, where that is worth a sentence; and for bytes, whether the values are right."""
    wanted, given = dtype_of(expected), dtype_of(yours)
    if wanted == "float32" and given == "float64":
        return " Models keep their weights in float32 and refuse float64."
    if wanted.startswith("float") and given.startswith(("int", "uint")):
        return " Whole numbers lose everything after the point."
    if wanted == "uint8" and given.startswith("float"):
        if not different(expected, yours, tolerance).any():
            return " Four times the memory, for the same 256 values."
        if not different(expected, as_array(yours) * 255, tolerance).any():
            return " The values are the expected ones divided by 255: leave them as they are."
        return " The values differ too."
    return ""


def shape_reason(wanted: tuple[int, ...], given: tuple[int, ...], names: list[str]) -> str | None:
    """How `given` came from `wanted`, if it can be told: axes swapped, missing, merged, added, or of another length."""
    count = len(wanted)
    if len(given) == count:
        orders = [p for p in itertools.permutations(range(count)) if tuple(wanted[i] for i in p) == given]
        if len(orders) == 1:
            moved = [i for i, j in enumerate(orders[0]) if i != j]
            if len(moved) != 2:
                return f"the axes are in another order, ({', '.join(names[i] for i in orders[0])})"
            if moved == [count - 2, count - 1] and count > 2:
                return "the last two axes are swapped"
            return f"{names[moved[0]]} and {names[moved[1]]} are swapped"
        wrong = [i for i in range(count) if wanted[i] != given[i]]
        if len(wrong) == 1:
            return f"{names[wrong[0]]} is {given[wrong[0]]} instead of {wanted[wrong[0]]}"
        return None
    if len(given) == count - 1:
        gone = [i for i in range(count) if wanted[:i] + wanted[i + 1 :] == given]
        if gone and (len(gone) == 1 or wanted[gone[0]] == 1):
            return f"{names[gone[0]]} is missing"
        merged = [i for i in range(count - 1) if (*wanted[:i], wanted[i] * wanted[i + 1], *wanted[i + 2 :]) == given]
        if len(merged) == 1:
            return f"{names[merged[0]]} and {names[merged[0] + 1]} are merged into one"
    squeezed = tuple(size for size in given if size != 1)
    if len(given) > count and squeezed == tuple(size for size in wanted if size != 1):
        return "there are extra axes of length 1"
    if len(given) > count and wanted == given[:count]:
        return f"there {'is an axis' if len(given) == count + 1 else 'are axes'} too many at the end"
    if not given and np.prod(wanted) > 1:
        return "everything is reduced to one number"
    if len(given) == 1 and np.prod(wanted) == given[0]:
        return "everything is in one row"
    return f"{len(given)} {'axis' if len(given) == 1 else 'axes'} instead of {count}"
