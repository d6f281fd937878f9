"""The rooms of the package import only what the design allows them."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import vit_course

PACKAGE = Path(vit_course.__file__).parent
# What each room may import of the package, itself aside.
ALLOWED = {
    "device": set(),
    "data": {"device"},
    "models": {"device"},
    "training": {"device", "data"},
    "interpret": {"device", "data", "models"},
    "exercises": set(),
    "recipes": {"device", "data", "models", "training", "interpret"},
    "bench": {"device", "data", "models", "training", "interpret", "recipes"},
    "doctor": {"device", "data"},
    "predict": {"device", "data", "models", "interpret", "recipes"},
    "authoring": {"device", "data", "exercises"},
}


def imported(path: Path) -> set[str]:
    """The rooms of vit_course that a file imports, wherever in the file it does so."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
            if node.module == "vit_course":
                names = [f"vit_course.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("vit_course.")}
    return rooms


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_keep_the_order(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room.startswith("__"):
        return
    wrong = imported(path) - {room} - ALLOWED[room]
    assert not wrong, f"{room} may import {sorted(ALLOWED[room])}, not {sorted(wrong)}"


def test_every_module_imports_and_says_what_it_is():
    for module in pkgutil.walk_packages([str(PACKAGE)], "vit_course."):
        if not module.name.endswith("__main__"):
            assert importlib.import_module(module.name).__doc__, f"{module.name} has no docstring"


def test_inits_define_nothing():
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent.name not in ("vit_course", "data"):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert not [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)], path


@pytest.mark.parametrize("module", ["vit_course", "vit_course.doctor", "vit_course.__main__"])
def test_the_door_is_light(module):
    """The setup cell and `doctor` run before torch is known to be there, so importing them must not need it."""
    heavy = "torch, numpy, matplotlib, IPython"
    code = f"import {module}, sys; print([name for name in {heavy.split(', ')} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"
