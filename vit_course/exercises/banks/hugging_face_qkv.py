"""Notebook 12, second part: three matrices into one."""

import re
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake

THREE = ("query", "key", "value")
BIASES = tuple(f".attn.{one}.bias" for one in THREE)


def block(number: int, heads: int, head_dim: int, dim: int, bias: bool = True) -> dict[str, Tensor]:
    """Some weights of one block, renamed but with three separate layers."""
    state = {f"blocks.{number}.norm1.weight": torch.randn(dim)}
    for one in THREE:
        state[f"blocks.{number}.attn.{one}.weight"] = torch.randn(heads * head_dim, dim)
        if bias:
            state[f"blocks.{number}.attn.{one}.bias"] = torch.randn(heads * head_dim)
    return state


def states() -> list[tuple]:
    """One block, then two of them with what stands around; matrices are not square; the last has no biases."""
    first = {f"blocks.0.attn.{one}.weight": torch.randn(2, 3) for one in THREE}
    both = {"cls_token": torch.randn(1, 1, 6), **block(0, 2, 2, 6), **block(11, 2, 2, 6), "norm.bias": torch.randn(6)}
    return [(first,), (both,), (block(3, 2, 4, 6, bias=False),)]


def fuse_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """query, key and value of each block one above the other, in that order, as attn.qkv; the rest as it is."""
    fused = {}
    for name, tensor in state.items():
        if ".attn.query." in name:
            parts = [state[name.replace("query", one)] for one in THREE]
            fused[name.replace("query", "qkv")] = torch.cat(parts)
        elif ".attn.key." not in name and ".attn.value." not in name:
            fused[name] = tensor
    return fused


def fused_by(
    combine: Callable = torch.cat,
    *,
    order: tuple[str, ...] = THREE,
    ends: tuple[str, ...] = (".weight", ".bias"),
    keeps: bool = False,
    rest: bool = True,
) -> Callable:
    """`fuse_qkv` with one thing done otherwise."""

    def answer(state):
        fused = {}
        for name, tensor in state.items():
            split = any(f".attn.{one}." in name for one in THREE)
            if ".attn.query." in name and name.endswith(ends):
                fused[name.replace("query", "qkv")] = combine([state[name.replace("query", one)] for one in order])
            if (split and keeps) or (not split and rest):
                fused[name] = tensor
        return fused

    return answer


def weights_alone(state):
    fused = fused_by(ends=(".weight",))(state)
    return fused | {name: state[name] for name in state if name.endswith(BIASES)}


def keys_kept(state):
    return fuse_qkv(state) | {name: state[name] for name in state if ".attn.key." in name or ".attn.value." in name}


def block_0_alone(state):
    others = {name: tensor for name, tensor in state.items() if "blocks.0." not in name}
    return others | fuse_qkv({name: tensor for name, tensor in state.items() if name not in others})


def biases_wanted(state):
    [state[name.replace("weight", "bias")] for name in state if name.endswith(".attn.query.weight")]
    return fuse_qkv(state)


def with_lists(state):
    groups, fused = {}, {}
    for name in state:
        words = name.split(".")
        if len(words) == 5 and words[3] in THREE:
            groups.setdefault((words[1], words[4]), {})[words[3]] = np.asarray(state[name])
        else:
            fused[name] = state[name].clone()
    for (number, end), parts in groups.items():
        rows = [row for one in THREE for row in parts[one]]
        fused[f"blocks.{number}.attn.qkv.{end}"] = torch.tensor(np.array(rows))
    return fused


def by_popping(state):
    left = dict(state)
    for name in list(left):
        if name.endswith((".query.weight", ".query.bias")):
            q, k, v = (left.pop(name.replace(".query.", f".{one}.")) for one in THREE)
            left[name.replace(".query.", ".qkv.")] = torch.vstack([q, k, v]) if q.ndim == 2 else torch.hstack([q, k, v])
    return left


