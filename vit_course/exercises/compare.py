"""Whether two results are the same, and how to print one: tensors, arrays, numbers, text, lists and dicts of them."""

import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

ARRAYS = ("torch tensor", "NumPy array", "PIL image")
LISTS = ("sequence", "iterator")
SMALL = 24  # as many values are printed in full; more are summarised
DIGITS, ALL_DIGITS = 4, 17  # as many are printed; as many tell any two numbers apart


class Yielded(list):
    """What an iterator gave, taken out of it, so that it can be compared and counted."""


@dataclass(frozen=True)
class Tolerance:
    """How near is near enough: |yours - expected| <= atol + rtol · |expected|.

    any_float: float64 is as good as float32.  only_values: no type matters; the engine's own, to recognise a mistake.
    """

    rtol: float = 1e-4
    atol: float = 1e-5
    any_float: bool = False
    only_values: bool = False


def kind(value: object) -> str:
    """A word for the type of `value`, in which a tuple is as good as a list and any number is a number."""
    if isinstance(value, torch.Tensor):
        return "torch tensor" if value.layout == torch.strided else "sparse torch tensor"
    if isinstance(value, np.ndarray):
        return "NumPy array"
    if isinstance(value, (numbers.Number, np.generic)):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Yielded):
        return "iterator"
    if isinstance(value, (list, tuple, range)):
        return "sequence"
    if isinstance(value, Mapping):
        return "dict"
    if value is None:
        return "None"
    if type(value).__module__.startswith("PIL."):
        return "PIL image"
    return type(value).__name__


def dtype_of(value: object) -> str:
    """The dtype of a tensor or array as both libraries spell it, such as "float32"."""
    return str(value.dtype).removeprefix("torch.")


def as_array(value: object) -> np.ndarray:
    """Any tensor, array, PIL image or number as a NumPy array on the CPU (bfloat16 becomes float64, no data zeros)."""
    if isinstance(value, torch.Tensor):
        value = torch.zeros_like(value, device="cpu") if value.is_meta else value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).resolve_conj().numpy()
    return np.asarray(value)


def different(expected: object, yours: object, tolerance: Tolerance) -> np.ndarray:
    """Which elements of two equally shaped tensors, arrays or numbers differ. Two NaN agree; a text is no number."""
    a, b = as_array(expected), as_array(yours)
    numbers = [array.dtype.kind in "biufc" for array in (a, b)]
    if not all(numbers):
        return np.full(a.shape, True) if any(numbers) else a != b
    if a.dtype == b.dtype and a.dtype.kind in "biu":
        return a != b
    return ~np.isclose(b, a, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True)


def same(expected: object, yours: object, tolerance: Tolerance) -> bool:
    """Whether `yours` is as good as `expected`: same kind, shape and dtype, values within `tolerance`."""
    wanted, given = kind(expected), kind(yours)
    if wanted in LISTS and given in LISTS:
        return (
            (wanted == "iterator" or given == "sequence" or tolerance.only_values)
            and len(expected) == len(yours)
            and all(same(a, b, tolerance) for a, b in zip(expected, yours, strict=True))
        )
    arrays = (*ARRAYS, "number")
    if wanted != given and not (tolerance.only_values and wanted in arrays and given in arrays):
        return False
    if wanted == "dict":
        return expected.keys() == yours.keys() and all(same(expected[key], yours[key], tolerance) for key in expected)
    if wanted in arrays:
        return (
            as_array(expected).shape == as_array(yours).shape
            and (tolerance.only_values or same_make(expected, yours, tolerance))
            and not different(expected, yours, tolerance).any()
        )
    return bool(expected == yours)


def same_make(expected: object, yours: object, tolerance: Tolerance) -> bool:
    """Whether two numbers, tensors, arrays or images agree in dtype, in device, and in having a gradient if wanted."""
    if kind(expected) == "number":
        return True
    if kind(expected) == "torch tensor" and (
        expected.device.type != yours.device.type or expected.requires_grad > yours.requires_grad
    ):
        return False
    return same_dtype(expected, yours, tolerance)


