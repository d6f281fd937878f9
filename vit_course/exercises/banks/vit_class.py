"""Notebook 11, third part: a Vision Transformer as a class."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.banks.vit_class_answers import FromRows, SmallViT, Unfolded, vit
from vit_course.exercises.banks.vit_forward import Mixing
from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def fill(parameter: Tensor, seed: int, scale: float = 1.0) -> None:
    """Numbers that depend on the seed and the count alone."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        parameter.copy_(scale * torch.randn(parameter.numel(), generator=generator).view(parameter.shape))


def same_numbers(model: nn.Module, blocks: list[nn.Module], options: dict) -> None:
    """Give each part the reference's numbers, found by its kind and shape: names and order are the learner's."""
    P, D = options["patch_size"], options["dim"]
    for i, block in enumerate(blocks):
        for k, parameter in enumerate(block.parameters()):
            fill(parameter, 100 * i + k, D**-0.5)
    own = {id(p) for block in blocks for p in block.parameters()}
    for name, p in model.named_parameters():
        if id(p) in own:
            continue
        module = model.get_submodule(name.rpartition(".")[0])
        if isinstance(module, nn.LayerNorm):
            fill(p, 11 + p.requires_grad + name.endswith("bias"))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            fan = module.weight[0].numel()
            if fan == 3 * P * P and name.endswith("weight"):  # alike for all pixels of a patch: their order is free
                rows = torch.empty(D)
                fill(rows, 21, fan**-0.5)
                p.data.copy_(rows.view(D, *[1] * (p.ndim - 1)).expand_as(p))
            else:
                fill(p, (21 if fan == 3 * P * P else 31) + name.endswith("bias"), fan**-0.5)
        else:
            fill(p, 41 + (p.numel() > D))


def built(answer: Callable, options: dict, images: Tensor) -> object:
    """Build the class with blocks that are remembered, and run it on `images`."""
    made: list[nn.Module] = []

    def make_block() -> nn.Module:
        made.append(Mixing(options["dim"]))
        return made[-1]

    model = answer(**options, make_block=make_block)
    if not isinstance(model, nn.Module):
        raise Complaint("Your class is no `nn.Module`: begin it with `class SmallViT(nn.Module):`.")
    if any(isinstance(thing, Tensor) for thing in vars(model).values()):
        raise Complaint("A tensor that the network should learn is no parameter.")
    inside = {id(p) for p in model.parameters()}
    registered = [block for block in made if all(id(p) in inside for p in block.parameters())]
    own = {id(p) for block in made for p in block.parameters()}
    outside = sum(p.numel() for p in model.parameters() if id(p) not in own)
    same_numbers(model, made, options)
    epsilons = [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)]
    output = model.eval()(images)
    if is_blank(output):
        return output
    return {
        "eps of the final norm": f"{epsilons[-1] if epsilons else 1e-6:g}",  # as a text: no tolerance
        "blocks that were made": len(made),
        "blocks among the model's parameters": len(registered),
        "parameters outside the blocks": outside,
        "logits": output,
    }


def sizes_and_images() -> list[tuple]:
    """Sizes that all differ; the number of patches never is the width."""
    found = []
    for image_size, patch_size, num_classes, dim, depth in ((8, 4, 3, 6, 2), (15, 5, 7, 8, 3), (12, 3, 2, 5, 4)):
        sizes = {"image_size": image_size, "patch_size": patch_size}
        options = sizes | {"num_classes": num_classes, "dim": dim, "depth": depth}
        found.append((options, torch.randn(2, 3, image_size, image_size)))
    return found


