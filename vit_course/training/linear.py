"""Linear layers over tokens computed as the 1×1 convolutions that they are, where a CPU is faster at those."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

LEAST = 192  # width in and out from which it gains; layers of width 64 lose a twentieth


class LinearAsConvolution(TorchFunctionMode):
    """A context in which `F.linear` of (B, N, in) tokens with wide weights is a 1×1 convolution of their (B, in, 1, N).

    A 1×1 convolution multiplies each place's vector by one matrix, and so does a linear layer: the same numbers up to
    rounding, in the model's own layers and parameters. But PyTorch computes convolutions with oneDNN, and float32
    products with MKL, which on an AMD processor is the slower one; in bfloat16 the convolution adds the bias as it
    goes. Measured on an AMD EPYC for a ViT of width 192: `python -m vit_course bench` says how much.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.linear and not kwargs and suits(*args[:2]):
            x, weight, *bias = args
            return F.conv2d(x.transpose(1, 2).unsqueeze(2), weight[:, :, None, None], *bias).squeeze(2).transpose(1, 2)
        return func(*args, **(kwargs or {}))


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether these tokens and this weight are of the kind that gains: on a CPU with oneDNN, three axes, wide."""
    on_cpu = x.device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    return on_cpu and x.ndim == 3 and min(weight.shape) >= LEAST and not torch.compiler.is_compiling()
