"""`python -m vit_course bench`: one run, all in turn; a table, a JSON file and a picture."""

import argparse
import dataclasses
import importlib.metadata
import json
import time
from typing import Any

import matplotlib.pyplot as plt

from vit_course.bench.contestants import is_there
from vit_course.bench.loading import compare_ways
from vit_course.bench.measure import CASES, measure_case, measure_scaling
from vit_course.bench.peers import VIT_PEERS
from vit_course.bench.report import picture, tables
from vit_course.data.files import whole_file
from vit_course.device import best_device
from vit_course.interpret.plots import use_style
from vit_course.recipes import records

ROUNDS = {False: 7, True: 2}  # by whether the run is a quick one
FILES = {False: 5_000, True: 1_000}


def command(options: argparse.Namespace) -> int:
    """Measure, print the tables, write OUT.json and OUT.png; returns the exit status.

    Raises:
        ValueError: a device that is not there, or `--compile` where torch cannot compile.
    """
    found = measure(quick=options.quick, device=options.device, compiled=options.compile)
    print(tables(found))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(options.out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    use_style()
    figure = picture(found)
    with whole_file(options.out.with_suffix(".png")) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    plt.close(figure)
    print(
        f"\n{found['seconds']:.0f} s. Kept in {options.out.with_suffix('.json')} and {options.out.with_suffix('.png')}."
    )
    return 0


def measure(*, quick: bool = False, device: str | None = None, compiled: bool = False) -> dict[str, Any]:
    """Everything that the command measures, as its JSON file holds it; what is missing is said as it goes."""
    start, target = time.perf_counter(), best_device(device)
    for name, (module, _) in VIT_PEERS.items():
        if not is_there(module):
            print(f"{name} is not installed and left out: python -m pip install {name}", flush=True)
    networks = []
    for case in CASES:
        print(f"{case.name} …", flush=True)
        networks += measure_case(
            case, device=target, rounds=ROUNDS[quick], quick=quick, compiled=compiled and case is CASES[0]
        )
    print("batches, and how a step grows …\n", flush=True)
    ways = compare_ways(FILES[quick], ROUNDS[quick], batch_size=128)
    packages = [name for name, (module, _) in VIT_PEERS.items() if is_there(module)]
    return {
        "command": "python -m vit_course bench" + " --quick" * quick + " --compile" * compiled,
        "machine": records.machine(target),
        "versions": records.versions() | {name: importlib.metadata.version(name) for name in packages},
        "commit": records.commit(),
        "rounds": ROUNDS[quick],
        "networks": networks,
        "batches": {name: dataclasses.asdict(rate) for name, rate in ways.items()},
        "scaling": list(measure_scaling(device=target, rounds=ROUNDS[quick], quick=quick)),
        "seconds": time.perf_counter() - start,
    }
