"""The parity matrix: our ViT, CLIP and SigLIP against torchvision, timm and transformers, all random, both ways.

`python tests/parity.py` computes it and writes PARITY.md. Weights go through files that the library itself wrote.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import parity_clip

from vit_course.bench.peers import timms, torchvisions, transformerss
from vit_course.models.layouts import convert
from vit_course.models.pretrained import load_pretrained
from vit_course.models.vit import ViT, ViTConfig

PAGE = Path(__file__).parents[1] / "PARITY.md"
LIMIT = 1e-5  # float32, of logits around 1
LIBRARIES = ("torchvision", "timm", "transformers")

SMALL = ViTConfig(image_size=24, patch_size=8, num_classes=7, dim=48, depth=3, num_heads=4, mlp_ratio=2.5)
CASES = {
    "small": SMALL,
    "image 24×40, patch 8×4": replace(SMALL, image_size=(24, 40), patch_size=(8, 4)),
    "mean of the patches": replace(SMALL, pool="mean"),
    "GELU by tanh": replace(SMALL, activation="gelu_tanh"),
    "QuickGELU": replace(SMALL, activation="quick_gelu"),
    "no bias in qkv": replace(SMALL, qkv_bias=False),
    "1 channel": replace(SMALL, in_channels=1),
    "eps 1e-3": replace(SMALL, norm_eps=1e-3),
    "1 block, 1 head, MLP as wide as the stream": replace(SMALL, depth=1, num_heads=1, mlp_ratio=1.0),
    "no head": replace(SMALL, num_classes=0),
    "attention pooling, as in SigLIP": replace(SMALL, pool="attention", activation="gelu_tanh"),
    "a norm before the blocks, as in CLIP": replace(SMALL, norm_pre=True, patch_bias=False),
    "ViT-B/16, 2 of 12 blocks": ViTConfig.published("ViT-B/16", depth=2),
}


def randomise(model: nn.Module, seed: int) -> nn.Module:
    """Every parameter drawn anew, none zero or one: what a library initialises to zero would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.2 if parameter.ndim <= 1 else parameter[0].numel() ** -0.5, generator=generator)
            if parameter.ndim == 1 and name.endswith("weight"):  # a norm
                parameter += 1
            if name == "logit_scale":  # so that similarities are spread out
                parameter += 2
    return model.eval()


@dataclass(frozen=True)
class Row:
    """One line of the matrix: the largest difference of a logit, with their weights in ours and with ours in theirs."""

    library: str
    case: str
    to_ours: float
    from_ours: float
    spread: float  # of the logits, so that equality is not that of zeros


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


@torch.no_grad()
def compare(library: str, case: str, config: ViTConfig, folder: Path) -> Iterator[Row]:
    """The rows of one library and configuration; none where the library cannot have it."""
    sides = [config.image_size] * 2 if isinstance(config.image_size, int) else config.image_size
    images = torch.randn(2, config.in_channels, *sides, generator=torch.Generator().manual_seed(1))
    ours = randomise(ViT(config), seed=2)
    logits = ours(images)
    spread = logits.std().item()
    if library == "torchvision" and (model := torchvisions(config)) is not None:
        torch.save(randomise(model, seed=3).state_dict(), folder / "weights.pth")
        received = ViT(config).eval()
        theirs = torch.load(folder / "weights.pth", weights_only=True)
        received.load_state_dict(convert(theirs, source="torchvision"))
        there = difference(received(images), model(images))
        model.load_state_dict(convert(ours.state_dict(), source="ours", target="torchvision"))
        yield Row(library, case, there, difference(logits, model(images)), spread)
    if library == "timm" and (found := timms(config)) is not None:
        from timm.models import save_for_hf

        model, arguments = found
        save_for_hf(randomise(model, seed=3), folder, model_args=arguments, safe_serialization=True)
        received, _ = load_pretrained(folder)
        there = difference(received(images), model(images))
        model.load_state_dict(convert(ours.state_dict(), source="ours", target="timm"))
        yield Row(library, case, there, difference(logits, model(images)), spread)
    if library == "transformers" and (model := transformerss(config)) is not None:
        randomise(model, seed=3).save_pretrained(folder)
        received, _ = load_pretrained(folder)
        there = difference(received(images), model(images).logits)
        from safetensors.torch import save_file

        save_file(convert(ours.state_dict(), "ours", "transformers"), folder / "model.safetensors", {"format": "pt"})
        read = type(model).from_pretrained(folder).eval()
        back = difference(logits, read(images).logits)
        yield Row("transformers, files", case, there, back, spread)
        received.load_state_dict(convert(model.state_dict(), source="transformers"))
        there = difference(received(images), model(images).logits)
        memory = "transformers_memory" if "vit.layers.0.mlp.fc1.bias" in model.state_dict() else "transformers"
        model.load_state_dict(convert(ours.state_dict(), source="ours", target=memory))
        back = difference(logits, model(images).logits)
        yield Row("transformers, in memory", case, there, back, spread)


def matrix() -> list[Row]:
    """Every row: library by library, configuration by configuration."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    rows = []
    for library in LIBRARIES:
        for case, config in CASES.items():
            with tempfile.TemporaryDirectory() as folder:
                rows += compare(library, case, config, Path(folder))
    for kind, cases in parity_clip.CASES.items():
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                for part, *numbers in parity_clip.differences(kind, case, Path(folder)):
                    rows.append(Row(f"transformers, {kind}", f"{case}: {part}", *numbers))
    return rows


def page(rows: list[Row]) -> str:
    """PARITY.md: the matrix as a Markdown table, with the versions it was made with."""
    import timm
    import torchvision
    import transformers

    versions = ", ".join(
        f"{m.__name__} {m.__version__.split('+')[0]}" for m in (torch, torchvision, timm, transformers)
    )
    lines = [
        "# Our ViT, CLIP and SigLIP against three libraries'",
        "",
        "The largest difference of any logit, float32 on a CPU, every parameter random. *To ours*: the library makes",
        "the weights and writes the file, `load_pretrained` or `convert` reads it. *From ours*: our weights in the",
        f"library's model. Tests hold every cell below {LIMIT:.0e}. A library that has no such ViT has no row:",
        "torchvision's is square, with three channels, the exact GELU, biases and a class token; timm's files do not",
        "say eps; transformers' always has a class token. CLIP and SigLIP are compared tower by tower, by the vector",
        "that an image or a text becomes, and whole, by the logits of each image with each text.",
        "",
        f"Written by `python tests/parity.py` with {versions}.",
        "",
        "| library | configuration | to ours | from ours |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.library} | {row.case} | {row.to_ours:.0e} | {row.from_ours:.0e} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = page(matrix())
    PAGE.write_text(text, encoding="utf-8")
    print(text)
