"""The repository's address: kept once, in pyproject.toml, and stamped on every badge and setup cell."""

import re
from pathlib import Path

from nbformat import NotebookNode

from vit_course.authoring.notebooks import ROOT
from vit_course.data.files import whole_file

_ENTRY = re.compile(r'^Repository = "https://github\.com/([^"/]+/[^"/]+)"$', re.MULTILINE)

# The same in every notebook; lint holds them to it.
_SETUP_CELL = """\
# Setup: find the course above this notebook, or fetch it (Colab, Kaggle). Silent at home.
import subprocess
import sys
from pathlib import Path

COURSE = "https://github.com/{slug}"
here = Path.cwd()
homes = [p for p in (here, *here.parents) if (p / "vit_course" / "__init__.py").is_file()]
home = homes[0] if homes else here / COURSE.rsplit("/", 1)[1]
if not home.exists():
    clone = ["git", "clone", "--quiet", "--depth", "1", COURSE, str(home)]
    if subprocess.run(clone).returncode != 0:
        raise RuntimeError(f"could not fetch {COURSE}: is the internet on? (Kaggle: in Settings)")
sys.path.insert(0, str(home))

from vit_course.doctor import install_missing

install_missing()"""

BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{slug}/blob/main/notebooks/{file})\n"
    "[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]"
    "(https://kaggle.com/kernels/welcome?src=https://github.com/{slug}/blob/main/notebooks/{file})"
)

_BADGE_LINES = re.compile(r"^(\[!\[Open in (?:Colab|Kaggle)\].*\n?)+", re.MULTILINE)


def setup_cell(slug: str) -> str:
    """The setup cell for a course at https://github.com/`slug`."""
    return _SETUP_CELL.replace("{slug}", slug)


def address(root: Path = ROOT) -> str:
    """The repository as "owner/name", read from pyproject.toml.

    Raises:
        ValueError: pyproject.toml has no such line.
    """
    found = _ENTRY.search((root / "pyproject.toml").read_text(encoding="utf-8"))
    if not found:
        raise ValueError('pyproject.toml has no line `Repository = "https://github.com/owner/name"`: put it back')
    return found[1]


def furnish(notebook: NotebookNode, file: str, root: Path = ROOT) -> None:
    """Write the course's badges below the title of `notebook`, and the setup cell into the cell tagged `setup`."""
    slug = address(root)
    title, _, rest = _BADGE_LINES.sub("", notebook.cells[0].source).partition("\n")
    notebook.cells[0].source = f"{title}\n\n{BADGES.format(slug=slug, file=file)}\n\n{rest.strip()}".rstrip()
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = setup_cell(slug)


def stamp(slug: str, root: Path = ROOT) -> list[Path]:
    """Change the address to `slug` ("owner/name") in pyproject.toml, README.md and every notebook; the files changed.

    Raises:
        ValueError: `slug` is not of the form owner/name.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", slug):
        raise ValueError(f"REPO={slug}: give it as owner/name, as in github.com/owner/name")
    old, changed = address(root), []
    pattern = re.compile(rf"(github\.com/|/github/){re.escape(old)}(?![\w.-])")
    for path in (root / "pyproject.toml", root / "README.md", *sorted((root / "notebooks").glob("*.ipynb"))):
        before = path.read_text(encoding="utf-8")
        after = pattern.sub(lambda match: match[1] + slug, before)
        if after != before:
            with whole_file(path) as temporary:
                temporary.write_text(after, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed
