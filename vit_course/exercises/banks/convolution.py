"""Notebook 02: the operation itself. (What it gives, sees and costs is in convolution_counts.py.)"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake

# --- cross_correlate ------------------------------------------------------------------------------------------------


def cross_correlate(image: Tensor, kernel: Tensor) -> Tensor:
    """image (H, W), kernel (h, w) -> (H - h + 1, W - w + 1)."""
    return F.conv2d(image[None, None], kernel[None, None])[0, 0]


def images_and_kernels() -> list[tuple]:
    """No symmetry anywhere; sides that differ, and kernels that are not square."""
    sizes = [((3, 4), (2, 2)), ((5, 4), (2, 3)), ((6, 8), (3, 3)), ((4, 6), (3, 1))]
    return [(torch.randint(-4, 10, image).float(), torch.randint(-5, 6, kernel).float()) for image, kernel in sizes]


def slide(unit: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The loop over all windows, with `unit(window, kernel)` at each."""

    def answer(image: Tensor, kernel: Tensor) -> Tensor:
        (H, W), (h, w) = image.shape, kernel.shape
        result = torch.zeros(H - h + 1, W - w + 1)
        for i in range(H - h + 1):
            for j in range(W - w + 1):
                result[i, j] = unit(image[i : i + h, j : j + w], kernel)
        return result

    return answer


def multiplied_in_place(window: Tensor, kernel: Tensor) -> Tensor:
    window *= kernel
    return window.sum()


def four_loops(image: Tensor, kernel: Tensor, add: bool = True) -> Tensor:
    (H, W), (h, w) = image.shape, kernel.shape
    result = torch.zeros(H - h + 1, W - w + 1)
    for i in range(H - h + 1):
        for j in range(W - w + 1):
            for u in range(h):
                for v in range(w):
                    product = image[i + u, j + v] * kernel[u, v]
                    result[i, j] = result[i, j] + product if add else product
    return result


def shifted_images(image: Tensor, kernel: Tensor) -> Tensor:
    (H, W), (h, w) = image.shape, kernel.shape
    shifted = [kernel[u, v] * image[u : u + H - h + 1, v : v + W - w + 1] for u in range(h) for v in range(w)]
    return torch.stack(shifted).sum(0)


def by_windows(image: Tensor, kernel: Tensor) -> Tensor:
    windows = image.unfold(0, kernel.shape[0], 1).unfold(1, kernel.shape[1], 1)
    return torch.einsum("ijuv,uv->ij", windows, kernel)


def last_window_lost(image: Tensor, kernel: Tensor) -> Tensor:
    return cross_correlate(image, kernel)[:-1, :-1]


def beyond_the_edge(image: Tensor, kernel: Tensor) -> Tensor:
    H, W = image.shape
    h, w = kernel.shape
    result = torch.zeros(H, W)
    for i in range(H):
        for j in range(W):
            result[i, j] = (image[i : i + h, j : j + w] * kernel).sum()
    return result


def size_of_the_image(image: Tensor, kernel: Tensor) -> Tensor:
    result = torch.zeros_like(image)
    inside = cross_correlate(image, kernel)
    result[: inside.shape[0], : inside.shape[1]] = inside
    return result


def last_window_empty(image: Tensor, kernel: Tensor) -> Tensor:
    result = cross_correlate(image, kernel)
    result[-1], result[:, -1] = 0, 0
    return result


def window_exchanged(image: Tensor, kernel: Tensor) -> Tensor:
    (H, W), (h, w) = image.shape, kernel.shape
    result = torch.zeros(H - h + 1, W - w + 1)
    for i in range(H - h + 1):
        for j in range(W - w + 1):
            result[i, j] = (image[j : j + h, i : i + w] * kernel).sum()
    return result


def square_kernel(image: Tensor, kernel: Tensor) -> Tensor:
    H, W = image.shape
    k = kernel.shape[0]
    result = torch.zeros(H - k + 1, W - k + 1)
    for i in range(H - k + 1):
        for j in range(W - k + 1):
            result[i, j] = (image[i : i + k, j : j + k] * kernel).sum()
    return result


def jumping(image: Tensor, kernel: Tensor) -> Tensor:
    return F.conv2d(image[None, None], kernel[None, None], stride=tuple(kernel.shape))[0, 0]


