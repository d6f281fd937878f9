"""The exercise engine: what it says of right, missing and wrong answers of every kind."""

import io
import itertools
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

from vit_course.exercises import core
from vit_course.exercises.compare import shape_text
from vit_course.exercises.core import Complaint, Exercise, Mistake, Tolerance, build_and_run, value
from vit_course.exercises.examine import examine
from vit_course.exercises.show import Report


def scale(x, weight):
    return x * weight


def exercise(reference=scale, **changes) -> Exercise:
    """A toy: x (B, N, D) times weight (D,), with sizes that all differ."""
    fields = {
        "name": "toy",
        "notebook": "00",
        "title": "Scale",
        "hints": ["a", "b"],
        "probes": lambda: [(torch.rand(2, n, 4), torch.rand(4)) for n in (3, 30)],
        "axes": {"x": "B N D", "weight": "D", "result": "B N D"},
    }
    return Exercise(reference=reference, **fields | changes)


def on(*inputs, **changes):
    """Changes to the toy: these inputs alone, without names for axes."""
    return {"probes": lambda: [inputs], "axes": {}} | changes


def test_a_right_answer_is_solved():
    report = examine(exercise(solved="Well done."), lambda x, weight: torch.einsum("bnd,d->bnd", x, weight))
    assert (report.status, report.message) == ("solved", "Correct on 2 different inputs. Well done.")


def documented(x, weight):
    """Only words."""
    ...


def half_written(x, weight):
    result = ...
    return result


def unfinished_inside(x, weight):
    return torch.stack([x, ...])


def announced(x, weight):
    raise NotImplementedError("to do")


class EmptyModule(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x): ...


@pytest.mark.parametrize("stub", [..., documented, half_written, unfinished_inside, announced, EmptyModule])
def test_a_stub_is_not_started(stub):
    assert examine(exercise(), stub).status == "not started"


@pytest.mark.parametrize("answer", [lambda x, weight: (x * weight)[..., :], lambda x, weight: scale(x, weight)])
def test_short_answers_are_no_stubs(answer):
    assert examine(exercise(), answer).status == "solved"


CONTRACT = {
    "`toy` gives": (lambda x, weight: print(end=""), "Your code gives `None`: is the `return` missing?"),
    "array": (
        lambda x, weight: scale(x, weight).numpy(),
        "returned a NumPy array, expected a torch tensor (`torch.from_numpy(array.copy())`",
    ),
    "list": (lambda x, weight: list(x * weight), "returned 2 values in a list, expected a torch tensor"),
    "swapped": (
        lambda x, weight: scale(x, weight).mT,
        "has shape (2, 4, 3), expected (B=2, N=3, D=4): the last two axes are swapped",
    ),
    "first two": (lambda x, weight: scale(x, weight).transpose(0, 1), "B and N are swapped"),
    "rotated": (lambda x, weight: scale(x, weight).permute(2, 0, 1), "in another order, (D, B, N)"),
    "missing": (lambda x, weight: scale(x, weight)[:, 0], "N is missing"),
    "merged": (lambda x, weight: scale(x, weight).flatten(1), "N and D are merged into one"),
    "flat": (lambda x, weight: scale(x, weight).flatten(), "everything is in one row"),
    "one": (lambda x, weight: scale(x, weight).sum(), "everything is reduced to one number"),
    "extra": (lambda x, weight: scale(x, weight)[:, None], "extra axes of length 1"),
    "short": (lambda x, weight: scale(x, weight)[:, 1:], "N is 2 instead of 3"),
    "dtype": (lambda x, weight: scale(x, weight).double(), "has dtype float64, expected float32"),
    "nan": (lambda x, weight: scale(x, weight) / 0 * 0, "values that are NaN: 24 of 24"),
    "infinite": (lambda x, weight: scale(x, weight) / 0, "values that are infinite"),
    "in place": (lambda x, weight: x.mul_(weight), "changes its input `x` in place"),
    "device": (lambda x, weight: scale(x, weight).to("meta"), "is on meta, expected on cpu"),
    "parameters": (lambda x: x, "takes `(x)`, but it is called with `(x, weight)`"),
    "called already": (torch.zeros(2), "Pass the function itself, without brackets and arguments"),
    "values": (lambda x, weight: x + weight, "Type and shape are right, the values are not."),
}


