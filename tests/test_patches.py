"""Patches: equal to loops, unfold, einops and timm; inverted exactly; every error names its remedy."""

import pytest
import timm
import torch
from einops import rearrange
from torch.nn import functional as F
from torch.testing import assert_close

from vit_course.models.patches import PatchEmbedding, grid_size, pair, patchify, unpatchify

# (B, C, H, W), patch: square, not square, one row, one pixel, the whole image; no two sizes are equal in the first.
CASES = [((2, 3, 8, 20), (4, 5)), ((3, 1, 6, 6), 2), ((1, 4, 5, 15), 5), ((2, 3, 3, 4), 1), ((2, 3, 6, 9), (6, 9))]
every_case = pytest.mark.parametrize(("shape", "patch"), CASES, ids=str)


def numbered(shape):
    """Images in which no two numbers are alike."""
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def by_loops(images, patch):
    (B, C, H, W), (P, Q) = images.shape, pair(patch)
    return torch.tensor(
        [
            [
                [images[b, c, top + i, left + j] for i in range(P) for j in range(Q) for c in range(C)]
                for top in range(0, H, P)
                for left in range(0, W, Q)
            ]
            for b in range(B)
        ]
    )


@every_case
def test_patchify_equals_loops_einops_and_unfold(shape, patch):
    images, (P, Q) = numbered(shape), pair(patch)
    ours = patchify(images, patch)
    rows, columns = shape[2] // P, shape[3] // Q
    assert ours.shape == (shape[0], rows * columns, P * Q * shape[1])
    assert torch.equal(ours, by_loops(images, patch))
    assert torch.equal(ours, rearrange(images, "b c (h p) (w q) -> b (h w) (p q c)", p=P, q=Q))
    unfolded = F.unfold(images, (P, Q), stride=(P, Q))  # (B, C·P·Q, N), channels first
    assert torch.equal(ours, rearrange(unfolded, "b (c pq) n -> b n (pq c)", c=shape[1]))


@every_case
def test_unpatchify_inverts_it(shape, patch):
    images = numbered(shape)
    back = unpatchify(patchify(images, patch), patch, shape[2:])
    assert back.shape == shape and torch.equal(back, images)
    patches = torch.rand_like(patchify(images, patch))
    assert torch.equal(patchify(unpatchify(patches, patch, shape[2:]), patch), patches)


def test_the_first_patch_is_the_corner_and_the_second_is_to_its_right():
    images = numbered((1, 2, 4, 6))
    first, second = patchify(images, 2)[0, :2]
    assert first.tolist() == [0, 24, 1, 25, 6, 30, 7, 31]  # row, column, channel: both channels of a pixel together
    assert second.tolist() == [2, 26, 3, 27, 8, 32, 9, 33]


def test_types_empty_batches_and_strides_are_kept():
    for dtype in (torch.uint8, torch.bfloat16, torch.float64):
        images = numbered((1, 3, 4, 4)).to(dtype)
        assert patchify(images, 2).dtype == unpatchify(patchify(images, 2), 2, 4).dtype == dtype
    none = torch.zeros(0, 3, 4, 6)
    assert patchify(none, 2).shape == (0, 6, 12) and unpatchify(patchify(none, 2), 2, (4, 6)).shape == none.shape
    images = numbered((2, 3, 4, 6))
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(patchify(last, 2), patchify(images, 2))


def test_gradients_pass():
    images = torch.rand(1, 2, 4, 4, requires_grad=True)
    (patchify(images, 2) * patchify(numbered((1, 2, 4, 4)), 2)).sum().backward()
    assert torch.equal(images.grad, numbered((1, 2, 4, 4)))


def randomised(module):
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("size", "patch", "channels"), [((8, 20), (4, 5), 3), ((12, 6), 3, 1), (8, 4, 2)])
def test_the_embedding_is_a_linear_layer_on_patches(size, patch, channels, bias):
    embed = randomised(PatchEmbedding(image_size=size, patch_size=patch, in_channels=channels, dim=7, bias=bias))
    images = torch.randn(2, channels, *pair(size))
    weight = embed.proj.weight.permute(0, 2, 3, 1).flatten(1)  # (D, P·Q·C)
    expected = F.linear(patchify(images, patch), weight, embed.proj.bias)
    tokens = embed(images)
    assert tokens.shape == (2, embed.num_patches, 7) and expected.std() > 0.5
    assert embed.grid == (pair(size)[0] // pair(patch)[0], pair(size)[1] // pair(patch)[1])
    assert_close(tokens, expected, rtol=1e-5, atol=1e-5)
    assert (embed.proj.bias is None) == (not bias)


@pytest.mark.parametrize(("size", "patch"), [((32, 48), 16), (24, 8), ((30, 28), (5, 7))])
def test_parity_with_timm_in_both_directions(size, patch):
    theirs = randomised(timm.layers.PatchEmbed(img_size=size, patch_size=patch, in_chans=3, embed_dim=11))
    ours = PatchEmbedding(image_size=size, patch_size=patch, in_channels=3, dim=11)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, *pair(size))
    assert_close(ours(images), theirs(images), rtol=0, atol=0)
    assert ours.num_patches == theirs.num_patches and ours.grid == theirs.grid_size
    theirs.load_state_dict(randomised(ours).state_dict(), strict=True)
    assert_close(ours(images), theirs(images), rtol=0, atol=0)