SMALL_VIT = Exercise(
    name="SmallViT",
    notebook="11",
    title="The Vision Transformer as a class",
    reference=SmallViT,
    probes=sizes_and_images,
    call=built,
    axes={"images": "B C H W", "logits": "B classes"},
    hints=[
        "In `__init__`, six things: the convolution that cuts and embeds patches, the class token, the positions, the "
        "blocks, the final norm, the head. What is a bare tensor becomes an `nn.Parameter`.",
        "The blocks go into an `nn.ModuleList`, and each comes from a call of its own: "
        "`nn.ModuleList(make_block() for _ in range(depth))`.",
        "`forward` is your two functions, one after the other: the tokens (equation 1), then the loop over the blocks, "
        "the norm, token 0, the head.",
    ],
    mistakes=[
        Mistake(
            "plain_list",
            vit(keep=lambda make, depth: [make() for _ in range(depth)]),
            "Your blocks stand in a plain Python list. The forward pass works, and `model.parameters()` does not find "
            "them: no optimiser moves them, no state dict holds them, `.to(device)` leaves them behind. torch has a "
            "list of its own for modules.",
        ),
        Mistake(
            "one_block_repeated",
            vit(keep=lambda make, depth: nn.ModuleList([make()] * depth)),
            "`[block] * depth` is *one* block, `depth` times: they share their weights, and the network is a fraction "
            "of the size you think. Call `make_block()` once for each.",
        ),
        Mistake(
            "no_parameter",
            vit(token=lambda tensor: tensor),
            "The class token or the positions are bare tensors. No optimiser finds them, so they stay for ever as you "
            "made them. `nn.Parameter(tensor)` makes one that learns.",
        ),
        Mistake(
            "no_norm",
            vit(norm=lambda dim: nn.Identity()),
            "The final LayerNorm is missing. The stream is a sum over all blocks, and the head would get it at "
            "whatever scale it has grown to.",
        ),
        Mistake(
            "torchs_eps",
            vit(norm=nn.LayerNorm),
            "Your norm has torch's eps, 1e-5. The ViT's is 1e-6; with published weights the answers come "
            "out slightly different.",
        ),
        Mistake(
            "norm_unused",
            vit(end=lambda x, norm, head: head(x[:, 0])),
            "The final norm is made in `__init__` and not used in `forward`. Nothing complains, and its two parameters "
            "never get a gradient.",
        ),
        Mistake(
            "mean_pooling",
            vit(
                class_token=False,
                rows=lambda side: side**2,
                join=lambda x, cls, pos: x + pos,
                end=lambda x, norm, head: head(norm(x).mean(1)),
            ),
            "You leave out the class token and average over the patches. That is a ViT too, the course's "
            '`pool="mean"`; here the paper\'s first form is asked for, with a class token.',
        ),
        Mistake(
            "mean_with_class_token",
            vit(end=lambda x, norm, head: head(norm(x).mean(1))),
            "You have a class token, and then average over all tokens. The answer is read from the class token alone, "
            "token 0.",
        ),
        Mistake(
            "class_token_last",
            vit(join=lambda x, cls, pos: torch.cat([x, cls], 1) + pos),
            "The class token is joined at the end, but the answer is read from token 0, which is now the top left "
            "patch. It even learns. Put the class token in front.",
        ),
        Mistake(
            "class_token_last_and_read",
            vit(join=lambda x, cls, pos: torch.cat([x, cls], 1) + pos, end=lambda x, norm, head: head(norm(x)[:, -1])),
            "The class token is joined at the end, and read there. That agrees with itself; in the ViT it stands in "
            "front, and published weights count on it: their first position is the class token's.",
        ),
        Mistake(
            "last_token",
            vit(end=lambda x, norm, head: head(norm(x)[:, -1])),
            "You read the last token, the bottom right patch. The class token stands in front, at 0.",
        ),
        Mistake(
            "positions_unused",
            vit(join=lambda x, cls, pos: torch.cat([cls, x], 1)),
            "The positions are made and never added, so a shuffled image looks the same to your network.",
        ),
        Mistake(
            "positions_of_patches_only",
            vit(rows=lambda side: side**2, join=lambda x, cls, pos: torch.cat([cls, x + pos], 1)),
            "The patches have positions and the class token has none. It has one in the ViT, so `pos_embed` has 1 + N "
            "rows, and published weights would not fit yours.",
        ),
        Mistake(
            "no_row_for_the_class_token",
            vit(rows=lambda side: side**2),
            "There are as many positions as patches, and one token more: the class token has a position of its own, so "
            "`pos_embed` has 1 + N rows.",
        ),
        Mistake(
            "one_row",
            vit(rows=lambda side: 1 + side),
            "There are too few positions: `image_size // patch_size` is one *row* of patches. The grid has as many "
            "rows as columns.",
        ),
        Mistake(
            "reshaped",
            vit(patches=lambda x: x.flatten(2).reshape(len(x), -1, x.shape[1])),
            "Your tokens have the right shape and mixed contents: a `reshape` from (B, D, N) to (B, N, D) cuts the "
            "numbers anew. Swap the axes with `transpose(1, 2)`.",
        ),
        Mistake(
            "lost_blocks",
            vit(step=lambda x, block: block(x) * 0 + x),
            "The blocks have no effect: their result is thrown away. Write `x = block(x)`.",
        ),
        Mistake(
            "added_again",
            vit(step=lambda x, block: x + block(x)),
            "You add each block's result to the stream. The block has done so already, inside: done twice, the stream "
            "doubles from block to block.",
        ),
        Mistake(
            "one_block",
            vit(keep=lambda make, depth: nn.ModuleList([make()])),
            "There is one block. Call `make_block()` `depth` times: each block has weights of its own.",
        ),
        Mistake(
            "softmax",
            vit(end=lambda x, norm, head: head(norm(x)[:, 0]).softmax(-1)),
            "You return probabilities, and the loss expects logits: it does the softmax itself.",
        ),
    ],
    variants=[Unfolded, FromRows, vit(end=lambda x, norm, head: head(norm(x[:, 0])))],
    solved="A Vision Transformer in some twenty lines, of your own.",
)

EXERCISES = [SMALL_VIT]
