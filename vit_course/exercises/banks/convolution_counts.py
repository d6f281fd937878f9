"""Notebook 02: how large a convolution's result is, how far it sees, and what it costs."""

import math

from vit_course.exercises.core import Exercise, Mistake

# --- output_size ----------------------------------------------------------------------------------------------------


def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Places of a kernel along one side."""
    return (size + 2 * padding - kernel) // stride + 1


def sides() -> list[tuple]:
    """(size, kernel, padding, stride): with and without a rest, even kernels, and VGG's own."""
    return [
        (6, 3, 0, 1), (6, 3, 1, 1), (7, 3, 0, 2), (8, 3, 0, 2), (8, 3, 1, 2), (9, 2, 0, 2),
        (224, 3, 1, 1), (224, 7, 3, 2), (32, 5, 2, 1), (13, 4, 1, 3), (5, 5, 0, 1), (10, 1, 0, 3),
    ]  # fmt: skip


def size_by_counting(size: int, kernel: int, padding: int, stride: int) -> int:
    return len(range(0, size + 2 * padding - kernel + 1, stride))


def size_by_walking(size: int, kernel: int, padding: int, stride: int) -> int:
    start, count = -padding, 0
    while start + kernel <= size + padding:
        start, count = start + stride, count + 1
    return count


def size_with_floor(size: int, kernel: int, padding: int, stride: int) -> int:
    return math.floor((size + 2 * padding - kernel) / stride + 1)