CROSS_CORRELATE = Exercise(
    name="cross_correlate",
    notebook="02",
    title="Slide a kernel over an image, with loops",
    reference=cross_correlate,
    probes=images_and_kernels,
    axes={"image": "H W", "kernel": "h w", "result": "H' W'"},
    hints=[
        "Two loops: one over the rows of the result, one over its columns. Inside, cut out the window that begins "
        "at that row and column. How many places are there for a window of h rows among H?",
        "The window is `image[i : i + h, j : j + w]`. Multiply it with the kernel number by number (`*`, not `@`), "
        "and add the products up.",
        "Make the result first: `torch.zeros(H - h + 1, W - w + 1)`. Then fill `result[i, j]`.",
    ],
    mistakes=[
        Mistake(
            "flipped",
            lambda image, kernel: cross_correlate(image, kernel.flip(0, 1)),
            "Your kernel is turned by half a turn, up for down and left for right. That is the *convolution* of "
            "mathematics. The formula above, and the layer that carries the name, is the cross-correlation: "
            "`K[0, 0]` meets the window's first number. Weights copied between the two kinds give nonsense.",
        ),
        Mistake(
            "last_window_lost",
            last_window_lost,
            "One row and one column are missing: the last window. A window of h rows has H - h + 1 places among H "
            "rows, because place 0 counts too, and `range` leaves out its upper end.",
        ),
        Mistake(
            "last_window_empty",
            last_window_empty,
            "The result has the right size, but its last row and column are still 0: your loops end one place too "
            "early. `range` leaves out its upper end, so it needs the number of places itself.",
        ),
        Mistake(
            "beyond_the_edge",
            beyond_the_edge,
            "At the right and lower edge your window hangs over the image. A slice gives fewer numbers there, "
            "without an error; the product with the whole kernel then fails, or is wrong. Stop where the window "
            "still fits.",
        ),
        Mistake(
            "size_of_the_image",
            size_of_the_image,
            "Your result is as large as the image, and its last rows and columns hold zeros that nobody computed. "
            "Where no whole window fits, there is no result. Make the result only as large as there are places.",
        ),
        Mistake(
            "last_product",
            lambda image, kernel: four_loops(image, kernel, add=False),
            "Only the last product of each window is left: each one overwrites the one before. Add them up.",
        ),
        Mistake(
            "matrix_product",
            slide(lambda window, kernel: (window @ kernel).sum()),
            "`@` is the product of matrices: rows times columns. It works only where the window is square, and gives "
            "other numbers. Here each number of the window meets the one number of the kernel at the same place.",
        ),
        Mistake(
            "mean",
            slide(lambda window, kernel: (window * kernel).mean()),
            "You averaged the products. The formula adds them: your result is too small by the number of weights in "
            "the kernel, and each layer of a network would shrink its signal once more.",
        ),
        Mistake(
            "not_summed",
            slide(lambda window, kernel: window * kernel),
            "A place in the result takes one number, but you give it a whole window of products. Add them up first.",
        ),
        Mistake(
            "largest",
            slide(lambda window, kernel: (window * kernel).max()),
            "You took the largest product of each window. That is near to what a pooling does; here, add them.",
        ),
        Mistake(
            "window_without_kernel",
            slide(lambda window, kernel: window.sum()),
            "You added up the window and left the kernel out: every kernel would give the same blur.",
        ),
        Mistake(
            "first_window",
            lambda image, kernel: torch.full_like(
                cross_correlate(image, kernel), (image[: kernel.shape[0], : kernel.shape[1]] * kernel).sum().item()
            ),
            "Every result is the same: your window never moves. It should begin at row i and column j.",
        ),
        Mistake(
            "transposed",
            lambda image, kernel: cross_correlate(image, kernel).T.contiguous(),
            "Rows and columns of your result are exchanged: the first index is the row, and goes down.",
        ),
        Mistake(
            "window_exchanged",
            window_exchanged,
            "You cut the window at row j and column i. Rows come first: i counts rows, j columns. In a square picture "
            "this runs without an error and gives the map of the picture lying on its side.",
        ),
        Mistake(
            "kernel_transposed",
            lambda image, kernel: cross_correlate(image, kernel.T),
            "Your kernel lies on its side: its rows meet the window's columns. A filter for upright edges becomes "
            "one for level edges. The first index goes down, in the image and in the kernel.",
        ),
        Mistake(
            "square_kernel",
            square_kernel,
            "Right for square kernels only: you use the kernel's height for its width too. Take both from its shape.",
        ),
        Mistake(
            "jumping",
            jumping,
            "Your window jumps by its own width, so windows do not overlap and most places are skipped: that is a "
            "stride. Move it by one row or column at a time.",
        ),
        Mistake(
            "in_place",
            slide(multiplied_in_place),
            "A slice is a view: `window *= kernel` writes the products into the image itself. Overlapping windows "
            "then read numbers that are already multiplied, and whoever called you has lost the picture. Make a new "
            "tensor with `*`.",
        ),
    ],
    variants=[slide(lambda window, kernel: (window * kernel).sum()), four_loops, shifted_images, by_windows],
    solved="This is the whole operation. Everything that follows makes it wider, faster, or cheaper.",
)

