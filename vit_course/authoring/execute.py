"""`make outputs`: run notebooks from the top in a fresh kernel and store what they show."""

import asyncio
import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from vit_course.authoring import notebooks
from vit_course.authoring.address import furnish

# Stored outputs are the run on a CPU without network, and `make test` compares with the same: see conftest.py.
ENVIRONMENT = {
    "VIT_COURSE_DEVICE": "cpu",
    "VIT_COURSE_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "VIT_COURSE_LIVE": "curves",
    "PYTHONHASHSEED": "0",
    "NO_COLOR": "1",
}
CELL_SECONDS = 120  # no cell may take longer; each notebook as a whole has 90 s


def run(notebook: NotebookNode, folder: Path, *, allow_errors: bool = False, seconds: int = CELL_SECONDS) -> None:
    """Execute `notebook` in place, its kernel started in `folder` with this very Python.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised, unless `allow_errors`
            (then a cell that takes longer than `seconds` is interrupted, and the next one follows).
        nbclient.exceptions.CellTimeoutError, DeadKernelError: a cell took longer than `seconds`, or its kernel died.
    """
    if sys.platform == "win32":  # the kernel's sockets need the selector event loop there
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    # With no folders to look in, the manager offers this interpreter alone, never a stray "python3" of the user's.
    specs = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=seconds,
        allow_errors=allow_errors,
        interrupt_on_timeout=allow_errors,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    with patch.dict(os.environ, ENVIRONMENT):
        client.execute()


def execute(names: list[str]) -> int:
    """Run the named notebooks (all, if none is named) and store their outputs; a failing one is left as it was.

    Returns the number of failures, as an exit status.
    """
    failures = 0
    for path in notebooks.notebook_paths(names):
        notebook = notebooks.read(path)
        furnish(notebook, path.name)
        start = time.perf_counter()
        try:
            run(notebook, path.parent)
        except CellExecutionError as error:
            print(f"{path.stem}: not written, a cell failed:\n{error}")
            failures += 1
            continue
        notebooks.write(notebook, path)
        print(f"{path.stem}: {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)
    return failures
