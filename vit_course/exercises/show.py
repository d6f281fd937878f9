"""How a report looks: text that reads well by itself, and HTML for notebooks with light and dark themes."""

import html
import re
import sys
import textwrap
from dataclasses import dataclass

# Okabe–Ito colours that stand out on white and on black. Text keeps the theme's own colour.
COLOURS = {"solved": "#009E73", "wrong": "#D55E00", "not started": "#56B4E9", "hint": "#E69F00", "note": "#56B4E9"}
MARKS = {"solved": "✓", "wrong": "✗", "not started": "○", "hint": "?", "note": "·"}
MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.92em"


@dataclass(frozen=True)
class Report:
    """What `check`, `hint` and `progress` show.

    status: "solved", "wrong" or "not started" after a check; "hint" or "note" otherwise.
    message: sentences, in which `code` stands between backticks.  facts: (label, text) pairs, shown as evidence.
    mistake: the name of the known mistake that was recognised, if one was.
    """

    name: str
    status: str
    title: str
    message: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    footer: str = ""
    mistake: str | None = None

    def __repr__(self) -> str:
        """The report as plain text, without a trailing newline."""
        lines = [f"{MARKS[self.status]} {self.title}"]
        for line in self.message.splitlines():
            lines += textwrap.wrap(line, 92, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
        width = max((len(label) for label, _ in self.facts), default=0)
        if self.facts:
            lines.append("")
        for label, text in self.facts:
            for i, line in enumerate(text.splitlines() or [""]):
                lines.append(f"    {label if i == 0 else '':{width}}  {line}".rstrip())
        if self.footer:
            lines += ["", f"  {self.footer}"]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """The same for a notebook. Colours are the theme's own, but for the border and the mark."""
        colour = COLOURS[self.status]
        parts = [
            f'<div style="border-left:4px solid {colour};background:rgba(128,128,128,.09);color:inherit;'
            'padding:.6em .9em;margin:.3em 0;border-radius:0 4px 4px 0;line-height:1.45;max-width:60em">',
            f'<div><b><span style="color:{colour}">{MARKS[self.status]}</span> {inline(self.title)}</b></div>',
        ]
        parts += [f'<div style="margin-top:.35em">{inline(line)}</div>' for line in self.message.splitlines() if line]
        if self.facts:
            grid = "display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.3em 1em;margin-top:.6em"
            parts.append(f'<div style="{grid}">')
            for label, text in self.facts:
                space = "pre" if "\n" in text else "pre-wrap"  # rows of numbers scroll, a sentence wraps
                parts.append(
                    f'<div style="opacity:.7">{html.escape(label)}</div>'
                    f'<pre style="margin:0;padding:0;border:0;background:transparent;color:inherit;overflow-x:auto;'
                    f'white-space:{space};word-break:normal;overflow-wrap:anywhere;line-height:1.4;{MONO}">{html.escape(text)}</pre>'
                )
            parts.append("</div>")
        if self.footer:
            parts.append(f'<div style="margin-top:.6em;opacity:.75">{inline(self.footer)}</div>')
        return "".join(parts) + "</div>"


def inline(text: str) -> str:
    """Escape `text` for HTML and set what stands between backticks as code."""
    code = f'<code style="background:rgba(128,128,128,.16);color:inherit;padding:0 .25em;border-radius:3px;{MONO}">'
    return re.sub(r"`([^`]+)`", rf"{code}\1</code>", html.escape(text, quote=False))


def show(report: Report) -> None:
    """Display a report: in IPython as one rich output, elsewhere as printed text."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from IPython.display import display

        display(report)
        return
    encoding = sys.stdout.encoding or "utf-8"  # a Windows console may know no ✓
    print(repr(report).encode(encoding, errors="replace").decode(encoding), flush=True)
