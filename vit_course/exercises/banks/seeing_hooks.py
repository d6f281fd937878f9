"""Notebook 05: catching feature maps with a hook."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake, is_blank


def caught_maps(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """The output of the module called `layer`, caught with a forward hook that is gone afterwards."""
    return catch(keep=lambda inputs, output: output.clone())(model, layer, images)


def catch(keep: Callable, remove: bool = True) -> Callable:
    """`caught_maps` that keeps something else, or leaves its hook behind."""

    def answer(model, layer, images):
        kept = []

        def hook(module, inputs, output):
            kept.append(keep(inputs, output))

        handle = model.get_submodule(layer).register_forward_hook(hook)
        model(images)
        if remove:
            handle.remove()
        return kept[0]

    return answer


class Detour(nn.Module):
    """Not a plain chain: its second convolution reads the image too, and a ReLU overwrites what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(inplace=True))
        self.mixed = nn.Conv2d(5, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.cat([self.features(images), images], dim=1)
        return self.head(torch.relu(self.mixed(maps)).mean(dim=(2, 3)))


def networks() -> list[tuple]:
    """(model, layer, images): a chain, a name with a dot before a ReLU in place, a layer that two paths lead to."""
    chain = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 2 * 3, 2))
    return [
        (chain.eval(), "1", torch.randn(1, 1, 4, 5)),
        (Detour().eval(), "features.0", torch.randn(2, 2, 5, 6)),
        (Detour().eval(), "mixed", torch.randn(3, 2, 6, 5)),
    ]


def call_and_look_round(answer: Callable, model: nn.Module, layer: str, images: Tensor) -> object:
    """The maps, and whether the model is as it was: a hook that stays would work on in every later call."""
    maps = answer(model, layer, images)
    if is_blank(maps):
        return maps
    return {"maps": maps, "hooks left behind": sum(len(module._forward_hooks) for module in model.modules())}


def walk(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    x = images
    for name, module in model.named_modules():
        if not list(module.children()):
            x = module(x)
        if name == layer:
            break
    return x


def with_a_dictionary(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    store = {}
    modules = dict(model.named_modules())
    with modules[layer].register_forward_hook(lambda module, inputs, output: store.update(maps=output + 0)):
        model(images)
    return store["maps"]


CAUGHT_MAPS = Exercise(
    name="caught_maps",
    notebook="05",
    title="Catch a layer's output with a hook",
    reference=caught_maps,
    probes=networks,
    call=call_and_look_round,
    axes={"images": "B C H W", "maps": "B K h w"},
    hints=[
        "`model.get_submodule(layer)` finds the module, and its `register_forward_hook(hook)` has `hook(module, "
        "inputs, output)` called each time that it runs. Let the hook put `output` into a list.",
        "`register_forward_hook` returns a handle. When the model has run, its `remove()` takes the hook off.",
        "If the values are right without a ReLU behind the layer and wrong with one: `nn.ReLU(inplace=True)` writes "
        "into the tensor that you keep. What could you keep instead?",
    ],
    mistakes=[
        Mistake(
            "stays",
            catch(lambda inputs, output: output.clone(), remove=False),
            "The maps are right, but your hook stays on the model. It would run in every later call, keep every "
            "output in memory, and a second call of your function adds a second hook. The handle that you got when you "
            "registered it can take it off.",
        ),
        Mistake(
            "no_copy",
            catch(lambda inputs, output: output),
            "You keep the tensor itself, and the next module may be an `nn.ReLU(inplace=True)`, as in every VGG: it "
            "writes its result into that tensor. So you show the ReLU's output under the convolution's name. Keep a "
            "copy.",
        ),
        Mistake(
            "stays_and_no_copy",
            catch(lambda inputs, output: output, remove=False),
            "Two things. Your hook stays on the model, runs in every later call and keeps every output in memory: the "
            "handle that you got when you registered it can take it off. And you keep the tensor itself, into which a "
            "following `nn.ReLU(inplace=True)` writes: keep a copy.",
        ),
        Mistake(
            "inputs",
            catch(lambda inputs, output: inputs[0].clone()),
            "These are the layer's *inputs*: a hook is called with (module, inputs, output), and you kept the second. "
            "Then each map would stand under the name of the layer behind it.",
        ),
        Mistake(
            "first_image",
            catch(lambda inputs, output: output[0].clone()),
            "You kept the maps of the first image of the batch alone. Keep (B, K, h, w) and let the reader choose.",
        ),
        Mistake(
            "logits",
            lambda model, layer, images: model(images),
            "That is what the whole model gives. The maps of a layer inside it are gone when it returns; a hook on the "
            "layer can keep them.",
        ),
        Mistake(
            "walk",
            walk,
            "You run the modules one after the other. That is right only where the model is a plain chain: a "
            "`forward` may take detours, join two paths or call a function in between. A hook sees what really flows.",
        ),
        Mistake(
            "detached",
            catch(lambda inputs, output: output.detach().clone()),
            "The numbers are right, but `detach` cuts them off from the model, and Grad-CAM will need the gradient "
            "with respect to these maps. Copy without cutting.",
        ),
    ],
    variants=[catch(lambda inputs, output: output * 1), with_a_dictionary],
    solved="The package's `activations` does this for several layers, and takes its hooks off even after an error.",
)

EXERCISES = [CAUGHT_MAPS]
