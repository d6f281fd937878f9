"""The course's notebooks keep the rules, and the way they are run catches what it must."""

import os
import re
import subprocess
import sys

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from vit_course.authoring import lint, notebooks
from vit_course.authoring.address import setup_cell


@pytest.mark.parametrize("path", notebooks.notebook_paths(), ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert lint.problems(path) == []


def test_the_readme_keeps_its_word():
    """It shows every notebook, its links lead somewhere, and `make` knows the targets that it names."""
    for path in (notebooks.ROOT / "data" / "README.md", notebooks.ROOT / "README.md"):
        readme = path.read_text(encoding="utf-8")
        assert lint.broken_links(readme, path.parent) == []
    start = next(path for path in notebooks.notebook_paths() if path.name.startswith("00"))
    shown = "\n".join(cell.source for cell in notebooks.read(start).cells)
    for path in notebooks.notebook_paths():
        assert f"(notebooks/{path.name})" in readme, f"the README's map lacks {path.name}"
        assert path == start or f"({path.name})" in shown, f"the map in {start.name} lacks {path.name}"
    makefile = (notebooks.ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake (\w+)", readme)):
        assert f"\n{target}:" in makefile, f"make {target} is in the README and not in the Makefile"


def test_a_dead_kernel_and_a_hanging_cell_fail_in_time(tmp_path):
    """nbval alone would wait 2,000 s; pyproject.toml says 120, here 3."""
    for name, source in (("dies", "import os; os._exit(1)"), ("hangs", "import time; time.sleep(1000)")):
        cells = [new_code_cell(source, execution_count=1), new_code_cell("1 + 1", execution_count=2)]
        notebooks.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "--nbval-cell-timeout=3", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=notebooks.ROOT, timeout=100)
    assert done.returncode == 1, done.stdout
    for name in ("dies", "hangs"):
        assert f"{name}.ipynb::Cell 0" in done.stdout and f"{name}.ipynb::Cell 1" not in done.stdout.split("summary")[0]
    assert "Timeout of 3 seconds exceeded" in done.stdout
    assert not re.search(r"\d+ passed", done.stdout)


def test_the_setup_cell_fetches_the_course(tmp_path):
    """In an empty place, with another home and nothing of the course installed, it clones and the import works."""
    origin, elsewhere = tmp_path / "origin" / "vit-course", tmp_path / "elsewhere"
    elsewhere.mkdir(parents=True)
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    files = [*(notebooks.ROOT / "vit_course").rglob("*.py"), notebooks.ROOT / "requirements.txt"]
    for path in files:
        copy = origin / path.relative_to(notebooks.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for arguments in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message", "x"]):
        subprocess.run(["git", *arguments], cwd=origin, check=True)
    cell = setup_cell("a/b").replace("https://github.com/a/b", origin.as_uri())
    code = f"{cell}\nimport vit_course.data\nprint(vit_course.__file__)"
    environment = {**os.environ, "HOME": str(elsewhere), "USERPROFILE": str(elsewhere)}
    for _ in range(2):  # the second time it finds what the first one fetched
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(elsewhere / "vit-course" / "vit_course" / "__init__.py")


def test_the_setup_cell_says_what_it_could_not_fetch(tmp_path):
    cell = setup_cell("a/b").replace("https://github.com/a/b", (tmp_path / "gone" / "nowhere").as_uri())
    done = subprocess.run([sys.executable, "-c", cell], cwd=tmp_path, capture_output=True, text=True)
    assert "could not fetch file:" in done.stderr and "is the internet on?" in done.stderr
    assert not (tmp_path / "nowhere").exists()