@pytest.mark.parametrize(("answer", "message"), CONTRACT.values(), ids=CONTRACT.keys())
def test_a_breach_of_the_contract_is_named(answer, message):
    report = examine(exercise(), answer)
    assert report.status == "wrong"
    assert message in report.message


def test_a_lost_gradient_is_named():
    toy = exercise(probes=lambda: [(torch.rand(2, 3, 4, requires_grad=True), torch.rand(4))])
    assert examine(toy, lambda x, weight: weight * x).status == "solved"
    assert "lost its gradient" in examine(toy, lambda x, weight: (x * weight).detach()).message


def test_an_error_shows_its_line_and_the_shapes():
    def answer(x, weight):
        return helper(x.mT, weight)

    def helper(x, weight):
        return x * weight  # the line that fails

    report = examine(exercise(), answer)
    assert report.message.startswith("Your code stopped with an error. `RuntimeError: The size of tensor a (3)")
    facts = dict(report.facts)
    assert facts["at"] == f"line {helper.__code__.co_firstlineno + 1}:  return x * weight  # the line that fails"
    assert facts["x"] == "torch tensor, float32, (B=2, N=3, D=4)"


def test_the_smallest_failing_case_is_shown_with_numbers():
    whole = exercise(probes=lambda: [(torch.arange(n), torch.tensor(2)) for n in (3, 40)], axes={"result": "N"})
    report = examine(whole, lambda x, weight: (x * weight).clamp(max=3))
    facts = dict(report.facts)
    assert "Right for" not in report.message
    assert facts["x"].endswith("[0, 1, 2]") and facts["yours"].endswith("[0, 2, 3]")
    assert facts["differ"] == "1 of 3 values; the first at [N=2]: expected 4, yours 3"
    late = examine(whole, lambda x, weight: (x * weight).clamp(max=50))
    assert "Right for 1 of 2 inputs" in late.message
    assert dict(late.facts)["differ"] == "14 of 40 values; the largest difference at [N=39]: expected 78, yours 50"
    assert "\n" not in dict(late.facts)["x"]  # forty values are not printed


