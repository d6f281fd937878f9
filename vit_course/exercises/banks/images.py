"""Notebook 01: images as tensors and their statistics. (Splits and augmentation are in images_in_batches.py.)"""

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake, Tolerance

# --- channels_first -------------------------------------------------------------------------------------------------


def channels_first(images: Tensor) -> Tensor:
    """uint8 (N, H, W, C) -> (N, C, H, W)."""
    return images.permute(0, 3, 1, 2)


def numbered_images() -> list[tuple]:
    """Images (N, H, W, C) in which no two values are alike; in the first no two sides are, so that axes can be told."""
    shapes = [(2, 4, 5, 3), (1, 2, 4, 3), (2, 5, 3, 1)]
    return [(torch.randperm(256)[: n * h * w * c].to(torch.uint8).reshape(n, h, w, c),) for n, h, w, c in shapes]


def with_reshape(images: Tensor) -> Tensor:
    n, h, w, c = images.shape
    return images.reshape(n, c, h, w)


CHANNELS_FIRST = Exercise(
    name="channels_first",
    notebook="01",
    title="Put the channels first",
    reference=channels_first,
    probes=numbered_images,
    axes={"images": "N H W C", "result": "N C H W"},
    hints=[
        "Every value keeps its image, row, column and colour. Only the order changes in which the axes are named.",
        "`reshape` is not it: it keeps the values in their order in memory and only cuts that row anew.",
        "`permute` takes the old axis numbers in their new order. Axis 0 stays first, then comes the old axis 3, "
        "then …?",
    ],
    mistakes=[
        Mistake(
            "reshape",
            with_reshape,
            "The shape is right, but the pictures are scrambled. `reshape` (like `view`) does not move axes: it "
            "reads the values in memory order, red green blue red green blue …, and cuts that row into new lines. "
            "No error would warn you before a model is trained on this. Reorder the axes instead.",
        ),
        Mistake(
            "reshape_to_three",
            lambda images: images.reshape(-1, 3, *images.shape[1:3]),
            "The shape is right for colour images, but the pictures are scrambled: `reshape` (like `view`) does not "
            "move axes, it cuts the row of values in memory anew. Your 3 also refuses grey images, which have one "
            "channel. Reorder the axes instead, and no size need be written.",
        ),
        Mistake(
            "loop_to_three",
            lambda images: torch.stack([images[..., c] for c in range(3)], dim=1),
            "Right for colour images, but you count to 3 whatever comes, and grey images have one channel only. Ask "
            "the shape how many there are, or reorder the axes without a loop.",
        ),
        Mistake(
            "sideways",
            lambda images: images.permute(0, 3, 2, 1),
            "The channels are first, but every picture lies on its side: you exchanged axis 1 with axis 3, and that "
            "puts the width before the height. Square images hide it, so look at one. Height comes before width.",
        ),
        Mistake(
            "one_step",
            lambda images: images.transpose(2, 3),
            "The channels moved only one place: you have (N, H, C, W). They go in front of both height and width.",
        ),
        Mistake(
            "wrong_way",
            lambda images: images.permute(0, 2, 3, 1),
            "That is the opposite direction, from channels first to channels last: axis 1 went to the end. Here the "
            "channels stand at the end and belong on axis 1.",
        ),
        Mistake(
            "no_batch",
            lambda images: images.permute(2, 0, 1),
            "These three numbers would be right for one image (H, W, C). Here is a whole batch (N, H, W, C), so four "
            "axes are to be named, and axis 0 stays in front.",
        ),
        Mistake(
            "bgr",
            lambda images: images.flip(3).permute(0, 3, 1, 2),
            "The axes are right, but you reversed the colours: red is now where blue was. That is for files that "
            "OpenCV reads; these images are RGB already.",
        ),
        Mistake(
            "unchanged",
            lambda images: images,
            "The channels are still last. An operation on a tensor gives a new tensor; return that one.",
        ),
    ],
    variants=[
        lambda images: images.movedim(-1, 1),
        lambda images: torch.einsum("nhwc->nchw", images),
        lambda images: torch.stack([images[..., c] for c in range(images.shape[3])], dim=1),
        lambda images: images.transpose(2, 3).transpose(1, 2).contiguous(),
    ],
    solved="Torch's convolutions want exactly this order. Matplotlib wants the other one back.",
)

