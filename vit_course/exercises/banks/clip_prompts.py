"""Notebook 18, fifth part: a classifier made of sentences."""

import zlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def class_vectors(embed: Callable, names: list[str], templates: list[str]) -> Tensor:
    """One unit vector a class, (C, E): the mean direction of its name in all templates."""
    return made()(embed, names, templates)


def sentences(names: list[str], templates: list[str]) -> list[str]:
    """Class by class, all its templates: C · T sentences."""
    return [template.format(name) for name in names for template in templates]


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1)


def made(
    each: Callable = unit,
    joined: Callable = lambda v: v.mean(dim=1),
    whole: Callable = unit,
    parts: Callable = sentences,
) -> Callable:
    """`class_vectors` with one part done otherwise."""

    def answer(embed, names, templates):
        vectors = embed(parts(names, templates))  # (C·T, E)
        return whole(joined(each(vectors).reshape(len(names), -1, vectors.shape[-1])))

    return answer


class Words:
    """A stand-in for a text encoder: a fixed vector for each text, some of them much longer than others."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, texts: list[str]) -> Tensor:
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise Complaint('`embed` takes a list of texts and gives a vector each: `embed(["a star"])` is (1, E).')
        if any("{" in text for text in texts):
            raise Complaint("A template went to `embed` with its {} unfilled: `template.format(name)` puts a name in.")
        rows = []
        for text in texts:
            generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
            rows.append(torch.randn(self.width, generator=generator) * (0.3 + 5 * (len(text) % 3)))
        return torch.stack(rows)


def filled(answer: Callable, names: list[str], templates: list[str], width: int) -> object:
    """The vectors for a text encoder of `width` numbers."""
    found = answer(Words(width), list(names), list(templates))
    if not is_blank(found) and not isinstance(found, Tensor):
        try:
            found = torch.stack(list(found))
        except Exception:
            raise Complaint("Return one tensor, (C, E): a row for each name.") from None
    return found


def class_by_class(embed, names, templates):
    rows = []
    for name in names:
        mean = sum(v / v.norm() for v in embed([t.format(name) for t in templates])) / len(templates)
        rows.append(mean / mean.norm())
    return torch.stack(rows)


def template_by_template(embed, names, templates):
    total = sum(F.normalize(embed([t.format(name) for name in names]), dim=1) for t in templates)
    return F.normalize(total, dim=1)


def with_einsum(embed, names, templates):
    v = torch.stack([embed([t.format(n) for n in names]) for t in templates])  # (T, C, E)
    mean = torch.einsum("tce,tc->ce", v, 1 / v.norm(dim=-1))
    return mean / mean.square().sum(-1, keepdim=True).sqrt()


PROMPTS = Exercise(
    name="class_vectors",
    notebook="18",
    title="A classifier made of sentences",
    reference=class_vectors,
    call=filled,
    probes=lambda: [
        (["star", "ring"], ["a {}"], 3),
        (["star", "ring", "moon"], ["a small {}", "a large {}"], 4),
        (["red star", "blue ring"], ["{}", "a {}", "a bright {}"], 5),
        (["heart", "cross", "arrow", "moon"], ["a {} on the left", "one {}"], 6),
    ],
    result="vectors",
    axes={"vectors": "C E"},
    hints=[
        "For each name: fill it into all templates with `template.format(name)`, embed these sentences, normalise "
        "each, average, normalise again.",
        "`embed` takes a list of texts and gives (number of texts, E). One call a class is fine.",
        "All in one call? Then mind the order: written class by class, `.reshape(C, T, E)` puts the templates on axis "
        "1.",
    ],
    mistakes=[
        Mistake(
            "not_normed_at_the_end",
            made(whole=lambda x: x),
            "The means are not normalised. The mean of several unit vectors is shorter than 1, the shorter the less "
            "they agree: a class whose templates disagree would get a smaller logit for every picture.",
        ),
        Mistake(
            "not_normed_before",
            made(each=lambda x: x),
            "The sentences are not normalised before you average: one with a long vector then outvotes the others. "
            "Each template has one vote: length 1 first, then the mean.",
        ),
        Mistake(
            "never_normed",
            made(each=lambda x: x, whole=lambda x: x),
            "Nothing is normalised: neither the sentences before the mean, so that long ones outvote the others, nor "
            "the mean, so that some classes get larger logits than others for every picture.",
        ),
        Mistake(
            "first_template",
            lambda embed, names, templates: class_vectors(embed, names, templates[:1]),
            "Only the first template is used.",
        ),
        Mistake(
            "last_template",
            lambda embed, names, templates: class_vectors(embed, names, templates[-1:]),
            "Only the last template is used: each one overwrites the one before it. Average them.",
        ),
        Mistake(
            "mixed_up",
            made(parts=lambda names, templates: [t.format(n) for t in templates for n in names]),
            "The sentences are mixed up. You wrote them template by template and reshape them as if they stood class "
            "by class, so a class's mean contains *other* classes. A reshape never reorders.",
        ),
        Mistake(
            "over_the_names",
            made(joined=lambda v: v.mean(dim=0)),
            "You average over the classes: one vector for each template. For each *class* one is asked for.",
        ),
        Mistake(
            "not_averaged",
            made(joined=lambda v: v, whole=lambda v: v.flatten(0, 1)),
            "You return a vector for each sentence. With T templates that makes T times as many classes as there are: "
            "average over the templates.",
        ),
        Mistake(
            "one_for_all",
            made(joined=lambda v: v.mean(dim=(0, 1)).expand(len(v), -1)),
            "All classes have the same vector: the mean runs over the names as well.",
        ),
        Mistake(
            "normed_columns",
            made(each=unit, whole=lambda x: F.normalize(x, dim=0)),
            "The last normalisation runs along the classes: each column has length 1, and the classes' vectors have "
            "not. Which axis holds one vector's numbers?",
        ),
        Mistake(
            "normed_columns_before",
            made(each=lambda x: x / x.norm(dim=0, keepdim=True)),
            "Before the mean you normalise along the sentences, not along each sentence's numbers: a vector's length "
            "then depends on who else was embedded with it. Which axis holds one vector's numbers?",
        ),
        Mistake(
            "names_alone",
            lambda embed, names, templates: unit(embed(names)),
            "The templates are not used: you embed the bare names. A text tower that was trained on sentences has "
            "never seen a bare word.",
        ),
        Mistake(
            "largest",
            made(joined=lambda v: v.amax(dim=1)),
            "You take the largest number over the templates in each column. The mean is asked for.",
        ),
        Mistake(
            "transposed",
            lambda embed, names, templates: class_vectors(embed, names, templates).T,
            "These are the right vectors as columns, (E, C). One row for each class is asked for.",
        ),
        Mistake(
            "normed_whole",
            made(whole=lambda x: x / x.norm()),
            "You divide by the length of the *whole* matrix: no row has length 1, and rows keep different lengths. "
            "A norm needs to know along which axis.",
        ),
        Mistake(
            "one_long_text",
            lambda embed, names, templates: unit(embed([" ".join(t.format(n) for t in templates) for n in names])),
            "You write all templates of a class into one long text. A text tower has never seen such a sentence: "
            "embed each by itself, then average.",
        ),
    ],
    variants=[class_by_class, template_by_template, with_einsum],
    solved="Ten sentences, and you have a classifier that nobody trained. Ten others, and you have another one.",
)

EXERCISES = [PROMPTS]
