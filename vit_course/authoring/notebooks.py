"""Reading notebooks and writing them in one canonical form, so that a diff shows only what changed."""

import base64
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from vit_course.data.files import whole_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
KEPT_METADATA = ("tags", "jupyter", "cellView")  # tags, and how JupyterLab and Colab collapse a cell
COLOURS = 256  # a palette halves the bytes of a photo; the rarest colours keep a place in it


def notebook_paths(names: Iterable[str] = ()) -> list[Path]:
    """The course's notebooks in order, or those whose file name begins with one of `names` ("01", "00_start").

    Raises:
        FileNotFoundError: a name that no notebook begins with.
    """
    every = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
    names = list(names)
    for name in names:
        if not any(path.name.startswith(name) for path in every):
            raise FileNotFoundError(f"no notebook begins with {name!r}: there are {', '.join(p.stem for p in every)}")
    return [path for path in every if not names or path.name.startswith(tuple(names))]


def read(path: Path) -> NotebookNode:
    """Read a notebook, brought to format 4."""
    return nbformat.read(path, as_version=4)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in canonical form, whole or not at all."""
    notebook = canonical(notebook)
    nbformat.validate(notebook)
    with whole_file(path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def canonical(notebook: NotebookNode) -> NotebookNode:
    """The same notebook without what differs from run to run or from editor to editor.

    Kept: sources, cell ids, tags, how a cell is collapsed, outputs in order, execution counts, Colab's choice of a GPU.
    Dropped: timings, widget state, language versions. Figures become palette PNGs.
    """
    result = nbformat.v4.new_notebook()
    result.nbformat_minor = 5
    result.metadata = nbformat.from_dict(
        {
            **{key: notebook.metadata[key] for key in ("accelerator", "colab") if key in notebook.metadata},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    used: set[str] = set()
    for position, cell in enumerate(notebook.cells):
        identity = cell.get("id")
        if not identity or identity in used:
            identity = hashlib.sha256(f"{position}{cell.source}".encode()).hexdigest()[:8]
        used.add(identity)
        fresh = {
            "id": identity,
            "cell_type": cell.cell_type,
            "metadata": {key: cell.metadata[key] for key in KEPT_METADATA if cell.metadata.get(key)},
            "source": cell.source.rstrip(),
        }
        if cell.cell_type == "code":
            fresh |= {"execution_count": cell.execution_count, "outputs": _canonical_outputs(cell.outputs)}
        result.cells.append(nbformat.from_dict(fresh))
    return result


def _canonical_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    merged: list[NotebookNode] = []
    for output in outputs:
        output = nbformat.from_dict(output)
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text  # one block of text, however the kernel happened to flush it
            continue
        if "metadata" in output:
            output.metadata = NotebookNode()
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = palette_png(output.data["image/png"])
        merged.append(output)
    return merged


def palette_png(encoded: str) -> str:
    """A base64 PNG of at most `COLOURS` colours, transparency laid on white; one that has a palette is kept."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if image.mode == "P":
        return encoded
    if image.mode in ("RGBA", "LA"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    small = image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    # The commonest colour, mostly a white ground, would show the slightest tint: it stays what it is.
    ground = max(image.getcolors(image.width * image.height))[1]
    nearest = Image.new("RGB", (1, 1), ground).quantize(palette=small, dither=Image.Dither.NONE).getpixel((0, 0))
    palette = small.getpalette()
    palette[3 * nearest : 3 * nearest + 3] = ground
    small.putpalette(palette)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
