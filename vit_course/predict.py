"""`python -m vit_course predict IMAGE…`: what a trained net says of image files, and where in them it looks."""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from vit_course.data import data_folder
from vit_course.data.files import whole_file
from vit_course.data.images import decode, upright_size
from vit_course.device import best_device
from vit_course.interpret.plots import overlay, use_style
from vit_course.interpret.saliency import occlusion
from vit_course.models.preprocess import Preprocess
from vit_course.models.pretrained import load_pretrained
from vit_course.models.small_vgg import SmallVGG
from vit_course.models.vit import ViT
from vit_course.recipes.records import weights_of

TOP, PICTURED = 5, 12  # classes printed an image; images in the picture


def command(options: argparse.Namespace) -> int:
    """Print the top five of each image and write the picture; returns the exit status.

    Raises:
        FileNotFoundError: an image or the weights are not there.
        ValueError: a file that is no image, weights that do not classify, or a picture that is no .png.
    """
    if options.picture.suffix.lower() != ".png":
        raise ValueError(f"--picture is {options.picture}: give a name that ends in .png")
    pictures = [read(path) for path in options.images]
    model, preprocess = classifier(options.weights)
    model = model.to(best_device())
    images = torch.cat([preprocess(picture) for picture in pictures]).to(best_device())  # (N, C, H, W)
    with torch.no_grad():
        probabilities = model(images).softmax(dim=1).cpu()  # (N, num_classes)
    names = preprocess.classes or [f"class {i}" for i in range(probabilities.shape[1])]
    top = probabilities.topk(min(TOP, len(names)), dim=1)
    for path, shares, classes in zip(options.images, top.values.tolist(), top.indices.tolist(), strict=True):
        print(path)
        for share, index in zip(shares, classes, strict=True):
            print(f"  {share:7.2%}  {names[index]}".replace("%", " %"))
    shown, side = images[:PICTURED], min(images.shape[2:])
    heat = occlusion(model, shown, top.indices[:PICTURED, 0].to(images.device), size=side // 4, stride=side // 8)
    use_style(dpi=144)
    titles = [f"{names[index]} {share:.0%}" for index, share in zip(top.indices[:, 0], top.values[:, 0], strict=True)]
    figure = overlay(shown, {"red speaks for it": heat}, titles[:PICTURED], mean=preprocess.mean, std=preprocess.std)
    with whole_file(options.picture) as temporary:
        figure.savefig(temporary)
    more = f" (the first {PICTURED} images)" if len(images) > PICTURED else ""
    print(f"The net knows {len(names)} classes and always names one of them, whatever the image shows.")
    print(
        f"{options.picture}{more}: red is where covering a square lowers the first class's score, blue where it helps."
    )
    return 0


def read(path: Path) -> Tensor:
    """An image file as RGB at its own size: uint8 (3, H, W).

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is a folder, or no image.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the image files in it, such as {path / '*.jpg'}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give image files, such as photo.jpg")
    return torch.from_numpy(decode(path, upright_size(path)).copy()).permute(2, 0, 1)


def classifier(weights: str) -> tuple[nn.Module, Preprocess]:
    """A net by the name of a recipe (its weights in the data folder before those that come with the course), or by
    what `load_pretrained` takes; in evaluation mode, with what its images go through.

    Raises:
        FileNotFoundError, ValueError: as `load_pretrained`, or a network that gives no logits of classes.
    """
    own = data_folder() / "runs" / f"{weights}-0.safetensors"
    try:
        source = own if own.is_file() else weights_of(weights)
    except FileNotFoundError as error:
        if not Path(weights).exists() and "/" not in weights:  # a hub id has one
            raise FileNotFoundError(f"there is no file or folder {weights!r}, and {error}") from None
        source = weights
    model, preprocess = load_pretrained(source)
    if not isinstance(model, ViT | SmallVGG) or not model.config.num_classes:
        raise ValueError(f"{weights} is a {type(model).__name__} without a head for classes: name a classifier")
    return model, preprocess