# --- channel_statistics ---------------------------------------------------------------------------------------------


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over all pixels, in units of 0…1."""
    x = images.double() / 255
    return x.mean(dim=(0, 2, 3)).float(), x.std(dim=(0, 2, 3)).float()


def bright_and_dark() -> list[tuple]:
    """Images that differ in brightness and contrast. Large enough that n and n - 1 give the same deviation."""

    def draw(n: int, c: int, h: int, w: int) -> Tensor:
        level = torch.rand(n, c, 1, 1) * 200 + torch.arange(c).view(c, 1, 1) * 10
        contrast = torch.rand(n, c, 1, 1) * 80
        return (level + contrast * (torch.rand(n, c, h, w) - 0.5)).clamp(0, 255).to(torch.uint8)

    return [(draw(4, 3, 24, 32),), (draw(6, 3, 20, 25),), (draw(5, 1, 30, 22),)]


def numbers(images: Tensor) -> Tensor:
    return images.float() / 255


def statistics_by_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    x = numbers(images).double()
    count = x.numel() / x.shape[1]
    mean = x.sum(dim=(0, 2, 3)) / count
    return mean, ((x**2).sum(dim=(0, 2, 3)) / count - mean**2).sqrt()


def statistics_by_loop(images: Tensor) -> list[Tensor]:
    channels = [images[:, c].flatten().float() / 255 for c in range(images.shape[1])]
    return [torch.stack([x.mean() for x in channels]), torch.stack([x.std(correction=0) for x in channels])]


def statistics_flat(images: Tensor) -> tuple[Tensor, Tensor]:
    rows = images.transpose(0, 1).flatten(1).float()
    return rows.mean(1) / 255, rows.std(1) / 255


def by_largest(images: Tensor) -> tuple[Tensor, Tensor]:
    x = images / images.max()
    return x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3))


def overflowing_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    mean = numbers(images).mean(dim=(0, 2, 3))
    return mean, ((images**2).float().mean(dim=(0, 2, 3)) / 255**2 - mean**2).sqrt()


CHANNEL_STATISTICS = Exercise(
    name="channel_statistics",
    notebook="01",
    title="Mean and standard deviation of each channel",
    reference=channel_statistics,
    probes=bright_and_dark,
    result=("mean", "std"),
    axes={"images": "N C H W", "mean": "C", "std": "C"},
    tolerance=Tolerance(rtol=1e-3, atol=1e-4, any_float=True),
    hints=[
        "First make the bytes numbers between 0 and 1. Then one mean for red, one for green, one for blue: which "
        "axes disappear, and which one stays?",
        "`dim=` takes several axes at once. The channels are axis 1, so all the others go: images, rows and columns.",
        "The deviation is taken over the same axes in one step, over all pixels of all images. Averaging the images' "
        "own deviations gives something else.",
    ],
    mistakes=[
        Mistake(
            "mean_of_stds",
            lambda images: (
                numbers(images).mean(dim=(0, 2, 3)),
                numbers(images).std(dim=(2, 3)).mean(dim=0),
            ),
            "Your `std` is the average of each image's own deviation. That leaves out how much the images differ "
            "from each other in brightness, so it is too small. It is a famous error: for CIFAR-10 it gives the "
            "(0.2023, 0.1994, 0.2010) found in countless scripts, where the pixels have (0.2470, 0.2435, 0.2616), "
            "and inputs come out about a quarter too wide. Take the deviation over all pixels of all images at once.",
        ),
        Mistake(
            "divided_by_largest",
            by_largest,
            "You divided by the brightest pixel that happens to be there. With other images the same grey would get "
            "another number. A byte goes from 0 to 255, whatever is in the picture: divide by that.",
        ),
        Mistake(
            "std_of_stds",
            lambda images: (numbers(images).mean(dim=(0, 2, 3)), numbers(images).std(dim=(2, 3)).std(dim=0)),
            "Your `std` is the deviation *of the images' deviations*: how much contrast differs from image to image, "
            "not how much pixels differ. It comes out far too small. Take one deviation, over all pixels at once.",
        ),
        Mistake(
            "std_then_means",
            lambda images: (numbers(images).mean(dim=(0, 2, 3)), numbers(images).std(dim=0).mean(dim=1).mean(dim=1)),
            "One axis after the other is fine for the mean, but not for `std`: you have the deviation at each pixel "
            "position, averaged. How much the positions differ from each other is left out. Name all three axes in "
            "one `std`.",
        ),
        Mistake(
            "not_scaled",
            lambda images: (images.float().mean(dim=(0, 2, 3)), images.float().std(dim=(0, 2, 3))),
            "These are in units of 0…255. The course keeps statistics in units of 0…1: bring the bytes there first. "
            "Mixing the two scales is a classic: the model then sees almost nothing but one constant.",
        ),
        Mistake(
            "divided_by_256",
            lambda images: tuple(s / 256 for s in (images.float().mean((0, 2, 3)), images.float().std((0, 2, 3)))),
            "Nearly: all your numbers are 0.4 % too small. A byte goes from 0 to 255, so white is 255/255 = 1.",
        ),
        Mistake(
            "over_images_only",
            lambda images: (numbers(images).mean(dim=0), numbers(images).std(dim=0)),
            "You averaged over the images but kept every pixel position: that is a mean *picture*. Rows and columns "
            "have to go too, so that one number a channel is left.",
        ),
        Mistake(
            "per_image",
            lambda images: (numbers(images).mean(dim=(2, 3)), numbers(images).std(dim=(2, 3))),
            "You have one number for each image and channel. The axis of the images has to go as well: all images "
            "are normalised with the same numbers, or brightness would be lost as a clue.",
        ),
        Mistake(
            "std_not_scaled",
            lambda images: (numbers(images).mean(dim=(0, 2, 3)), images.float().std(dim=(0, 2, 3))),
            "The mean is right, but `std` is still in units of 0…255. Scale the pixels once, then take both from the "
            "scaled ones.",
        ),
        Mistake(
            "channels_gone",
            lambda images: (numbers(images).mean(dim=1), numbers(images).std(dim=1)),
            "`dim=1` names the axis that *disappears*, and you want to keep just that one. Name all the others.",
        ),
        Mistake(
            "one_for_all",
            lambda images: (numbers(images).mean(), numbers(images).std()),
            "You averaged over the channels too and have one number for all colours. Keep the axis of the channels.",
        ),
        Mistake(
            "channels_last",
            lambda images: (numbers(images).mean(dim=(0, 1, 2)), numbers(images).std(dim=(0, 1, 2))),
            "You kept the last axis, and that is the width here. The images are (N, C, H, W): the channels are axis 1.",
        ),
        Mistake(
            "variance",
            lambda images: (numbers(images).mean(dim=(0, 2, 3)), numbers(images).var(dim=(0, 2, 3))),
            "Your second result is the variance. The standard deviation is its square root; dividing by the variance "
            "would blow the inputs up about fourfold.",
        ),
        Mistake(
            "std_first",
            lambda images: (numbers(images).std(dim=(0, 2, 3)), numbers(images).mean(dim=(0, 2, 3))),
            "Both numbers are right, but they come back in the wrong order: the mean is first. (`torch.std_mean` "
            "gives the deviation first.)",
        ),
        Mistake(
            "bytes",
            lambda images: (images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3))),
            "Bytes have no mean: the result is no byte, so torch refuses to guess its type. Make them floating-point "
            "numbers first.",
        ),
        Mistake(
            "whole_division",
            lambda images: ((images // 255).float().mean(dim=(0, 2, 3)), (images // 255).float().std(dim=(0, 2, 3))),
            "`//` divides without remainder: every pixel below 255 becomes 0. Use the division that keeps fractions.",
        ),
        Mistake(
            "overflow",
            overflowing_moments,
            "Your squares overflow. A byte holds 0…255, and 16² = 256 already wraps round to 0, without a warning. "
            "Make the pixels floating-point numbers before any arithmetic.",
        ),
    ],
    variants=[statistics_by_moments, statistics_by_loop, statistics_flat],
    solved="For CIFAR-10 this gives (0.4914, 0.4822, 0.4465) and (0.2470, 0.2435, 0.2616).",
)

# --- normalise ------------------------------------------------------------------------------------------------------


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float32, each channel less its mean, over its deviation, in units of 0…1."""
    return (images.float() / 255 - mean[:, None, None]) / std[:, None, None]