MISTAKES = (
    Mistake("added", lambda x, weight: x + weight, "You added."),
    Mistake("turned", lambda x, weight: (x * weight).mT, "You turned it."),
    Mistake("refused", lambda x, weight: x.mT * weight, "That cannot be."),
    Mistake("emptied", lambda x, weight: x.zero_() * weight, "You emptied it."),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_known_mistake_leads(mistake):
    report = examine(exercise(mistakes=MISTAKES), mistake.wrong)
    assert (report.status, report.mistake, report.message) == ("wrong", mistake.name, mistake.message)


def test_a_known_mistake_has_the_contract_as_evidence_and_no_second_message():
    report = examine(exercise(mistakes=MISTAKES), lambda x, weight: (x + weight).double())
    assert report.message == "You added."
    assert "float64" in dict(report.facts)["seen"]


def broken_for_small(answer, below=4):
    """`answer`, but it refuses what it gets where D is less than `below`."""

    def wrong_there(x, weight):
        if len(weight) < below:
            raise IndexError("too small")
        return answer(x, weight)

    return wrong_there


def test_the_first_probe_that_fails_is_told_and_not_a_later_error():
    toy = exercise(probes=lambda: [(torch.rand(2, 3, n), torch.rand(n)) for n in (4, 5, 2)])
    report = examine(toy, broken_for_small(lambda x, weight: x + weight))
    assert report.message == "Type and shape are right, the values are not."
    late = examine(toy, broken_for_small(scale))
    assert "`IndexError: too small` (Right for 2 of 3 inputs" in late.message


def test_a_known_mistake_is_known_by_most_probes_if_the_others_stop_with_an_error():
    toy = exercise(mistakes=MISTAKES, probes=lambda: [(torch.rand(2, 3, n), torch.rand(n)) for n in (4, 5, 2)])
    report = examine(toy, broken_for_small(MISTAKES[0].wrong))
    assert report.mistake == "added"
    assert report.message == "You added. (Another input also stops it with an error: `IndexError: too small`.)"
    assert examine(toy, broken_for_small(MISTAKES[0].wrong, below=5)).mistake is None  # the first probe stops it
    most = exercise(mistakes=MISTAKES, probes=lambda: [(torch.rand(2, 3, n), torch.rand(n)) for n in (4, 3, 2)])
    assert examine(most, broken_for_small(MISTAKES[0].wrong)).mistake is None


BYTES = {
    "the same": (lambda x: x.flip(0).float(), "for the same 256 values"),
    "divided": (lambda x: x.flip(0) / 255, "the expected ones divided by 255"),
    "others": (lambda x: x / 255, "The values differ too."),
}


@pytest.mark.parametrize(("answer", "message"), BYTES.values(), ids=BYTES.keys())
def test_bytes_that_came_back_as_floats(answer, message):
    toy = exercise(lambda x: x.flip(0), **on(torch.arange(5, dtype=torch.uint8)))
    assert message in examine(toy, answer).message


def test_another_error_or_another_value_is_no_known_mistake():
    toy = exercise(mistakes=MISTAKES)
    assert examine(toy, lambda x, weight: torch.reshape(x, (7,))).mistake is None
    assert examine(toy, lambda x, weight: x + 2 * weight).mistake is None
    assert examine(toy, lambda x, weight: (x * weight).double()).mistake is None


def test_an_expected_error():
    def root(x):
        if x < 0:
            raise ValueError(f"{x} is negative")
        return x**0.5

    toy = exercise(root, probes=lambda: [(4.0,), (-1.0,)], axes={})

    def other_words(x):
        if x < 0:
            raise ValueError("no")
        return x**0.5

    assert examine(toy, other_words).status == "solved"
    assert "Here a `ValueError` should be raised (`-1.0 is negative`)" in examine(toy, lambda x: abs(x) ** 0.5).message
    assert "ZeroDivisionError" in examine(toy, lambda x: x / 0).message


def generate(count):
    yield from range(count)


def forgets_the_last(count):
    yield from range(count - 1)


OTHER_KINDS = {
    "tuple or list": (lambda: (1, 2.5), lambda: [1, 2.5], None),
    "count": (lambda: (1, 2), lambda: (1, 2, 3), "holds 3 items, expected 2"),
    "number": (lambda: 2.0, lambda: np.float64(2), None),
    "number in a tensor": (lambda: 2.0, lambda: torch.tensor(2.0), "`.item()`"),
    "text": (lambda: "a", lambda: "b", "The result is not the expected one."),
    "dict": (lambda: {"loss": 1.0, "correct": 2}, lambda: {"loss": 1.0, "correct": 3}, "`correct` is 3, expected 2."),
    "text in a dict": (
        lambda: {"share told": "half"},
        lambda: {"share told": "all"},
        "Share told: all, expected half.",
    ),
    "code in a dict": (lambda: {"x.y after it": "a"}, lambda: {"x.y after it": "b"}, "x.y after it: b, expected a."),
    "should be": (
        lambda: {"all is well": True},
        lambda: {"all is well": False},
        "should be so, but is not: all is well.",
    ),
    "should not be": (lambda: {"one is lost": False}, lambda: {"one is lost": True}, "not be so, but is: one is lost."),
    "keys": (lambda: {"loss": 1.0}, lambda: {"cost": 1.0}, "lacks `loss` and has `cost`"),
    "array": (lambda: np.arange(3), lambda: np.arange(3), None),
    "texts for numbers": (lambda: np.ones(1), lambda: np.array(["a"]), "has dtype <U1, expected float64"),
    "other texts": (lambda: np.array(["a", "b"]), lambda: np.array(["a", "c"]), "values are not."),
    "nested": (lambda: [(torch.ones(2), "a")], lambda: [(torch.ones(3), "a")], "`result[0][0]` has shape (3,)"),
    "list, not iterator": (lambda: [0, 1], lambda: iter([0, 1]), "`yield` makes an iterator"),
    "iterator or list": (lambda: iter([0, 1]), lambda: [0, 1], None),
    "endless": (lambda: iter([0, 1]), itertools.count, "more than the 2 items expected: does it ever stop?"),
    "too few": (lambda: generate(3), lambda: forgets_the_last(3), "holds 2 items, expected 3"),
}


@pytest.mark.parametrize(("reference", "answer", "message"), OTHER_KINDS.values(), ids=OTHER_KINDS.keys())
def test_other_kinds_of_results(reference, answer, message):
    report = examine(exercise(reference, **on()), answer)
    assert report.status == ("wrong" if message else "solved")
    assert (message or "Correct") in report.message


ALIKE = {
    "numbers": (1.0971, 1.09714, ["expected  1.0971", "yours     1.09714"]),
    "as they always were": (1.0971, 1.0982, ["expected  1.097", "yours     1.098"]),
    "one of them whole": (2.0, 2.00003, ["expected  2.0", "yours     2.00003"]),
    "in a dict": ({"loss": 0.5}, {"loss": 0.50004}, ["`loss` is 0.50004, expected 0.5."]),
    "in a tuple": ((1.0, 2.5), (1.0, 2.50001), ["(1.0, 2.5)", "(1.0, 2.50001)"]),
    "a tensor": (
        torch.tensor([0.25, 1.0971]),
        torch.tensor([0.25, 1.097104]),
        ["[0.2500, 1.0971]", "[0.250000, 1.097104]", "at [1]: expected 1.0971, yours 1.097104"],
    ),
    "minus nothing": (torch.zeros(2), torch.tensor([0, -1e-6]), ["[ 0.000000, -0.000001]", "yours -1e-06"]),
    "many": (torch.full((30,), 1.125), torch.full((30,), 1.12501), ["[0]: expected 1.125, yours 1.12501"]),
}


@pytest.mark.parametrize(("expected", "yours", "shown"), ALIKE.values(), ids=ALIKE.keys())
def test_numbers_that_would_print_alike_get_more_digits(expected, yours, shown):
    strict = exercise(lambda: expected, **on(), tolerance=Tolerance(rtol=0, atol=0))
    report = repr(examine(strict, lambda: yours))
    assert all(text in report for text in shown), report


def norm_net(model, x):
    return model.eval()(x)


def test_a_network_left_in_training_mode_is_no_change_in_place():
    def probes():
        return [(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).train(), torch.rand(5, 4))]

    def changed(model, x):
        model[0].weight.data += 1
        return model(x)

    toy = exercise(norm_net, probes=probes, axes={})
    assert examine(toy, lambda model, x: model.train()(x)).message == (
        "The model was in training mode while it ran: its batch norms used the batch's statistics and wrote them into "
        "their own. Evaluation mode, `model.eval()`, before the first batch."
    )
    for also_in_eval in (lambda model, x: changed(model.eval(), x), changed):
        assert "changes its input `model` in place" in examine(toy, also_in_eval).message


