"""Cells that hold the final version of something in the package start `# -> vit_course/…py`: are they still equal?"""

import ast
import re
from pathlib import Path

MARK = re.compile(r"# -> (vit_course/[\w/]+\.py)\s*$")


def definitions(source: str) -> dict[str, str]:
    """Each top-level function, class and assigned name of `source` -> its code, formatting and docstrings aside."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = ast.dump(_without_docstrings(node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: ast.dump(node) for target in targets if isinstance(target, ast.Name)}
    return found


def _without_docstrings(node: ast.AST) -> ast.AST:
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return node


def drifted(cell: str, root: Path) -> list[str]:
    """What a marked cell says otherwise than the package, as sentences; none for a cell without the mark.

    Every function and class that the cell defines must stand in the named file, and be equal; assignments are
    compared where the file has the name, since a cell may also try out what it defines.
    """
    first = cell.split("\n", 1)[0]
    mark = MARK.match(first)
    if not mark:
        return []
    path = root / mark[1]
    if not path.is_file():
        return [f"{mark[1]} does not exist"]
    here, there = definitions(cell), definitions(path.read_text(encoding="utf-8"))
    # A name starts with its kind in the dump: "FunctionDef(…", "ClassDef(…", "Assign(…".
    missing = [name for name in here if name not in there and not here[name].startswith(("Assign", "AnnAssign"))]
    problems = [f"{name} is not in {mark[1]}" for name in missing]
    problems += [f"{name} differs from {mark[1]}" for name in here if name in there and here[name] != there[name]]
    if not any(name in there for name in here):
        problems.append(f"nothing in this cell is in {mark[1]}")
    return problems