def images_and_statistics() -> list[tuple]:
    """No two sides alike, a width or height equal to the channels (there a wrong broadcast is silent), grey images."""

    def draw(b: int, c: int, h: int, w: int) -> tuple[Tensor, Tensor, Tensor]:
        images = torch.randint(0, 256, (b, c, h, w), dtype=torch.uint8)
        return images, torch.tensor([0.5, 0.4, 0.3][:c]), torch.tensor([0.2, 0.25, 0.125][:c])

    return [draw(2, 3, 4, 5), draw(2, 3, 4, 3), draw(1, 3, 3, 5), draw(2, 1, 4, 6)]


def norm_by_loop(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    result = torch.empty(images.shape)
    for c in range(images.shape[1]):
        result[:, c] = (images[:, c] / 255 - mean[c]) / std[c]
    return result


def norm_in_bytes(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    c = len(mean)
    return (images - 255 * mean.view(1, c, 1, 1)) / (255 * std.view(1, c, 1, 1))


def norm_channels_last(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return ((images.movedim(1, -1) / 255 - mean) / std).movedim(-1, 1)


def own_statistics(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    x = images / 255
    return (x - x.mean(dim=(0, 2, 3), keepdim=True)) / x.std(dim=(0, 2, 3), keepdim=True)


def col(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)


NORMALISE = Exercise(
    name="normalise",
    notebook="01",
    title="Normalise a batch",
    reference=normalise,
    probes=images_and_statistics,
    axes={"images": "B C H W", "mean": "C", "std": "C", "result": "B C H W"},
    tolerance=Tolerance(rtol=1e-4, atol=1e-4),
    hints=[
        "Three steps in this order: bytes to 0…1, subtract the mean, divide by the standard deviation.",
        "Broadcasting lines shapes up from the right, so a `mean` of shape (C,) meets the width. What shape must it "
        "have to meet the channels of (B, C, H, W)?",
        "(C, 1, 1) meets them: the ones stretch over height and width. `view`, `reshape` or indexing with `None` "
        "adds axes.",
    ],
    mistakes=[
        Mistake(
            "along_width",
            lambda images, mean, std: (images / 255 - mean) / std,
            "`mean` and `std` meet the wrong axis. Shapes are lined up from the right, so (C,) goes along the width: "
            "an error for most sizes, and silently wrong wherever the width happens to equal the number of "
            "channels. Give them two axes of length 1 at the end.",
        ),
        Mistake(
            "std_along_width",
            lambda images, mean, std: (images / 255 - col(mean)) / std,
            "`mean` meets the channels as it should, but `std` still has shape (C,) and meets the width: an error for "
            "most sizes, silently wrong where the width equals the number of channels. It needs the same new axes.",
        ),
        Mistake(
            "mean_along_width",
            lambda images, mean, std: (images / 255 - mean) / col(std),
            "`std` meets the channels as it should, but `mean` still has shape (C,) and meets the width: an error for "
            "most sizes, silently wrong where the width equals the number of channels. It needs the same new axes.",
        ),
        Mistake(
            "along_height",
            lambda images, mean, std: (images / 255 - mean[:, None]) / std[:, None],
            "`mean` and `std` meet the height: (C, 1) is lined up from the right with (H, W). One more axis of "
            "length 1 brings them to the channels.",
        ),
        Mistake(
            "not_scaled",
            lambda images, mean, std: (images - col(mean)) / col(std),
            "`mean` and `std` are in units of 0…1, but your pixels are still 0…255. The result reaches above 1000 "
            "where it should stay within a few units of 0, and training with it diverges or crawls. Scale the pixels "
            "first.",
        ),
        Mistake(
            "scaled_last",
            lambda images, mean, std: (images - col(mean)) / col(std) / 255,
            "You divided by 255 at the very end. But `mean` is in units of 0…1 and was taken from pixels of 0…255: it "
            "shifts them by less than one grey level, so nothing is centred. Scale the pixels before anything else.",
        ),
        Mistake(
            "only_scaled",
            lambda images, mean, std: images / 255,
            "The pixels are in units of 0…1, and that is only the first step: `mean` and `std` are not used yet. "
            "Inputs stay all positive and huddled together.",
        ),
        Mistake(
            "mean_added",
            lambda images, mean, std: (images / 255 + col(mean)) / col(std),
            "You added the mean. That moves the inputs away from 0, to twice the mean, where the average input "
            "should land on 0.",
        ),
        Mistake(
            "one_number_for_all",
            lambda images, mean, std: (images / 255 - mean.mean()) / std.mean(),
            "You averaged `mean` and `std` over the channels, so red, green and blue are treated alike and none is "
            "quite centred. Each channel has numbers of its own; bring them to their channel by their shape.",
        ),
        Mistake(
            "precedence",
            lambda images, mean, std: images / 255 - col(mean) / col(std),
            "Division binds before subtraction, so you divided only the mean by `std`. Put the difference in brackets.",
        ),
        Mistake(
            "wrong_order",
            lambda images, mean, std: images / 255 / col(std) - col(mean),
            "You divided before subtracting. Then the mean is not in the same units any more, and the result is not "
            "centred on 0. Subtract first.",
        ),
        Mistake(
            "multiplied",
            lambda images, mean, std: (images / 255 - col(mean)) * col(std),
            "You multiplied by `std`. That squeezes the inputs towards 0 where they should get a spread of 1. Divide.",
        ),
        Mistake(
            "variance",
            lambda images, mean, std: (images / 255 - col(mean)) / col(std) ** 2,
            "You divided by the square of `std`, the variance. Divide by the standard deviation itself.",
        ),
        Mistake(
            "exchanged",
            lambda images, mean, std: (images / 255 - col(std)) / col(mean),
            "`mean` and `std` have changed places: you subtract the deviation and divide by the mean.",
        ),
        Mistake(
            "not_centred",
            lambda images, mean, std: images / 255 / col(std),
            "The scale is right, but the mean is still in there: all inputs are positive. Subtract the mean first.",
        ),
        Mistake(
            "not_divided",
            lambda images, mean, std: images / 255 - col(mean),
            "Centred, but the spread is still that of the pixels, about 0.25. Divide by the standard deviation too.",
        ),
        Mistake(
            "own_statistics",
            own_statistics,
            "You used this batch's own mean and deviation. Then the same image looks different in every batch, and "
            "at test time it depends on its neighbours. Use the numbers you are given: they are the training set's.",
        ),
        Mistake(
            "back_again",
            lambda images, mean, std: (images / 255) * col(std) + col(mean),
            "That is the way back, from normalised values to pixels. Here: subtract the mean, then divide.",
        ),
        Mistake(
            "whole_division",
            lambda images, mean, std: (images // 255 - col(mean)) / col(std),
            "`//` divides without remainder: every pixel below 255 becomes 0, and the picture is gone. Use the "
            "division that keeps fractions.",
        ),
        Mistake(
            "into_bytes",
            lambda images, mean, std: (images.div_(255) - col(mean)) / col(std),
            "An operation that ends in `_` writes into the tensor itself, and bytes cannot hold fractions. It would "
            "also change the dataset. Make a new tensor.",
        ),
        Mistake(
            "three_channels",
            lambda images, mean, std: (images / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1),
            "Right for three channels only. Grey images have one, satellites' a dozen: take the number from `mean`, "
            "or write -1 and let torch count.",
        ),
        Mistake(
            "three_numbers",
            lambda images, mean, std: (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1),
            "The axes of length 1 are right, but the 3 is good for colour images only: grey ones have one number in "
            "`mean`. Write -1 there and torch counts, or take the number from `mean`.",
        ),
        Mistake(
            "along_batch",
            lambda images, mean, std: (images / 255 - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1),
            "One axis of length 1 too many: (C, 1, 1, 1) brings `mean` and `std` to the batch, each image getting "
            "another channel's numbers. Counted from the right, the channels are the third axis.",
        ),
        Mistake(
            "loop_to_three",
            lambda images, mean, std: torch.stack([(images[:, c] / 255 - mean[c]) / std[c] for c in range(3)], dim=1),
            "Right for three channels, but your loop counts to 3 whatever comes, and grey images have only one. Ask "
            "`images` or `mean` how many there are, or do without a loop.",
        ),
    ],
    variants=[norm_by_loop, norm_in_bytes, norm_channels_last],
    solved="An average input is now 0 with a spread of 1, which is what the layers' starting weights are made for.",
)

EXERCISES = [CHANNELS_FIRST, CHANNEL_STATISTICS, NORMALISE]
