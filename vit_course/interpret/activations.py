"""What the modules inside a model give out, caught on the way with forward hooks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn


@contextmanager
def activations(model: nn.Module, names: str | Sequence[str]) -> Iterator[dict[str, Any]]:
    """Keep the outputs of the named modules while the block runs; nothing stays on the model afterwards.

    >>> with activations(model, ["features.0", "features.3"]) as store, torch.no_grad():
    ...     logits = model(images)
    >>> store["features.3"].shape                     # (B, C, H, W): one image's maps are store["features.3"][0]

    Outputs are kept with their graph, so gradients can be taken of them, as Grad-CAM does. A module that runs several
    times leaves its last output; one that does not run leaves none.

    Args:
        names: names as `model.named_modules()` gives them; one, or a list.

    Yields:
        The store: name -> output, filled by each `model(images)` in the block.

    Raises:
        ValueError: the model has no module of that name.
    """
    names = [names] if isinstance(names, str) else list(names)
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            near = get_close_matches(name, modules, n=3, cutoff=0.4) or [other for other in modules if other]
            raise ValueError(f"{type(model).__name__} has no module {name!r}: use a name such as {', '.join(near[:8])}")
    store: dict[str, Any] = {}

    def keep_as(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Any) -> Tensor | None:
            store[name] = output
            # What flows on is a copy, so that a following nn.ReLU(inplace=True) does not overwrite what is kept.
            return output.clone() if isinstance(output, Tensor) else None

        return hook

    handles = [modules[name].register_forward_hook(keep_as(name)) for name in names]
    try:
        yield store
    finally:
        for handle in handles:
            handle.remove()