OUTPUT_SIZE = Exercise(
    name="output_size",
    notebook="02",
    title="How many places a kernel has along one side",
    reference=output_size,
    probes=sides,
    hints=[
        "With stride 1 and no padding there are size - kernel + 1 places. Padding makes the side longer first: by how "
        "much, with padding at both ends?",
        "The first place is 0, the last possible one is size + 2·padding - kernel. With a stride of 2 only every "
        "second one counts: how many multiples of the stride are there from 0 up to the last place?",
        "Whole division, `//`, drops a rest: the window that would hang over the edge. And place 0 counts too.",
    ],
    mistakes=[
        Mistake(
            "no_plus_one",
            lambda size, kernel, padding, stride: (size + 2 * padding - kernel) // stride,
            "One too few, always: you counted the steps from the first place to the last. Three steps lead to four "
            "places.",
        ),
        Mistake(
            "padding_once",
            lambda size, kernel, padding, stride: (size + padding - kernel) // stride + 1,
            "You counted the padding once. It is put at both ends: left and right, above and below.",
        ),
        Mistake(
            "padding_subtracted",
            lambda size, kernel, padding, stride: (size - 2 * padding - kernel) // stride + 1,
            "You took the padding away. It is added to the picture, so it gives the kernel more places.",
        ),
        Mistake(
            "padding_ignored",
            lambda size, kernel, padding, stride: (size - kernel) // stride + 1,
            "Right without padding only. Padding makes the side longer before the kernel slides over it.",
        ),
        Mistake(
            "stride_ignored",
            lambda size, kernel, padding, stride: size + 2 * padding - kernel + 1,
            "Right for stride 1 only. A larger stride skips places.",
        ),
        Mistake(
            "rounded_up",
            lambda size, kernel, padding, stride: -(-(size + 2 * padding - kernel) // stride) + 1,
            "You rounded up, and so counted a window that hangs over the edge. A window that does not fit is left "
            "out: its last pixels are never read.",
        ),
        Mistake(
            "rounded",
            lambda size, kernel, padding, stride: round((size + 2 * padding - kernel) / stride) + 1,
            "You rounded to the nearest number, so sometimes a window that hangs over the edge is counted. Always "
            "round down: a window fits, or it does not.",
        ),
        Mistake(
            "fraction",
            lambda size, kernel, padding, stride: (size + 2 * padding - kernel) / stride + 1,
            "Where the stride does not divide evenly you get a fraction, and half a window is none. Round down, with "
            "whole division.",
        ),
        Mistake(
            "plus_one_inside",
            lambda size, kernel, padding, stride: (size + 2 * padding - kernel + 1) // stride,
            "Your + 1 is divided by the stride too, so it gets lost for strides above 1. Divide first; place 0 counts "
            "once, whatever the stride.",
        ),
        Mistake(
            "brackets",
            lambda size, kernel, padding, stride: size + 2 * padding - kernel // stride + 1,
            "Division binds before subtraction, so you divided only the kernel by the stride. Put the length of the "
            "whole way in brackets.",
        ),
        Mistake(
            "kernel_added",
            lambda size, kernel, padding, stride: (size + 2 * padding + kernel) // stride + 1,
            "You added the kernel. A larger kernel fits in fewer places.",
        ),
        Mistake(
            "half_the_kernel",
            lambda size, kernel, padding, stride: (size + 2 * padding - kernel // 2) // stride + 1,
            "You took away half the kernel. A window reaches from its first pixel a whole kernel to the right.",
        ),
        Mistake(
            "same",
            lambda size, kernel, padding, stride: math.ceil(size / stride),
            'That is the rule for padding chosen to keep the size ("same"). Here the padding is given; it may be 0.',
        ),
    ],
    variants=[size_by_counting, size_by_walking, size_with_floor],
    solved="A 3×3 kernel with padding 1 keeps the size: so VGG can stack as many as it likes.",
)

# --- receptive_field ------------------------------------------------------------------------------------------------


def receptive_field(layers: list[tuple[int, int]]) -> int:
    """Side in pixels of what one number of the last layer sees; layers are (kernel, stride), first to last."""
    field, step = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


def stacks() -> list[tuple]:
    """Lists of (kernel, stride), from one layer to VGG-16's."""
    conv, pool = (3, 1), (2, 2)
    vgg16 = [conv] * 2 + [pool] + [conv] * 2 + [pool] + ([conv] * 3 + [pool]) * 3
    stacks = [
        [conv], [(5, 1)], [conv, conv], [conv, pool], [pool, conv], [(7, 2), (5, 3), (3, 1)],
        [conv, conv, pool, conv, conv, pool], [(11, 4), (3, 2), (5, 1), (3, 2)], vgg16, [(1, 1)],
    ]  # fmt: skip
    return [(stack,) for stack in stacks]


def field_from_the_end(layers: list[tuple[int, int]]) -> int:
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def field_by_products(layers: list[tuple[int, int]]) -> int:
    return 1 + sum((layers[i][0] - 1) * math.prod(s for _, s in layers[:i]) for i in range(len(layers)))


def field_by_pixels(layers: list[tuple[int, int]]) -> int:
    seen = {0}
    for kernel, stride in reversed(layers):
        seen = {stride * place + u for place in seen for u in range(kernel)}
    return max(seen) - min(seen) + 1


def wrong_field(start: int = 1, less: int = 1, before: bool = False, rule: str = "product"):
    """The walk over the layers with one thing wrong."""

    def answer(layers: list[tuple[int, int]]) -> int:
        field, step = start, 1
        for kernel, stride in layers:
            jump = {"product": step * stride, "last": stride, "sum": step + stride - 1, "none": 1}[rule]
            field += (kernel - less) * (jump if before else step)
            step = jump
        return field

    return answer


def field_times_stride(layers: list[tuple[int, int]]) -> int:
    field = 0
    for kernel, stride in layers:
        field = field * stride + kernel
    return field


def exchanged_order(layers: list[tuple[int, int]]) -> int:
    return receptive_field(layers[::-1])


def backward_without_less_one(layers: list[tuple[int, int]]) -> int:
    field = 1
    for kernel, stride in reversed(layers):
        field = field * stride + kernel
    return field


RECEPTIVE_FIELD = Exercise(
    name="receptive_field",
    notebook="02",
    title="How far back one number sees",
    reference=receptive_field,
    probes=stacks,
    hints=[
        "Keep two numbers while you walk from the first layer to the last: how much is seen so far, and how many "
        "pixels of the image lie between two neighbours of the current map. Both begin at 1.",
        "A kernel of k reaches k - 1 neighbours further. Each is as many pixels away as your second number says.",
        "A layer's stride spreads out its *results*, so it counts for the layers after it: first enlarge the field, "
        "then multiply the step.",
    ],
    mistakes=[
        Mistake(
            "no_strides",
            wrong_field(rule="none"),
            "You ignored the strides. After a pooling of stride 2, neighbours lie 2 pixels apart, and each later "
            "kernel reaches twice as far.",
        ),
        Mistake(
            "kernel_not_less_one",
            wrong_field(less=0),
            "You add the whole kernel. A 3×3 kernel reaches 2 further than the one place you had already: add "
            "kernel - 1.",
        ),
        Mistake(
            "starts_at_zero",
            wrong_field(start=0),
            "Always one too small: before the first layer, a pixel sees itself. Begin with 1.",
        ),
        Mistake(
            "starts_at_zero_whole_kernel",
            wrong_field(start=0, less=0),
            "You add up whole kernels, so 3×3 after 3×3 gives 6. Neighbouring windows overlap: the second layer adds "
            "only 2, which gives 5.",
        ),
        Mistake(
            "own_stride_first",
            wrong_field(before=True),
            "You multiply by a layer's own stride before you use it. A stride spreads out the layer's results, so it "
            "counts for the layers behind it only.",
        ),
        Mistake(
            "last_stride_only",
            wrong_field(rule="last"),
            "You use only the stride of the layer before. Strides multiply: after two poolings of 2, neighbours lie 4 "
            "pixels apart, and they stay so through every layer of stride 1.",
        ),
        Mistake(
            "strides_added",
            wrong_field(rule="sum"),
            "You add the strides up. Each one spreads out what is spread already, so they multiply: 2, 4, 8, …",
        ),
        Mistake(
            "kernels_less_one",
            lambda layers: sum(kernel - 1 for kernel, _ in layers),
            "Two things are missing: the one pixel to begin with, and the strides, which make later kernels reach "
            "further.",
        ),
        Mistake(
            "half_a_kernel",
            lambda layers: 1 + sum((k // 2) * math.prod(s for _, s in layers[:i]) for i, (k, _) in enumerate(layers)),
            "You count half of each kernel, so how far it reaches to one side. It reaches to both: kernel - 1 in all.",
        ),
        Mistake(
            "field_times_stride",
            field_times_stride,
            "You multiply the whole field by the stride and add whole kernels. Walking forward, what is seen already "
            "stays as it is; only the new neighbours, kernel - 1 of them, are spread by the strides before.",
        ),
        Mistake(
            "kernels_multiplied",
            lambda layers: math.prod(kernel for kernel, _ in layers),
            "You multiplied the kernels. That would hold if windows did not overlap (stride equal to kernel). With "
            "stride 1, a 3×3 behind a 3×3 sees 5×5, not 9×9.",
        ),
        Mistake(
            "largest_kernel",
            lambda layers: max(kernel for kernel, _ in layers),
            "That is the largest kernel. Layers see through one another, so the field grows with each.",
        ),
        Mistake(
            "exchanged_order",
            exchanged_order,
            "Rule and direction do not go together, so each stride counts for the layers before it, not for those "
            "behind it. A rule with a growing step goes from the first layer to the last; one that multiplies the "
            "field itself by the stride goes from the last to the first.",
        ),
        Mistake(
            "backward_without_less_one",
            backward_without_less_one,
            "Going backward, a field of n places becomes (n - 1) strides plus one kernel: the last place needs no "
            "step behind it.",
        ),
    ],
    variants=[field_from_the_end, field_by_products, field_by_pixels],
    solved="VGG-16's last feature map sees 212 pixels of 224: almost the whole picture.",
)

# --- conv_cost ------------------------------------------------------------------------------------------------------


def conv_cost(in_channels: int, out_channels: int, kernel: int, height: int, width: int) -> tuple[int, int]:
    """(parameters, multiply-adds) of a layer whose result is height × width."""
    weights = out_channels * in_channels * kernel * kernel
    return weights + out_channels, weights * height * width


def some_layers() -> list[tuple]:
    """in, out, kernel, and the result's height and width; no two numbers alike in the first ones."""
    return [(2, 3, 5, 4, 7), (3, 64, 3, 224, 224), (64, 128, 3, 56, 28), (1, 1, 1, 1, 1), (16, 8, 1, 10, 12)]


def cost_by_one_unit(in_channels: int, out_channels: int, kernel: int, height: int, width: int) -> list[int]:
    one_unit = in_channels * kernel**2
    return [out_channels * (one_unit + 1), one_unit * math.prod((out_channels, height, width))]


def cost_by_loops(in_channels: int, out_channels: int, kernel: int, height: int, width: int) -> tuple[int, int]:
    parameters = sum(1 + in_channels * kernel * kernel for _ in range(out_channels))
    return parameters, (parameters - out_channels) * height * width


def cost(parameters, multiply_adds):
    """An answer from two formulas in (c, o, k, h, w)."""
    return lambda in_channels, out_channels, kernel, height, width: tuple(
        formula(in_channels, out_channels, kernel, height, width) for formula in (parameters, multiply_adds)
    )


def right_parameters(c: int, o: int, k: int, h: int, w: int) -> int:
    return o * c * k * k + o


def right_multiply_adds(c: int, o: int, k: int, h: int, w: int) -> int:
    return o * c * k * k * h * w


CONV_COST = Exercise(
    name="conv_cost",
    notebook="02",
    title="What a convolution costs",
    reference=conv_cost,
    probes=some_layers,
    result=("parameters", "multiply_adds"),
    hints=[
        "First one unit: how many weights does it have, if it reads a window of kernel × kernel numbers in each input "
        "channel?",
        "Parameters: each output channel has one such kernel and one bias. The size of the picture does not matter.",
        "Multiply-adds: each weight is used once at every place of the result. The bias is an addition alone, and is "
        "not counted.",
    ],
    mistakes=[
        Mistake(
            "no_bias",
            cost(lambda c, o, k, h, w: o * c * k * k, right_multiply_adds),
            "Your parameters lack the biases: one for each output channel.",
        ),
        Mistake(
            "bias_for_each_input",
            cost(lambda c, o, k, h, w: o * c * k * k + c, right_multiply_adds),
            "You counted one bias for each input channel. The bias is added to a result, so there is one for each "
            "output channel.",
        ),
        Mistake(
            "bias_for_each_kernel_slice",
            cost(lambda c, o, k, h, w: o * c * (k * k + 1), right_multiply_adds),
            "You gave every slice of a kernel a bias. The slices' results are added up first; one bias for each "
            "output channel comes on top.",
        ),
        Mistake(
            "kernel_not_squared",
            cost(lambda c, o, k, h, w: o * c * k + o, lambda c, o, k, h, w: o * c * k * h * w),
            "A kernel has two sides: k × k weights for each input channel, not k.",
        ),
        Mistake(
            "one_input_channel",
            cost(lambda c, o, k, h, w: o * k * k + o, lambda c, o, k, h, w: o * k * k * h * w),
            "You counted one slice a kernel. A kernel is as deep as its input: it has a slice of k × k weights for "
            "each input channel. (One slice alone would be a depthwise convolution.)",
        ),
        Mistake(
            "parameters_for_each_place",
            cost(lambda c, o, k, h, w: (o * c * k * k + o) * h * w, right_multiply_adds),
            "You counted the parameters again at every place. The kernel is the same everywhere: that sharing is the "
            "whole point. Only the multiply-adds grow with the picture.",
        ),
        Mistake(
            "multiply_adds_once",
            cost(right_parameters, lambda c, o, k, h, w: o * c * k * k),
            "You counted the work at one place. Each weight is used at every place of the result.",
        ),
        Mistake(
            "operations",
            cost(right_parameters, lambda c, o, k, h, w: 2 * o * c * k * k * h * w),
            "Twice too many: you counted each multiplication and each addition. Those are *operations* (FLOPs); a "
            "multiply-add is one of each. Papers mix the two up, so always ask which one a number is.",
        ),
        Mistake(
            "bias_in_multiply_adds",
            cost(right_parameters, lambda c, o, k, h, w: (o * c * k * k + o) * h * w),
            "You counted the biases among the multiply-adds. A bias is added, with nothing to multiply; by custom it "
            "is left out.",
        ),
        Mistake(
            "size_as_the_input",
            cost(right_parameters, lambda c, o, k, h, w: o * c * k * k * (h - k + 1) * (w - k + 1)),
            "You made the result smaller by the kernel first. Here height and width are those of the result already.",
        ),
        Mistake(
            "work_for_one_output",
            cost(right_parameters, lambda c, o, k, h, w: c * k * k * h * w),
            "Your multiply-adds are those of one output channel. Each of them reads every window.",
        ),
        Mistake(
            "one_side",
            cost(right_parameters, lambda c, o, k, h, w: o * c * k * k * h),
            "You counted one column of the result. It has height × width places.",
        ),
        Mistake(
            "exchanged",
            cost(right_multiply_adds, right_parameters),
            "Both numbers are right, but in the wrong order: the parameters come first.",
        ),
        Mistake(
            "parameters_only",
            lambda *sizes: right_parameters(*sizes),
            "That is the number of parameters. Two numbers are asked for: (parameters, multiply-adds).",
        ),
    ],
    variants=[cost_by_one_unit, cost_by_loops],
    solved="Early layers cost work, since the picture is large; late layers cost parameters, having many channels.",
)

EXERCISES = [OUTPUT_SIZE, RECEPTIVE_FIELD, CONV_COST]
