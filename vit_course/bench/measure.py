"""What is measured: networks side by side, batches of images, and how a step grows."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vit_course.bench.contestants import COMPILED, OURS, Contestant, contestants, tiny_vgg, vgg_11_bn, vits
from vit_course.bench.timing import Rate, interleaved, peak_memory
from vit_course.models.vit import ViT, ViTConfig
from vit_course.training.precision import choose_precision

SMALL = ViTConfig(image_size=32, patch_size=4, num_classes=10, dim=192, depth=6, num_heads=3)
FORMATS = (torch.float32, torch.bfloat16)
PRODUCT = {"cpu": 1536, "cuda": 8192, "mps": 4096}  # rows and columns of the two matrices that show the ceiling


@dataclass(frozen=True)
class Case:
    """Networks to compare on the same images."""

    name: str
    models: Callable[[], dict[str, nn.Module]]
    size: int  # side of the images in pixels
    batch: int
    quick: int  # the batch of a quick run


CASES = (
    Case("ViT 192×6, patch 4, at 32", lambda: vits(SMALL), 32, batch=128, quick=32),
    Case("ViT-Ti/16 at 224", lambda: vits(ViTConfig.published("ViT-Ti/16", num_classes=10)), 224, batch=16, quick=4),
    Case("VGG-11-BN at 32", vgg_11_bn, 32, batch=128, quick=32),
    Case("TinyVGG at 64", tiny_vgg, 64, batch=128, quick=128),
)


def measure_case(
    case: Case, *, device: torch.device, rounds: int, quick: bool, compiled: bool = False
) -> Iterator[dict[str, Any]]:
    """A row for each contestant, number format, and work: a training step or a forward pass.

    "rate" is in images/s, "memory" in bytes at the most, "share" the part of what a large matrix product reaches,
    "first_call" seconds of torch.compile, for the contestant that it makes of ours.

    Raises:
        ValueError: `compiled`, and torch.compile does not work here.
    """
    torch.manual_seed(0)
    models = case.models()
    batch = case.quick if quick else case.batch
    images = torch.randn(batch, 3, case.size, case.size, device=device)
    labels = torch.randint(10, (batch,), device=device)
    for work in ("training step", "forward"):
        flops = flops_an_image(models[OURS].to(device), images[:1], labels[:1], work) * batch
        for dtype in FORMATS:
            rivals = contestants(models, dtype, device)
            if compiled:
                rivals[COMPILED] = Contestant(torch.compile(models[OURS]), dtype)
            ways = {name: getattr(one, work.replace(" ", "_"))(images, labels) for name, one in rivals.items()}
            first = {COMPILED: first_call(ways[COMPILED])} if compiled else {}
            product = matrix_product(dtype, device)
            seconds = interleaved({**ways, "product": product}, rounds=rounds, device=device)
            ceiling = Rate.of(2 * PRODUCT[device.type] ** 3, seconds.pop("product")).median
            for name, taken in seconds.items():
                rate = Rate.of(batch, taken)
                yield {
                    "case": case.name,
                    "work": work,
                    "format": str(dtype).removeprefix("torch."),
                    "who": name,
                    "batch": batch,
                    "rate": dataclasses.asdict(rate),
                    "memory": None if name == COMPILED else peak_memory(ways[name]),
                    "share": flops * rate.median / batch / ceiling,
                    "first_call": first.get(name),
                }


def first_call(way: Callable[[], object]) -> float:
    """Seconds of the first call of what torch.compile made, in which it compiles."""
    start = time.perf_counter()
    try:
        way()
    except Exception as error:  # torch has a type of its own for each way in which this fails
        raise ValueError(f"torch.compile does not work here ({type(error).__name__}): leave out --compile") from error
    return time.perf_counter() - start


def matrix_product(dtype: torch.dtype, device: torch.device) -> Callable[[], Tensor]:
    """What multiplies two large square matrices: the fastest that this machine computes."""
    a, b = torch.randn(2, PRODUCT[device.type], PRODUCT[device.type], device=device).to(dtype)
    return lambda: a @ b


def flops_an_image(model: nn.Module, image: Tensor, label: Tensor, work: str) -> int:
    """Multiplications and additions of one image in matrix products and convolutions, as torch counts them."""
    one = Contestant(model, torch.bfloat16)  # in which attention is written out, so that it is counted
    way = getattr(one, work.replace(" ", "_"))(image.expand(2, -1, -1, -1), label.expand(2))  # batch norm needs two
    with FlopCounterMode(display=False) as counter:
        way()
    return counter.get_total_flops() // 2


def measure_scaling(*, device: torch.device, rounds: int, quick: bool) -> Iterator[dict[str, Any]]:
    """Images/s of a training step of the small ViT: by batch, by tokens (4,096 a batch), by threads on a CPU."""
    for batch in (32, 128) if quick else (32, 64, 128, 256, 512):
        yield _scaled("batch", batch, SMALL, batch, device=device, rounds=rounds)
    for tokens in (16, 64, 256, 1024):
        config = dataclasses.replace(SMALL, image_size=4 * round(tokens**0.5), pool="mean")
        yield _scaled("tokens", tokens, config, 4096 // tokens, device=device, rounds=rounds)
    if device.type == "cpu":
        before, cores = torch.get_num_threads(), os.cpu_count() or 1
        try:
            for threads in sorted({1, *(2**i for i in range(1, 8) if 2**i <= cores), cores}):
                torch.set_num_threads(threads)
                yield _scaled("threads", threads, SMALL, 64, device=device, rounds=rounds)
        finally:
            torch.set_num_threads(before)


def _scaled(by: str, value: int, config: ViTConfig, batch: int, *, device: torch.device, rounds: int) -> dict[str, Any]:
    side = config.image_size
    images = torch.randn(batch, 3, side, side, device=device)
    labels = torch.randint(10, (batch,), device=device)
    model = ViT(config).to(device)
    precision = choose_precision(model, images)
    step = Contestant(model, precision.dtype, precision).training_step(images, labels)
    rate = Rate.of(batch, interleaved({OURS: step}, rounds=rounds, device=device)[OURS])
    return {
        "by": by,
        "value": value,
        "batch": batch,
        "tokens": config.num_tokens,
        "format": str(precision.dtype).removeprefix("torch."),
        "rate": dataclasses.asdict(rate),
    }