def comparable(expected: object, yours: object) -> bool:
    """Whether two values are tensors, arrays or images of one kind and shape: elements can be set side by side."""
    return kind(expected) == kind(yours) and kind(yours) in ARRAYS and as_array(expected).shape == as_array(yours).shape


def same_dtype(expected: object, yours: object, tolerance: Tolerance) -> bool:
    """Whether two tensors or arrays have the same dtype, or both are floating and that is enough."""
    if not hasattr(expected, "dtype"):
        return expected.mode == yours.mode  # PIL
    floats = ("float32", "float64")
    wanted, given = dtype_of(expected), dtype_of(yours)
    return wanted == given or (tolerance.any_float and wanted in floats and given in floats)


def shape_text(shape: tuple[int, ...], axes: str = "") -> str:
    """A shape with its axes' names: shape_text((2, 1, 12), "B 1 D") is "(B=2, 1, D=12)"."""
    names = axes.split()
    if len(names) != len(shape):
        return str(tuple(shape))
    sides = (f"{size}" if name == f"{size}" else f"{name}={size}" for name, size in zip(names, shape, strict=True))
    return "(" + ", ".join(sides) + ")"


def number_text(value: object, digits: int = DIGITS) -> str:
    """One number, rounded to `digits` digits where it is not whole."""
    value = value.item() if hasattr(value, "item") else value
    return f"{value:.{digits}g}" if isinstance(value, float) and not float(value).is_integer() else str(value)


def told_apart(tell: Callable[[int], tuple[str, str]]) -> tuple[str, str]:
    """Two texts, `tell(digits)`, with as many digits as they need to read differently; with the usual, if none help."""

    def read(text: str) -> str:
        """1.0 reads like 1, and -0.0 like 0.0."""
        numbers = re.sub(r"-?\d+(\.\d*)?(e[-+]\d+)?", lambda number: repr(float(number[0]) + 0.0), text)
        return "".join(numbers.split())

    tries = (tell(digits) for digits in range(DIGITS, ALL_DIGITS + 1))
    return next(((a, b) for a, b in tries if read(a) != read(b)), tell(DIGITS))


def describe(value: object, axes: str = "", numbers: bool = True, digits: int = DIGITS) -> str:
    """What `value` is, in one line, and with `numbers` those of a tensor or array below, if they are few."""
    if kind(value) in ARRAYS:
        array = as_array(value)
        dtype = value.mode if kind(value) == "PIL image" else dtype_of(value)
        device = f" on {value.device}" if kind(value) == "torch tensor" and value.device.type != "cpu" else ""
        head = f"{kind(value)}, {dtype}, {shape_text(array.shape, axes)}{device}"
        if not numbers or not 0 < array.size <= SMALL or array.dtype.hasobject:
            return head
        how = {"precision": digits, "suppress_small": True, "floatmode": "maxprec_equal", "max_line_width": 80}
        return f"{head}\n{np.array2string(array, separator=', ', **how)}"
    if kind(value) == "number":
        return number_text(value, digits)
    if kind(value) in LISTS and len(value) <= SMALL:
        parts = [describe(item, axes, digits=digits) for item in value]
        flat = "[" + ", ".join(parts) + "]" if isinstance(value, list) else "(" + ", ".join(parts) + ")"
        return flat if "\n" not in flat and len(flat) <= 80 else "\n".join(parts)
    if (
        kind(value) == "dict"
        and len(value) <= SMALL
        and all(kind(item) in ("number", "text") for item in value.values())
    ):
        return ", ".join(f"{key}={describe(item, digits=digits)}" for key, item in value.items())
    if kind(value) in (*LISTS, "dict"):
        return f"{type(value).__name__} of length {len(value)}"
    if isinstance(value, torch.nn.Module):
        return f"a {type(value).__name__}"
    text = repr(value) if kind(value) in ("text", "None") else f"a {type(value).__name__}"
    return text if len(text) <= 200 else text[:200] + "…"
