"""TinyVGG and the VGG family: shapes, counts, and parity with torchvision in both directions."""

import pytest
import torch
import torchvision
from torch import nn
from torch.testing import assert_close

from vit_course.models.vgg import LAYERS, VGG, TinyVGG

NAMES = [(name, batch_norm) for name in LAYERS for batch_norm in (False, True)]
# Published with torchvision's weights: https://docs.pytorch.org/vision/stable/models/vgg.html
PUBLISHED = {
    ("vgg11", False): 132_863_336,
    ("vgg11", True): 132_868_840,
    ("vgg13", False): 133_047_848,
    ("vgg13", True): 133_053_736,
    ("vgg16", False): 138_357_544,
    ("vgg16", True): 138_365_992,
    ("vgg19", False): 143_667_240,
    ("vgg19", True): 143_678_248,
}


def count(model):
    return sum(p.numel() for p in model.parameters())


def theirs(name, batch_norm, **options):
    return getattr(torchvision.models, name + "_bn" * batch_norm)(**options)


def randomise(model):
    """Fill a model made on the meta device: every parameter and every buffer random, activations of ordinary size."""
    model.to_empty(device="cpu")
    # A hundred million random numbers take seconds to draw, a million of them repeated do as well: a prime number
    # divides no width, so no two rows of a matrix are the same.
    pool = torch.rand(1_000_003, generator=torch.Generator().manual_seed(0))
    for i, (name, tensor) in enumerate(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
            continue
        rows = pool.roll(1000 * i).repeat(tensor.numel() // len(pool) + 1)[: tensor.numel()].view_as(tensor)
        if tensor.ndim > 1:  # uniform within ± sqrt(6 / fan in) keeps the size of what passes a ReLU (Kaiming)
            torch.sub(rows, 0.5, out=tensor).mul_(2 * (6 / tensor[0].numel()) ** 0.5)
        else:  # biases, norms' gains, running means and variances: positive, since a variance must be
            torch.add(rows, 0.5, out=tensor)
    return model.eval()


def assert_same(ours, other, image_size):
    """Each loads the other's state dict with strict=True, and both give the same logits."""
    ours.load_state_dict(other.state_dict(), strict=True, assign=True)  # no copy: these models are half a gigabyte
    other.load_state_dict(ours.state_dict(), strict=True, assign=True)
    image = torch.rand(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = ours.eval()(image)
        assert logits.std() > 0.1, "nothing to compare"
        assert_close(logits, other(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "batch_norm"), NAMES)
def test_parity_with_torchvision(name, batch_norm):
    with torch.device("meta"):
        ours, other = VGG(name, batch_norm=batch_norm), theirs(name, batch_norm)
    assert count(ours) == count(other) == PUBLISHED[name, batch_norm]
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [(k, v.shape) for k, v in other.state_dict().items()]
    assert_same(ours, randomise(other), image_size=224)


@pytest.mark.parametrize(("name", "batch_norm"), NAMES)
def test_parity_with_a_head_for_32_pixels(name, batch_norm):
    with torch.device("meta"):
        ours = VGG(name, num_classes=10, batch_norm=batch_norm, image_size=32)
        other = theirs(name, batch_norm, num_classes=10)
        other.avgpool = nn.Identity()  # the grid is 1×1 already
        other.classifier[0], other.classifier[3] = nn.Linear(512, 512), nn.Linear(512, 512)
        other.classifier[6] = nn.Linear(512, 10)
    assert_same(ours, randomise(other), image_size=32)


def test_dropout_and_initial_weights_are_torchvisions():
    torch.manual_seed(0)
    ours = VGG("vgg11", image_size=32, head_width=64, batch_norm=True)
    features = torchvision.models.vgg11_bn(num_classes=1).features
    for model in (ours.features, features):
        assert model[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
        assert model[4].weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
        assert model[4].bias.abs().max() == 0
    assert ours.classifier[0].weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert ours.classifier[0].bias.abs().max() == 0
    assert [m.p for m in ours.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(("image_size", "grid", "width"), [(32, 1, 512), (64, 2, 512), (100, 3, 512), (256, 7, 4096)])
def test_the_head_follows_the_image_size(image_size, grid, width):
    with torch.device("meta"):
        model = VGG("vgg11", num_classes=5, image_size=image_size)
        assert model.classifier[0].weight.shape == (width, 512 * grid * grid)
        assert model(torch.zeros(2, 3, image_size, image_size)).shape == (2, 5)


def test_tiny_vgg_has_cnn_explainers_shapes():
    model = TinyVGG()
    shapes, x = {}, torch.zeros(1, 3, 64, 64)
    for name, layer in model.features.named_children():
        x = layer(x)
        shapes[name] = tuple(x.shape[1:])
    assert shapes == {
        "conv_1_1": (10, 62, 62),
        "relu_1_1": (10, 62, 62),
        "conv_1_2": (10, 60, 60),
        "relu_1_2": (10, 60, 60),
        "max_pool_1": (10, 30, 30),
        "conv_2_1": (10, 28, 28),
        "relu_2_1": (10, 28, 28),
        "conv_2_2": (10, 26, 26),
        "relu_2_2": (10, 26, 26),
        "max_pool_2": (10, 13, 13),
    }
    assert count(model) == (3 * 9 + 1) * 10 + 3 * (10 * 9 + 1) * 10 + (13 * 13 * 10 + 1) * 10


@pytest.mark.parametrize("image_size", [16, 28, 32, 33, 65])
def test_tiny_vgg_computes_its_flatten_size(image_size):
    model = TinyVGG(in_channels=1, hidden_units=7, num_classes=3, image_size=image_size)
    assert model(torch.zeros(2, 1, image_size, image_size)).shape == (2, 3)


def test_channels_last_and_bf16_give_the_same_logits_nearly():
    torch.manual_seed(0)
    model, images = TinyVGG().eval(), torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        logits = model(images)
        assert_close(model(images.contiguous(memory_format=torch.channels_last)), logits, rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            assert_close(model(images).float(), logits, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("model", [TinyVGG(image_size=32), VGG("vgg11", num_classes=3, image_size=32, head_width=8)])
def test_every_parameter_gets_a_gradient(model):
    torch.manual_seed(0)
    model.eval()(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="there is no 'vgg12': use one of vgg11, vgg13"):
        VGG("vgg12")
    with pytest.raises(ValueError, match=r"image size 28 is too small, .* use 32 or more"):
        VGG("vgg11", image_size=28)
    with pytest.raises(ValueError, match=r"image size 12 is too small, .* use 16 or more"):
        TinyVGG(image_size=12)
    model = TinyVGG(image_size=32)
    with pytest.raises(ValueError, match=r"images are \(2, 1, 32, 32\).*\(B, 3, H, W\).*in_channels=1"):
        model(torch.zeros(2, 1, 32, 32))
    with pytest.raises(ValueError, match=r"images are \(3, 32, 32\)"):
        model(torch.zeros(3, 32, 32))
    with pytest.raises(ValueError, match="images are 64×64, but this TinyVGG was built for 32×32"):
        model(torch.zeros(2, 3, 64, 64))
    with torch.device("meta"), pytest.raises(ValueError, match=r"image size 16 is too small"):
        VGG("vgg11", image_size=32)(torch.zeros(1, 3, 16, 16))