# --- conv_by_matrix -------------------------------------------------------------------------------------------------


def conv_by_matrix(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """images (B, C, H, W), weight (O, C, h, w), bias (O,) -> (B, O, H - h + 1, W - w + 1)."""
    return F.conv2d(images, weight, bias)


def layers() -> list[tuple]:
    """Sizes that differ; in the first, as many places as output channels, where a bias along them is silent."""

    def draw(b: int, c: int, o: int, side: tuple[int, int], kernel: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        images, weight = torch.randint(-5, 6, (b, c, *side)), torch.randint(-5, 6, (o, c, *kernel))
        return images.float(), weight.float(), torch.randn(o)

    return [draw(1, 1, 6, (3, 4), (2, 2)), draw(2, 3, 4, (5, 7), (3, 3)), draw(3, 2, 5, (4, 6), (1, 3))]


def pieces(images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """The windows as columns (B, C·h·w, L), the kernels as rows (O, C·h·w), and the result's height and width."""
    h, w = weight.shape[2:]
    return F.unfold(images, (h, w)), weight.flatten(1), (images.shape[2] - h + 1, images.shape[3] - w + 1)


def by_columns(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, rows, size = pieces(images, weight)
    return (rows @ columns + bias[:, None]).reshape(len(images), len(weight), *size)


def by_einsum(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    windows = images.unfold(2, weight.shape[2], 1).unfold(3, weight.shape[3], 1)  # (B, C, H', W', h, w)
    return torch.einsum("bcijuv,ocuv->boij", windows, weight) + bias.view(-1, 1, 1)


def by_loop(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    (h, w), size = weight.shape[2:], pieces(images, weight)[2]
    result = torch.zeros(len(images), len(weight), *size)
    for i in range(size[0]):
        for j in range(size[1]):
            result[:, :, i, j] = images[:, :, i : i + h, j : j + w].flatten(1) @ weight.flatten(1).T + bias
    return result


def windows_as_rows(images: Tensor, weight: Tensor, bias: Tensor, move: bool = True) -> Tensor:
    columns, rows, size = pieces(images, weight)
    result = columns.transpose(1, 2) @ rows.T + bias  # (B, L, O)
    return (result.transpose(1, 2) if move else result).reshape(len(images), len(weight), *size)


def without_bias(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(images, weight)


def bias_along_places(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, rows, size = pieces(images, weight)
    return (rows @ columns + bias).reshape(len(images), len(weight), *size)


def height_for_width(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    result = F.conv2d(images, weight, bias)
    return result.flatten(2).reshape(*result.shape[:2], result.shape[3], result.shape[2])


def kernels_channels_last(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, _, size = pieces(images, weight)
    rows = weight.permute(0, 2, 3, 1).flatten(1)
    return (rows @ columns + bias[:, None]).reshape(len(images), len(weight), *size)


def kernels_scrambled(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, _, size = pieces(images, weight)
    rows = weight.reshape(-1, len(weight)).T
    return (rows @ columns + bias[:, None]).reshape(len(images), len(weight), *size)


def as_large_as_the_image(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, rows, _ = pieces(images, weight)
    return (rows @ columns + bias[:, None]).reshape(len(images), len(weight), *images.shape[2:])


def left_flat(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, rows, _ = pieces(images, weight)
    return rows @ columns + bias[:, None]


def size_short_by_one(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    columns, rows, size = pieces(images, weight)
    return (rows @ columns + bias[:, None]).reshape(len(images), len(weight), size[0] - 1, size[1] - 1)


def square_kernel_only(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    k, side = weight.shape[2], images.shape[2:]
    columns = F.unfold(images, k)
    result = weight.flatten(1) @ columns + bias[:, None]
    return result.reshape(len(images), len(weight), side[0] - k + 1, side[1] - k + 1)


def bias_for_every_product(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(images, weight, bias * weight[0].numel())


def one_result_a_colour(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(images, weight[:, :1].expand_as(weight), bias)


CONV_BY_MATRIX = Exercise(
    name="conv_by_matrix",
    notebook="02",
    title="The whole layer as one matrix product",
    reference=conv_by_matrix,
    probes=layers,
    axes={"images": "B C H W", "weight": "O C h w", "bias": "O", "result": "B O H' W'"},
    hints=[
        "Every window becomes a column of C·h·w numbers, and every kernel a row of as many. What does a row times a "
        "column give?",
        "`F.unfold(images, (h, w))` gives the columns, (B, C·h·w, L), with L places. `weight.flatten(1)` gives the "
        "rows, (O, C·h·w). Rows `@` columns is (B, O, L).",
        "The bias has one number for each output channel, so it needs one more axis at its end to meet (B, O, L). At "
        "last cut L into H' rows of W' places.",
    ],
    mistakes=[
        Mistake(
            "no_bias",
            without_bias,
            "Everything is right but the bias: it is missing. Each output channel adds its own number at every place.",
        ),
        Mistake(
            "bias_along_places",
            bias_along_places,
            "Your bias goes along the places, not along the output channels: shapes are lined up from the right, so "
            "(O,) meets L. Most sizes give an error; where L happens to equal O it is silently wrong. Give the bias "
            "one more axis at its end.",
        ),
        Mistake(
            "bias_for_every_product",
            bias_for_every_product,
            "You add the bias once for every product. It is added once for each result.",
        ),
        Mistake(
            "channels_last_reshaped",
            lambda images, weight, bias: windows_as_rows(images, weight, bias, move=False),
            "Shape right, numbers scrambled. Before the last step you have (B, L, O), with the output channels last. "
            "`reshape` does not move axes; it cut places and channels anew. Bring the channels in front of the places "
            "first.",
        ),
        Mistake(
            "height_for_width",
            height_for_width,
            "Height and width of the result are exchanged in your last `reshape`: lines of W' places are cut where "
            "lines of H' should be. Square images hide this. The height comes first.",
        ),
        Mistake(
            "kernels_channels_last",
            kernels_channels_last,
            "Your rows name the kernel's numbers in another order than the columns name the window's. `unfold` has "
            "the channel outermost, then row, then column; flatten the weight in just that order.",
        ),
        Mistake(
            "kernels_scrambled",
            kernels_scrambled,
            "`reshape(-1, O)` cuts across the kernels: a row then holds a bit of each. The weight is (O, C, h, w), so "
            "axis 0 has to stay as it is, and the others become one.",
        ),
        Mistake(
            "kernels_upright",
            lambda images, weight, bias: weight.flatten(1).T @ F.unfold(images, weight.shape[2:]),
            "These two matrices do not fit: C·h·w must stand on the inner side of both. The kernels are the rows "
            "already.",
        ),
        Mistake(
            "flipped",
            lambda images, weight, bias: F.conv2d(images, weight.flip(2, 3), bias),
            "You turned the kernels by half a turn. That is true convolution; a layer does not do it.",
        ),
        Mistake(
            "one_kernel_slice",
            one_result_a_colour,
            "All channels meet the same slice of the kernel. Each input channel has weights of its own: (O, C, h, w).",
        ),
        Mistake(
            "as_large_as_the_image",
            as_large_as_the_image,
            "You cut the places as if there were as many as pixels. Without padding a window has H - h + 1 places "
            "down and W - w + 1 across.",
        ),
        Mistake(
            "size_short_by_one",
            size_short_by_one,
            "The last `reshape` has one row and one column too few: a window of h has H - h + 1 places, place 0 "
            "included.",
        ),
        Mistake(
            "left_flat",
            left_flat,
            "The numbers are all there, but the places still stand in one long row (B, O, L). Cut L into rows.",
        ),
        Mistake(
            "square_kernel_only",
            square_kernel_only,
            "Right for square kernels only: you use the kernel's height for its width too. The weight's shape has "
            "both.",
        ),
    ],
    variants=[by_columns, by_einsum, by_loop, windows_as_rows],
    solved="Matrix products are what processors and GPUs do best, and that is why convolution is fast.",
)

EXERCISES = [CROSS_CORRELATE, CONV_BY_MATRIX]