def test_the_defaults_are_vit_b_16s():
    embed = PatchEmbedding()
    assert (embed.grid, embed.num_patches, embed.image_size, embed.patch_size) == ((14, 14), 196, (224, 224), (16, 16))
    assert sum(p.numel() for p in embed.parameters()) == 16 * 16 * 3 * 768 + 768 == 590_592


def test_every_parameter_gets_a_gradient():
    embed = PatchEmbedding(image_size=8, patch_size=4, dim=5)
    embed(torch.rand(2, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in embed.parameters())


def test_sizes():
    assert pair(4) == (4, 4) and pair((4, 6)) == pair([4, 6]) == pair(torch.Size([4, 6])) == (4, 6)
    assert grid_size(224, 16) == (14, 14) and grid_size((8, 20), (4, 5)) == (2, 4) and grid_size((6, 9), 3) == (2, 3)


MESSAGES = [
    (lambda: grid_size(30, 4), "image_size 30 is not a multiple of patch_size 4: use 28 or 32"),
    (lambda: grid_size((32, 30), 4), "image_size 30 is not a multiple of patch_size 4: use 28 or 32"),
    (lambda: grid_size((32, 32), (4, 5)), "image_size 32 is not a multiple of patch_size 5: use 30 or 35"),
    (lambda: grid_size(8, 16), "image_size 8 is not a multiple of patch_size 16: use 16"),
    (lambda: grid_size(8, 0), "0 is not a size: give one side, or (height, width), of 1 or more"),
    (lambda: grid_size((8, -8), 4), "(8, -8) is not a size: give one side, or (height, width), of 1 or more"),
    (lambda: pair((1, 2, 3)), "(1, 2, 3) is not a size: give one side, or (height, width), of 1 or more"),
    (lambda: patchify(torch.zeros(3, 8, 8), 4), "images are (3, 8, 8), not (B, C, H, W): give it a batch of images"),
    (lambda: patchify(torch.zeros(1, 3, 8, 9), 4), "image_size 9 is not a multiple of patch_size 4: use 8 or 12"),
    (
        lambda: unpatchify(torch.zeros(1, 5, 48), 4, 8),
        "patches are (1, 5, 48), but images of 8×8 in patches of 4×4 are (B, 4, 16 · channels)",
    ),
    (
        lambda: unpatchify(torch.zeros(1, 4, 47), (4, 2), (8, 4)),
        "patches are (1, 4, 47), but images of 8×4 in patches of 4×2 are (B, 4, 8 · channels)",
    ),
    (lambda: unpatchify(torch.zeros(48, 4), 4, 8), "patches are (48, 4), but images of 8×8"),
    (lambda: unpatchify(torch.zeros(1, 4, 48, 1), 4, 8), "patches are (1, 4, 48, 1), but images of 8×8"),
    (lambda: unpatchify(torch.zeros(1, 4, 48), 4, 9), "image_size 9 is not a multiple of patch_size 4: use 8 or 12"),
    (
        lambda: PatchEmbedding(image_size=30, patch_size=4),
        "image_size 30 is not a multiple of patch_size 4: use 28 or 32",
    ),
    (
        lambda: PatchEmbedding(image_size=8, patch_size=4, dim=5)(torch.zeros(1, 1, 8, 8)),
        "images are (1, 1, 8, 8), but this network was built for (B, 3, H, W): build it with in_channels=1",
    ),
    (
        lambda: PatchEmbedding(image_size=8, patch_size=4, dim=5)(torch.zeros(3, 8, 8)),
        "images are (3, 8, 8), but this network was built for (B, 3, H, W): give it a batch of images",
    ),
    (
        lambda: PatchEmbedding(image_size=8, patch_size=4, dim=5)(torch.zeros(1, 3, 8, 12)),
        "images are 8×12, but this network was built for 8×8: resize them, or build it with image_size=(8, 12)",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), MESSAGES, ids=[message[:60] for _, message in MESSAGES])
def test_wrong_input_is_named_with_its_remedy(wrong, message):
    with pytest.raises(ValueError) as caught:
        wrong()
    assert str(caught.value).startswith(message)