FUSE = Exercise(
    name="fuse_qkv",
    notebook="12",
    title="Three layers become one",
    reference=fuse_qkv,
    probes=states,
    result="state",
    axes={"blocks.0.attn.qkv.weight": "3·h·d D"},
    hints=[
        "Walk through the names. What holds `.attn.query.` is the sign to make one `qkv`; what holds `.attn.key.` or "
        "`.attn.value.` is then already in it; everything else is handed on.",
        "`nn.Linear` keeps its weight as (out, in) and computes x Wᵀ. Three layers that read the same x and write 3 "
        "times as many numbers: along which axis do the matrices go together?",
        "The same line works for a bias: it has one axis, the one of the outputs.",
    ],
    mistakes=[
        Mistake(
            "key_first",
            fused_by(order=("key", "query", "value")),
            "Keys and queries have changed places. The shapes agree and the weights load; then every attention matrix "
            "is transposed before its softmax: each token is asked instead of asking. The order in `qkv` is in its "
            "name; that of the alphabet, which a sorted state dict has, begins with the key.",
        ),
        Mistake(
            "query_last",
            fused_by(order=("key", "value", "query")),
            "Your order is key, value, query. The fused layer is cut into queries, keys and values, in this order.",
        ),
        Mistake(
            "value_first",
            fused_by(order=("value", "key", "query")),
            "Your order is value, key, query. The model cuts the fused output into queries, keys and values.",
        ),
        Mistake(
            "values_second",
            fused_by(order=("query", "value", "key")),
            "Values and keys have changed places: what should be compared with the queries is handed on, and what "
            "should be handed on is compared. The order in `qkv` is in its name.",
        ),
        Mistake(
            "value_query_key",
            fused_by(order=("value", "query", "key")),
            "Your order begins with the values. The model takes the first third of the rows for queries, the second "
            "for keys, the last for values.",
        ),
        Mistake(
            "stacked",
            fused_by(torch.stack),
            "The three are stacked along a new axis. A linear layer has a matrix: its rows are all outputs, first "
            "those of the queries, then of the keys, then of the values.",
        ),
        Mistake(
            "side_by_side",
            fused_by(lambda parts: torch.cat(parts, dim=-1)),
            "The weights stand side by side: (h·d, 3·D). Such a layer would read three times as many inputs. A weight "
            "is (out, in) in torch, and it is the outputs that are three times as many. For a bias, which has one "
            "axis, both ways agree.",
        ),
        Mistake(
            "columns",
            fused_by(lambda parts: torch.cat(parts, dim=1)),
            "The weights stand side by side, and a bias has no second axis to do that on. A weight is (out, in) in "
            "torch: three times as many outputs means three times as many rows.",
        ),
        Mistake(
            "transposed",
            fused_by(lambda parts: torch.cat([part.T for part in parts], dim=-1)),
            "The matrices are transposed, as if a layer computed x W. `nn.Linear` computes x Wᵀ and keeps (out, in), "
            "in both libraries: nothing has to be turned.",
        ),
        Mistake(
            "each_transposed",
            fused_by(lambda parts: torch.cat([part.T for part in parts])),
            "Each of the three matrices is transposed before they are joined. `nn.Linear` keeps (out, in) in both "
            "libraries, and the rows are the outputs: join them as they are.",
        ),
        Mistake(
            "interleaved",
            fused_by(lambda parts: torch.stack(parts, dim=1).flatten(0, 1)),
            "The rows are mixed: the first query, the first key, the first value, the second query, and so on. Some "
            "libraries keep them so; here `reshape(B, N, 3, h, d)` takes the first third of all rows for queries. The "
            "shape would agree, and the answers would be noise.",
        ),
        Mistake(
            "no_bias",
            fused_by(ends=(".weight",)),
            "The biases are gone. A model with a bias in `qkv` would refuse to load, or, told not to be strict, keep "
            "its random or zero ones: close to right, and wrong. Biases are fused the same way.",
        ),
        Mistake(
            "query_bias_left",
            lambda state: {n: t for n, t in weights_alone(state).items() if not n.endswith(BIASES[1:])},
            "You fuse the weights alone. The bias of the query keeps its old name, those of key and value are lost. "
            "Biases are fused the same way, by the same line.",
        ),
        Mistake(
            "biases_left",
            weights_alone,
            "The weights are fused, the biases are still three. They are fused the same way, by the same line.",
        ),
        Mistake(
            "bias_wanted",
            biases_wanted,
            "Your code looks for a bias beside each weight, and here are layers without one. Go through the names that "
            "are there.",
        ),
        Mistake(
            "one_name_for_all",
            lambda state: {re.sub("attn.(query|key|value)", "attn.qkv", name): state[name] for name in state},
            "All three get the name `qkv`, one after the other, and in a dictionary the last overwrites the others: "
            "what is left is the value. The three have to become *one* tensor.",
        ),
        Mistake(
            "keys_kept",
            keys_kept,
            "`qkv` is there, and key and value are there besides. They are in `qkv` already: `load_state_dict` would "
            "call the old ones unexpected.",
        ),
        Mistake(
            "old_kept",
            fused_by(keeps=True),
            "`qkv` is there, and so are query, key and value. `load_state_dict` is strict and would call the old ones "
            "unexpected. Leave them out of the result.",
        ),
        Mistake(
            "rest_lost",
            fused_by(rest=False),
            "Only the fused weights come out; the class token, the norms and all the others are lost. Hand on what is "
            "not query, key or value.",
        ),
        Mistake(
            "first_block",
            block_0_alone,
            "Only block 0 is fused. Go by what the name holds, not by one block's number.",
        ),
    ],
    variants=[with_lists, by_popping],
    solved="One matrix product instead of three, and the same numbers.",
)

EXERCISES = [FUSE]
