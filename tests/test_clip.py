"""Text encoder, CLIP, SigLIP and their losses: by hand, by loops, and by what must not change an answer."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vit_course.models.clip import CLIP, SigLIP, clip_loss, siglip_loss
from vit_course.models.text import TextConfig, TextEncoder, WordTokenizer
from vit_course.models.vit import ViTConfig

CAPTIONS = ["a small red star", "a large blue ring above a green moon", "A red ring"]
IMAGE = ViTConfig(image_size=8, patch_size=4, num_classes=0, dim=12, depth=2, num_heads=3)
TEXT = TextConfig(vocab_size=14, context_length=7, dim=16, depth=2, num_heads=2)


def randomised(module):
    torch.manual_seed(3)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.eval()


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


# The tokenizer


def test_words_become_numbers_and_words_again():
    tokenizer = WordTokenizer.of(CAPTIONS)
    tokens = tokenizer(CAPTIONS)
    assert tokens.dtype == torch.int64 and tokens.shape == (3, 10)  # 8 words, start and end
    assert tokens[0].tolist()[0] == tokenizer.START and (tokens == tokenizer.END).sum(1).tolist() == [1, 1, 1]
    assert tokens[0, 6:].tolist() == [tokenizer.PAD] * 4
    assert tokenizer.decode(tokens) == [caption.lower() for caption in CAPTIONS]
    assert tokens[0, 3] == tokens[2, 2]  # "red" is the same word wherever it stands
    assert len(tokenizer) == 3 + 10
    assert torch.equal(tokenizer("a red ring"), tokens[2:])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a rd star", "'rd' in 'a rd star' is not in the vocabulary: use words such as red"),
        ("a <pad> star", "'<pad>'"),
        (" ".join(["red"] * 9), "has 9 words, but there is room for 8"),
    ],
)
def test_the_tokenizer_names_what_it_cannot_read(text, words):
    with pytest.raises(ValueError, match=words):
        WordTokenizer.of(CAPTIONS)(["a red star", text])
    with pytest.raises(ValueError, match="captions=True"):
        WordTokenizer.of([])


# The text encoder


def tokens_of(*rows):
    return torch.tensor([list(row) + [0] * (7 - len(row)) for row in rows])


def test_the_end_token_answers_and_what_follows_it_does_not_matter():
    encoder = randomised(TextEncoder(TEXT))
    text = tokens_of([1, 5, 6, 2], [1, 7, 2])
    vectors = encoder(text)
    assert vectors.shape == (2, 16)
    torch.testing.assert_close(vectors[0], encoder.features(text)[0, 3])
    torch.testing.assert_close(encoder(text[:1, :4]), vectors[:1])  # shorter padding
    other = text.clone()
    other[0, 4:] = 9
    torch.testing.assert_close(encoder(other), vectors)
    other[0, 1] = 9
    assert not torch.allclose(encoder(other)[0], vectors[0])


def test_a_causal_token_sees_only_what_stands_before_it():
    encoder = randomised(TextEncoder(TEXT))
    text = tokens_of([1, 5, 6, 8, 9, 10, 2])
    before = encoder.features(text)
    text[0, 4] = 13
    after = encoder.features(text)
    assert torch.equal(before[:, :4], after[:, :4]) and not torch.allclose(before[:, 4:], after[:, 4:])


def test_siglips_text_is_read_whole_and_answers_in_the_last_place():
    encoder = randomised(
        TextEncoder(TextConfig(vocab_size=14, context_length=7, dim=16, depth=2, num_heads=2, pool="last"))
    )
    text = tokens_of([1, 5, 6, 2])
    torch.testing.assert_close(encoder(text), encoder.features(text)[:, -1])
    other = text.clone()
    other[0, 6] = 4
    assert not torch.allclose(encoder.features(text)[:, 0], encoder.features(other)[:, 0])  # no mask


def test_without_an_end_token_the_highest_number_answers():
    encoder = randomised(TextEncoder(dataclasses.replace(TEXT, end_token=None)))
    text = tokens_of([1, 5, 13, 6, 13], [1, 7, 3])
    torch.testing.assert_close(encoder(text), encoder.features(text)[[0, 1], [2, 1]])  # the first, where there are two


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocab_size": 0}, "vocab_size is 0: use 1 or more"),
        ({"num_heads": 0}, "num_heads is 0"),
        ({"num_heads": 3}, "dim 16 is not a multiple of num_heads 3"),
        ({"pool": "mean"}, "pool='mean' is unknown: use end or last"),
        ({"activation": "relu"}, "activation='relu' is unknown: use one of gelu"),
    ],
)
def test_a_text_config_that_cannot_be_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(TEXT, **changes)


def test_order_matters():
    encoder = randomised(TextEncoder(TEXT))
    assert not torch.allclose(encoder(tokens_of([1, 5, 6, 2])), encoder(tokens_of([1, 6, 5, 2])))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1, 5, 6]], "no end token"),
        ([[1, 14, 2]], "1…14, but the vocabulary is 0 to 13"),
        ([[1, -1, 2]], "-1"),
        ([[1, 3, 3, 3, 3, 3, 3, 2]], "8 tokens, but there is room for 7"),
    ],
)
def test_tokens_that_cannot_be_are_named(rows, words):
    with pytest.raises(ValueError, match=words):
        TextEncoder(TEXT)(torch.tensor(rows))


# The losses


def test_clip_loss_by_loops():
    images, texts, scale = unit(5, 6), unit(5, 6, seed=1), torch.tensor(1.5)
    total = 0.0
    for i in range(5):
        of_image = torch.stack([math.exp(1.5) * images[i] @ texts[j] for j in range(5)])
        of_text = torch.stack([math.exp(1.5) * images[j] @ texts[i] for j in range(5)])
        total += -of_image.log_softmax(0)[i] - of_text.log_softmax(0)[i]
    assert clip_loss(images, texts, scale).item() == pytest.approx(total.item() / 10, rel=1e-5)


def test_clip_loss_is_symmetric_and_knows_chance_and_perfection():
    images, texts, scale = unit(5, 6), unit(5, 6, seed=1), torch.tensor(2.0)
    torch.testing.assert_close(clip_loss(images, texts, scale), clip_loss(texts, images, scale))
    same = unit(1, 6).expand(8, 6)
    assert clip_loss(same, same, scale).item() == pytest.approx(math.log(8), rel=1e-5)
    eye = torch.eye(6)
    assert clip_loss(eye, eye, torch.tensor(4.5)).item() < 1e-6
    assert clip_loss(eye, eye.roll(1, 0), torch.tensor(4.5)).item() == pytest.approx(math.exp(4.5), rel=1e-3)


def test_the_temperature_is_learnt_and_clamped():
    eye = torch.eye(4).roll(1, 0)
    high = clip_loss(torch.eye(4), eye, torch.tensor(9.0))
    assert high.item() == pytest.approx(100, rel=1e-4)
    scale = torch.tensor(1.0, requires_grad=True)
    clip_loss(unit(5, 6), unit(5, 6, seed=1), scale).backward()
    assert scale.grad.abs() > 1e-3


def test_siglip_loss_by_loops():
    images, texts = unit(5, 6), unit(5, 6, seed=1)
    total = 0.0
    for i in range(5):
        for j in range(5):
            z = math.exp(1.2) * (images[i] @ texts[j]).item() - 3.0
            total += math.log1p(math.exp(-z if i == j else z))
    loss = siglip_loss(images, texts, torch.tensor(1.2), torch.tensor(-3.0))
    assert loss.item() == pytest.approx(total / 5, rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 9])
def test_in_chunks_the_loss_and_its_gradients_are_the_same(chunk):
    def run(chunk):
        inputs = [unit(5, 6), unit(5, 6, seed=1), torch.tensor(1.2), torch.tensor(-3.0)]
        inputs = [tensor.requires_grad_() for tensor in inputs]
        loss = siglip_loss(*inputs, chunk=chunk)
        return [loss, *torch.autograd.grad(loss, inputs)]

    for whole, parts in zip(run(None), run(chunk), strict=True):
        torch.testing.assert_close(parts, whole)


# The towers together


AS_CLIP = dataclasses.replace(IMAGE, norm_pre=True, patch_bias=False)
AS_SIGLIP = dataclasses.replace(IMAGE, pool="attention")
PAIRS = [CLIP(IMAGE, TEXT, dim=10), CLIP(AS_CLIP, TEXT, dim=10), SigLIP(IMAGE, TEXT), SigLIP(AS_SIGLIP, TEXT)]


@pytest.mark.parametrize("model", PAIRS, ids=["CLIP", "CLIP, norm first", "SigLIP", "SigLIP, attention pooling"])
def test_two_towers_give_unit_vectors_and_similarities(model):
    model = randomised(model)
    images, tokens = torch.randn(3, 3, 8, 8), tokens_of([1, 5, 6, 2], [1, 7, 2])
    x, y = model.encode_image(images), model.encode_text(tokens)
    for vectors in (x, y):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))
    bias = getattr(model, "logit_bias", 0)
    torch.testing.assert_close(model(images, tokens), model.logit_scale.exp() * (x @ y.T) + bias)
    assert model(images, tokens).shape == (3, 2)
    model.loss(images[:2], tokens).backward()
    unused = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not unused - {name for name in unused if name.endswith("token_embed.weight")}


def test_how_they_start():
    clip, siglip = CLIP(IMAGE, TEXT, dim=10), SigLIP(IMAGE, TEXT)
    assert clip.logit_scale.exp().item() == pytest.approx(1 / 0.07)
    assert siglip.logit_scale.exp().item() == pytest.approx(10) and siglip.logit_bias.item() == -10
    x, y = unit(64, 12), unit(64, 12, seed=1)
    start = siglip_loss(x, y, siglip.logit_scale, siglip.logit_bias).item()
    assert start < siglip_loss(x, y, siglip.logit_scale, torch.tensor(0.0)).item() / 3  # what the bias is for


@pytest.mark.parametrize("build", [lambda c: CLIP(c, TEXT), lambda c: SigLIP(c, TEXT)])
def test_an_image_tower_with_a_head_is_refused(build):
    with pytest.raises(ValueError, match="num_classes=0"):
        build(ViTConfig(image_size=8, patch_size=4, dim=12, depth=1, num_heads=3, num_classes=10))