def test_the_input_that_may_not_be_changed_is_named():
    def step(model, x):
        model.weight.data += 1

    def call(answer, model, x):
        answer(model, x)
        return 0

    def both(model, x):
        step(model, x.zero_())

    toy = exercise(step, call=call, probes=lambda: [(nn.Linear(4, 3), torch.rand(5, 4))], axes={})
    assert "changes its input `x` in place" in examine(toy, both).message


def test_a_number_in_a_tuple_is_named_where_the_parts_have_names():
    toy = exercise(lambda x: (2.5, "below"), **on(torch.rand(3)), result=("distance", "word"))
    report = examine(toy, lambda x: (1.5, "below"))
    assert report.message == "`word` is right; `distance` is not." and "expected 2.5, yours 1.5" in repr(report)


def test_parts_of_a_tuple_have_names():
    toy = exercise(lambda x, weight: (x.mean(), x.std()), result=("mean", "std"), axes={})
    assert "`std` has dtype float64" in examine(toy, lambda x, weight: (x.mean(), x.std().double())).message
    assert (
        examine(toy, lambda x, weight: (x.mean(), x.var())).message == "`mean` is right; the values of `std` are not."
    )
    assert "the values are not." in examine(toy, lambda x, weight: (x.sum(), x.var())).message
    assert "2 values in a tuple: `mean, std`" in examine(toy, lambda x, weight: x.mean()).message


