"""Calls an answer as the exercise asks: fresh inputs, fixed randomness, nothing that escapes."""

import contextlib
import dis
import inspect
import itertools
import random
import sysconfig
import traceback
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vit_course.exercises import contract
from vit_course.exercises.compare import Tolerance, Yielded, kind, same

SEED = 20
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # what a batch norm keeps
ENGINE = str(Path(__file__).parent)
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Complaint(Exception):
    """Raised by an exercise's `call` about a result it cannot work with: its text is shown as what is wrong."""


@dataclass(frozen=True)
class Outcome:
    """What one call did: its value, or its error, and the names of inputs it changed in place.

    norms: those of them that are networks of which only the batch norms' running statistics have changed.
    """

    value: object = None
    error: BaseException | None = None
    changed: tuple[str, ...] = ()
    norms: tuple[str, ...] = ()

    def same(self, other: "Outcome", tolerance: Tolerance) -> bool:
        """Whether `other` is as good as this one: an error of the same type counts as the same."""
        if self.changed != other.changed:
            return False
        if self.error is not None:
            return isinstance(other.error, type(self.error))
        return other.error is None and same(self.value, other.value, tolerance)


@contextlib.contextmanager
def fixed_randomness(seed: int = SEED) -> Iterator[None]:
    """Seed Python, NumPy and torch, and give them their old states back afterwards."""
    states = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed)
        torch.random.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def run(exercise, answer: object, expected: "list[Outcome] | None" = None) -> list[Outcome]:
    """Call `answer` on every probe. `expected`, the reference's outcomes, says how much to take from an iterator."""
    fresh, used = exercise.inputs(), exercise.inputs()
    outcomes = []
    for i, inputs in enumerate(used):
        wanted = expected[i].value if expected else None
        limit = (len(wanted) if isinstance(wanted, (list, tuple)) else 1000) + 1 if expected else None
        value = error = None
        with fixed_randomness(), torch.enable_grad():
            try:
                value = exercise.call(answer, *inputs)
                if isinstance(value, Iterator):
                    value = Yielded(itertools.islice(value, limit))
            except (Exception, SystemExit) as caught:
                error = caught
        pairs = zip(exercise.input_names, fresh[i], inputs, strict=False)
        changed = {name: (a, b) for name, a, b in pairs if state(a) != state(b)}
        norms = tuple(name for name, pair in changed.items() if only_statistics(*pair))
        outcomes.append(Outcome(value, error, tuple(changed), norms))
    return outcomes


def only_statistics(before: object, after: object) -> bool:
    """Whether two networks that differ do so in nothing but the running statistics of batch norms."""
    if not isinstance(before, torch.nn.Module):
        return False
    a, b = state(before), state(after)
    return a.keys() == b.keys() and all(a[key] == b[key] or key.rpartition(".")[2] in STATISTICS for key in a)


def state(value: object) -> object:
    """What would show a change of `value` in place, in a form that `!=` compares; None for what cannot be looked at."""
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if kind(value) == "torch tensor":
        contents = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return str(value.dtype), tuple(value.shape), contents
    if kind(value) == "NumPy array":
        return str(value.dtype), value.shape, value.tobytes()
    if kind(value) == "dict":
        return {key: state(item) for key, item in value.items()}
    if kind(value) == "sequence":
        return [state(item) for item in value]
    return value if kind(value) in ("number", "text") else None


def value(answer: object) -> object:
    """The `call` of an exercise whose answer is no function but a value that the learner predicts."""
    return answer


def build_and_run(answer: Callable, options: dict, *inputs: object) -> dict:
    """The `call` of an exercise whose answer is a module class: build it with `options`, give it the same random
    weights as the reference, run it forward. A parameter with another name or shape shows up by its name."""
    module = answer(**options)
    same_weights(module)
    return {
        "parameters": {name: tuple(p.shape) for name, p in module.named_parameters()},
        "output": module(*inputs),
    }


def network(result: object) -> object:
    """What an answer gave back where a network is asked for; a `...` is handed on as well.

    Raises:
        Complaint: it is something else.
    """
    if isinstance(result, torch.nn.Module) or holds_ellipsis(result):
        return result
    if result is None:
        raise Complaint("Your function gives back `None`: is the `return` missing?")
    raise Complaint(f"Your function gives back {contract.a(result)}. A network is asked for, an `nn.Module`.")


def same_weights(module: torch.nn.Module) -> torch.nn.Module:
    """Fill every parameter and floating buffer with numbers drawn from its name: equal names get equal values."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            is_buffer = name not in dict(module.named_parameters())
            with torch.no_grad():  # a buffer may be a variance: positive
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + (0.5 if is_buffer else -0.5))
    return module


def is_stub(answer: object) -> bool:
    """Whether `answer` is still as the notebook gave it: `...`, or a body that does nothing (a class: any method's)."""
    if answer is ...:
        return True
    bodies = functions(answer)
    if inspect.isclass(answer):
        bodies = [f for f in bodies if f.__name__ != "__init__"] or bodies
        return any(does_nothing(f, own=f.__code__.co_varnames[:1]) for f in bodies)
    return any(does_nothing(f) for f in bodies)


def does_nothing(function: types.FunctionType, own: tuple[str, ...] = ()) -> bool:
    """Read off the bytecode (cells have no file to read): no argument is used but `own`, no name, no constant."""
    code = function.__code__
    constants = [c for c in code.co_consts if c is not None and c is not ... and c != function.__doc__]
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    arguments = set(code.co_varnames[:count]) - set(own)
    loads = [step.argval for step in dis.get_instructions(code) if step.opname.startswith("LOAD_FAST")]
    used = {name for load in loads for name in (load if isinstance(load, tuple) else (load,))}
    names = {*code.co_names, *code.co_freevars} - {"super", "__init__", "__class__", "NotImplementedError"}
    return not constants and not used & arguments and not names


def unfinished(outcome: Outcome, answer: object) -> bool:
    """Whether a call came upon a `...` that the learner has not replaced yet, or upon their NotImplementedError."""
    if isinstance(outcome.error, NotImplementedError):  # torch raises it too, but does not name it in the answer
        return any("NotImplementedError" in f.__code__.co_names for f in functions(answer))
    return holds_ellipsis(outcome.value) if outcome.error is None else "ellipsis" in str(outcome.error).lower()


def functions(answer: object) -> list[types.FunctionType]:
    """The Python functions that make up an answer: itself, or a class's methods."""
    found = (
        list(vars(answer).values()) if inspect.isclass(answer) else [inspect.unwrap(answer)] if callable(answer) else []
    )
    return [f for f in found if isinstance(f, types.FunctionType)]


def holds_ellipsis(value: object) -> bool:
    """Whether `...` stands anywhere in a value."""
    if kind(value) == "dict":
        return any(holds_ellipsis(item) for item in value.values())
    if kind(value) in ("sequence", "iterator") and not isinstance(value, range):
        return any(holds_ellipsis(item) for item in value)
    return value is ...


def is_blank(result: object) -> bool:
    """Whether an answer gave nothing to look at: None, or a `...` somewhere. A `call` hands that on as it is."""
    return result is None or holds_ellipsis(result)


def learners_line(error: BaseException, answer: object) -> str | None:
    """The deepest line of the learner's own code that led to `error`: "line 3:  return x[::-1]"."""
    own = {f.__code__.co_filename for f in functions(answer)}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in own or not frame.filename.startswith((ENGINE, *LIBRARIES, "<frozen")):
            return f"line {frame.lineno}" + (f":  {frame.line}" if frame.line else "")
    return None
