"""What was measured, as Markdown tables and as a picture. `python -m vit_course.bench.report` prints the README's."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from vit_course.bench.contestants import COMPILED, OURS
from vit_course.bench.loading import WORKERS
from vit_course.interpret.plots import COLORS

RECORD = Path(__file__).parents[2] / "data" / "recorded" / "bench.json"
COLUMNS = [(work, form) for work in ("training step", "forward") for form in ("float32", "bfloat16")]


def tables(found: dict[str, Any]) -> str:
    """Everything in Markdown: networks, ours against the fastest other one, batches, how a step grows, and where."""
    networks, batches, scaling = found["networks"], found["batches"], found["scaling"]
    return "\n\n".join([_networks(networks), ratios(networks), _batches(batches), _scaling(scaling), where(found)])


def where(found: dict[str, Any]) -> str:
    """Machine and versions in a sentence."""
    machine, versions = found["machine"], ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    place = machine.get("gpu") or f"{machine['cpu']}, {machine['threads']} threads"
    firsts = [row["first_call"] for row in found["networks"] if row["first_call"]]
    waited = f" torch.compile: the first calls took {min(firsts):.0f} to {max(firsts):.0f} s." if firsts else ""
    return f"{place}; {versions}. Medians of {found['rounds']} rounds, all in turn in each.{waited}"


def _networks(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| images/s | training step, float32 | bfloat16 | forward, float32 | bfloat16 | memory of a step, MB |",
        "|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        mine = [row for row in rows if row["case"] == case]
        lines.append(f"| **{case}**, {mine[0]['batch']} images | | | | | |")
        for who in dict.fromkeys(row["who"] for row in mine):
            cells = {(row["work"], row["format"]): row for row in mine if row["who"] == who}
            memory = [cells[column]["memory"] for column in COLUMNS[:2]]
            said = "" if None in memory else ", ".join(f"{one / 1e6:.0f}" for one in memory)
            lines.append(f"| {who} | {' | '.join(_rate(cells[column]) for column in COLUMNS)} | {said} |")
    return "\n".join(lines)


def _rate(row: dict[str, Any]) -> str:
    rate = row["rate"]
    return f"{_round(rate['median'])} ({_round(rate['low'])} … {_round(rate['high'])})"


def _round(value: float) -> str:
    """Three significant digits."""
    return f"{float(f'{value:.3g}'):,.10g}"


def ratios(rows: list[dict[str, Any]]) -> str:
    """Ours against the fastest other one, and the share of the machine's matrix products, column by column."""
    lines = ["| ours against the fastest other | training step, float32 | bfloat16 | forward, float32 | bfloat16 |"]
    lines.append("|---|---|---|---|---|")
    for case in dict.fromkeys(row["case"] for row in rows):
        cells = []
        for work, form in COLUMNS:
            speeds = {
                row["who"]: row for row in rows if (row["case"], row["work"], row["format"]) == (case, work, form)
            }
            ours = speeds[OURS]
            others = [row for who, row in speeds.items() if who not in (OURS, COMPILED)]
            best = max(others, key=lambda row: row["rate"]["median"], default=None)
            against = f"{ours['rate']['median'] / best['rate']['median']:.2f} × {best['who']}, " if best else ""
            cells.append(f"{against}{ours['share']:.0%} of the ceiling".replace("%", " %"))
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _batches(rows: dict[str, dict[str, float]]) -> str:
    lines = ["| crop, flip, normalise, 32×32 | images/s | against a DataLoader with 2 workers |", "|---|---|---|"]
    for who, rate in rows.items():
        against = rate["median"] / rows[WORKERS]["median"]
        lines.append(f"| {who} | {_rate({'rate': rate})} | {_round(against)} × |")
    return "\n".join(lines)


def _scaling(rows: list[dict[str, Any]]) -> str:
    lines = ["| a training step of ours, ViT 192×6 | images/s | tokens/s |", "|---|---|---|"]
    names = {"batch": "batch of {value}", "tokens": "{value} tokens, batch of {batch}", "threads": "threads: {value}"}
    for row in rows:
        tokens = _round(row["rate"]["median"] * row["tokens"])
        lines.append(f"| {names[row['by']].format(**row)}, {row['format']} | {_rate(row)} | {tokens} |")
    return "\n".join(lines)


def picture(found: dict[str, Any]) -> Figure:
    """Bars of images/s, a panel for each net, the lowest to the highest round as lines; and how a step grows."""
    cases = list(dict.fromkeys(row["case"] for row in found["networks"]))
    figure, axes = plt.subplots(len(cases) + 1, 1, figsize=(9, 2.6 * (len(cases) + 1)), layout="constrained")
    for ax, case in zip(axes, cases, strict=False):
        rows = [row for row in found["networks"] if row["case"] == case]
        names = list(dict.fromkeys(row["who"] for row in rows))
        for i, (name, color) in enumerate(zip(names, COLORS.values(), strict=False)):
            cells = {(row["work"], row["format"]): row["rate"] for row in rows if row["who"] == name}
            rates = [cells[column] for column in COLUMNS]
            places = [x + 0.8 * (i + 0.5) / len(names) - 0.4 for x in range(len(COLUMNS))]
            middle = [rate["median"] for rate in rates]
            ax.bar(places, middle, 0.75 / len(names), label=name, color=color)
            ax.vlines(places, [rate["low"] for rate in rates], [rate["high"] for rate in rates], "#222222", lw=1)
        ax.set_xticks(range(len(COLUMNS)), [f"{work}\n{form}" for work, form in COLUMNS])
        ax.set(title=case, ylabel="images/s")
        ax.legend(loc="upper left", fontsize=9)
    for by, color in zip(("batch", "tokens", "threads"), COLORS.values(), strict=False):
        rows = [row for row in found["scaling"] if row["by"] == by]
        if rows:
            per_second = [row["rate"]["median"] * row["tokens"] for row in rows]
            axes[-1].plot([row["value"] for row in rows], per_second, "o-", color=color, label=f"by {by}")
    axes[-1].set_xscale("log", base=2)
    axes[-1].xaxis.set_major_formatter("{x:.0f}")
    axes[-1].set(title="ours, a training step of ViT 192×6", xlabel="images, tokens or threads", ylabel="tokens/s")
    axes[-1].set_ylim(bottom=0)
    axes[-1].legend(fontsize=9)
    return figure


def readme(path: Path = RECORD) -> str:
    """The README's part, from the recorded run.

    Raises:
        FileNotFoundError: nothing is recorded.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: `python -m vit_course bench --out {path.with_suffix('')}` makes it"
        )
    return tables(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    print(readme())