class Linear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.register_buffer("scale", torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight.T * self.scale


class LinearWithOtherName(Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.kernel = self.weight
        del self.weight

    def forward(self, x):
        return x @ self.kernel.T * self.scale


class LinearTurned(Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.weight = nn.Parameter(torch.empty(inputs, outputs))

    def forward(self, x):
        return x @ self.weight * self.scale


class LinearOtherwise(Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight) * self.scale


class LinearWithoutScale(Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight)


def test_a_module_gets_the_weights_of_the_reference():
    toy = exercise(
        Linear,
        **on({"inputs": 3, "outputs": 2}, torch.rand(5, 3), call=build_and_run),
        mistakes=[Mistake("unscaled", LinearWithoutScale, "Not scaled.")],
    )
    assert examine(toy, LinearOtherwise).status == "solved"
    assert examine(toy, LinearWithOtherName).message == (
        "`parameters` lacks `weight` and has `kernel`, which is not expected."
    )
    assert examine(toy, LinearWithoutScale).mistake == "unscaled"
    assert dict(examine(toy, LinearTurned).facts)["parameters: weight"] == "expected (2, 3), yours (3, 2)"
    assert "Pass the class itself" in examine(toy, Linear(3, 2)).message
    assert dict(examine(toy, LinearWithOtherName).facts)["options"] == "inputs=3, outputs=2"


def test_a_training_step_is_judged_by_the_parameters_after_it():
    def call(answer, model, x):
        answer(model, x)
        return {"weight": model.weight.detach()}

    def step(model, x, lr=0.1):
        loss = model(x).square().mean()
        (gradient,) = torch.autograd.grad(loss, [model.weight])
        with torch.no_grad():
            model.weight -= lr * gradient

    toy = exercise(
        step,
        call=call,
        probes=lambda: [(nn.Linear(3, 2), torch.rand(4, 3))],
        axes={},
        mistakes=[Mistake("uphill", lambda model, x: step(model, x, -0.1), "Up the hill.")],
    )

    def with_optimiser(model, x):
        optimiser = torch.optim.SGD([model.weight], lr=0.1)
        model(x).square().mean().backward()
        optimiser.step()

    assert examine(toy, with_optimiser).status == "solved"
    assert examine(toy, lambda model, x: step(model, x, -0.1)).message == "Up the hill."
    assert "`model` should be changed" in examine(toy, lambda model, x: model(x).mean().backward()).message


def test_a_predicted_value_is_not_given_away():
    toy = Exercise("shape", "00", "Predict", reference=(2, 64, 12), hints=["x"], call=value)
    assert examine(toy, [2, 64, 12]).status == examine(toy, torch.Size((2, 64, 12))).status == "solved"
    assert examine(toy, ...).status == "not started"
    assert "12" not in repr(examine(toy, (2, 64, 48)))


def test_a_call_may_complain_in_its_own_words():
    def call(answer, x):
        raise Complaint("Return two of them.") if answer(x) == 1 else ValueError

    toy = exercise(lambda x: 2, **on(1, call=lambda answer, x: call(answer, x) if answer(x) == 1 else 2))
    assert examine(toy, lambda x: 1).message == "Return two of them."


def test_randomness_is_the_same_for_all_and_left_as_it_was():
    def draw():
        return torch.rand(2), np.random.rand(), random.random()

    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = draw()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    assert examine(exercise(draw, **on()), lambda: draw()).status == "solved"
    again = draw()
    assert torch.equal(expected[0], again[0]) and expected[1:] == again[1:]


def test_tolerance():
    loose = exercise(tolerance=Tolerance(rtol=0.1, any_float=True))
    assert examine(loose, lambda x, weight: (x * weight * 1.05).double()).status == "solved"
    assert examine(loose, lambda x, weight: x * weight * 1.2).status == "wrong"


@pytest.fixture
def session(monkeypatch):
    """A registry of two toys and nothing checked yet."""
    toys = {"toy": exercise(), "patchify": exercise(name="patchify", notebook="07")}
    monkeypatch.setattr(core, "registry", lambda: toys)
    monkeypatch.setattr(core, "session", {})
    return core


def test_check_prints_and_records(session, capsys):
    assert session.check("toy", documented) is None
    assert session.results()["toy"]["status"] == "not started"
    session.check("toy", lambda x, weight: x)
    assert session.results()["toy"]["status"] == "tried"
    session.check("toy", scale)
    session.check("toy", documented)
    session.hint("toy")
    assert session.results() == {"toy": {"notebook": "00", "status": "solved", "checks": 2, "hints": 1}}
    capsys.readouterr()
    session.progress()
    assert capsys.readouterr().out == "· 1 of 1 solved\n\n    00  toy  ✓ solved\n"


def test_hints_come_one_by_one(session, capsys):
    for _ in range(3):
        session.hint("toy")
    shown = capsys.readouterr().out
    assert [shown.count(text) for text in ("hint 1 of 2\n  a", "hint 2 of 2\n  b", "last hint")] == [1, 2, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda core: core.check("patchfy", scale), 'Did you mean `"patchify"`?'),
        (lambda core: core.check("zzz", scale), "There are: `toy`, `patchify`."),
        (lambda core: core.check(scale, "toy"), "The name comes first"),
        (lambda core: core.hint("patch"), 'Did you mean `"patchify"`?'),
        (lambda core: core.check("toy"), "toy: not started"),
        (lambda core: core.progress(), "No exercise checked yet"),
        (lambda core: core.check("toy", lambda x, weight: sys.exit()), "SystemExit"),
        (lambda core: core.check("toy", lambda x, weight: exec("x +")), "SyntaxError"),
        (lambda core: core.check("toy", lambda x, weight: core.check), "returned a function, expected a torch"),
    ],
)
def test_misuse_is_answered_in_words(session, capsys, call, message):
    call(session)
    assert message in capsys.readouterr().out


def test_check_survives_a_broken_bank(session, capsys, monkeypatch):
    monkeypatch.setattr(session, "registry", lambda: {"toy": exercise(probes=lambda: 1 / 0)})
    session.check("toy", scale)
    assert "the check itself failed" in capsys.readouterr().out


def test_html_takes_the_themes_colours_and_escapes():
    report = Report("x", "wrong", "a < b", "use `x<y>` & think", (("label", "<script>"),), "end")
    page = report._repr_html_()
    assert "<script>" not in page and "a &lt; b" in page and "x&lt;y&gt;</code> &amp; think" in page
    assert "#fff" not in page and "#000" not in page and "color:inherit" in page
    assert repr(report) == "✗ a < b\n  use `x<y>` & think\n\n    label  <script>\n\n  end"


def test_a_report_is_the_same_every_time():
    reports = [examine(exercise(), lambda x, weight: object()) for _ in range(2)]
    assert reports[0] == reports[1] and "0x" not in repr(reports[0])


def test_a_console_that_knows_no_tick_gets_a_question_mark(session, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    session.check("toy", scale)
    assert console.buffer.getvalue().startswith(b"? toy: solved")


def test_in_a_notebook_one_display_with_text_and_html(session, monkeypatch, capsys):
    IPython = pytest.importorskip("IPython")
    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", shown.append)
    session.check("toy", scale)
    (report,) = shown
    assert repr(report).startswith("✓ toy: solved") and report._repr_html_().startswith("<div")
    assert capsys.readouterr().out == ""


def test_an_axis_of_fixed_size_needs_no_name():
    assert shape_text((2, 1, 12), "B 1 D") == "(B=2, 1, D=12)"
    assert shape_text((2, 3, 12), "B 1 D") == "(B=2, 1=3, D=12)"
