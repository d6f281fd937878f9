"""transformers' CLIP and SigLIP files in our classes and back; our own files with tokenizers. Numbers: parity.py."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import parity
import parity_clip
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from vit_course.models import pretrained_clip
from vit_course.models.clip import CLIP, SigLIP
from vit_course.models.layouts_clip import convert_towers
from vit_course.models.preprocess import Preprocess
from vit_course.models.pretrained import load_pretrained, load_tokenizer, save_pretrained
from vit_course.models.text import TextConfig, WordTokenizer
from vit_course.models.vit import ViT, ViTConfig

KINDS = {"CLIP": CLIP, "SigLIP": SigLIP}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def theirs(kind):
    return parity.randomise(parity_clip.theirs(kind, "small"), seed=0)


@pytest.fixture
def folder(theirs, tmp_path) -> Path:
    theirs.save_pretrained(tmp_path)
    return tmp_path


def edit(folder: Path, part: str | None = None, **changes) -> None:
    """Change what config.json, or one tower's part of it, says; None takes it out."""
    said = json.loads((folder / "config.json").read_text())
    inner = said if part is None else said[part]
    inner |= changes
    for name in [name for name, value in inner.items() if value is None]:
        del inner[name]
    (folder / "config.json").write_text(json.dumps(said))


# --- whole models ----------------------------------------------------------------------------------------------------


def test_configurations_are_read_and_usual_values_filled_in(folder, kind):
    first, _ = load_pretrained(folder)
    usual = {"hidden_act", "layer_norm_eps", "num_channels", "attention_dropout", "eos_token_id", "model_type"}
    for part in ("vision_config", "text_config"):
        edit(folder, part, **dict.fromkeys(usual))
    model, _ = load_pretrained(folder)
    assert type(model) is KINDS[kind] and not model.training
    clip = kind == "CLIP"
    image = ViTConfig(
        image_size=(24, 24),
        patch_size=(8, 8),
        num_classes=0,
        dim=48,
        depth=2,
        num_heads=4,
        mlp_ratio=model.image.config.mlp_ratio,
        pool="cls" if clip else "attention",
        activation="quick_gelu" if clip else "gelu_tanh",
        norm_pre=clip,
        patch_bias=not clip,
        norm_eps=1e-5 if clip else 1e-6,
    )
    text = TextConfig(
        vocab_size=60,
        context_length=9,
        dim=32,
        depth=3,
        num_heads=2,
        mlp_ratio=model.text.config.mlp_ratio,
        activation=image.activation,
        norm_eps=image.norm_eps,
        pool="end" if clip else "last",
        end_token=49407 if clip else TextConfig.end_token,
    )
    assert (model.image.config, model.text.config) == (image, text)
    assert int(48 * image.mlp_ratio) == 121 and int(32 * text.mlp_ratio) == 75
    assert first.text.config == dataclasses.replace(text, end_token=57 if clip else text.end_token)


@pytest.mark.parametrize("empty", [{}, {"vision_config": {}, "text_config": {}}])
def test_a_configuration_that_says_nothing_is_the_first_published_one(kind, empty):
    """Of base size, so only the shapes."""
    sizes = {"CLIP": (224, 32, 512, 49408, 77, 8, 512), "SigLIP": (224, 16, 768, 32000, 64, 12, 768)}[kind]
    with torch.device("meta"):
        model, _, preprocess = pretrained_clip.READERS[kind.lower()](empty, {}, {})
    image, text = model.image.config, model.text.config
    found = image.image_size[0], image.patch_size[0], text.dim, text.vocab_size, text.context_length, text.num_heads
    assert (*found, model.text_projection.out_features) == sizes
    assert (image.dim, image.depth, image.num_heads, image.mlp_ratio, text.depth) == (768, 12, 12, 4, 12)
    assert preprocess.size == (224, 224)
    theirs = {"CLIP": transformers.CLIPModel, "SigLIP": transformers.SiglipModel}[kind]
    with torch.device("meta"):
        count = sum(p.numel() for p in theirs(theirs.config_class()).parameters())
    assert sum(p.numel() for p in model.parameters()) == count


def test_there_and_back_is_bitwise(theirs):
    state = theirs.state_dict()
    ours = convert_towers(state, "transformers")
    back = convert_towers(ours, "ours", "transformers")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    again = convert_towers(back, "transformers")
    assert again.keys() == ours.keys() and all(torch.equal(again[name], ours[name]) for name in ours)
    split = back["vision_model.encoder.layers.0.self_attn.q_proj.weight"]
    split.zero_()
    assert ours["image.blocks.0.attn.qkv.weight"].any()


def test_older_files(folder, kind):
    """They hold numbers of positions, which are no weights, and repeat the configuration under another name."""
    images, tokens = torch.randn(2, 3, 24, 24), torch.tensor([[5, 57] + [0] * 7])
    wanted = load_pretrained(folder)[0](images, tokens)
    state = load_file(folder / "model.safetensors")
    state["text_model.embeddings.position_ids"] = torch.arange(9)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(10)[None]
    save_file(state, folder / "model.safetensors")
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit(folder, text_config={**text, "hidden_size": 512}, text_config_dict=text, vision_config_dict=None)
    assert torch.equal(load_pretrained(folder)[0](images, tokens), wanted)


def test_older_texts_end_at_their_highest_number(tmp_path):
    theirs = parity.randomise(parity_clip.theirs("CLIP", "end token 2, as in the first files"), seed=0)
    theirs.save_pretrained(tmp_path)
    model, _ = load_pretrained(tmp_path)
    assert model.text.config.end_token is None
    tokens = torch.tensor([[2, 5, 40, 2, 2, 1, 1, 1, 1], [3, 59, 7, 59, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        wanted = theirs.text_model(input_ids=tokens).pooler_output
        torch.testing.assert_close(model.text(tokens), wanted, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.text(tokens)[1], model.text.features(tokens)[1, 1])


def test_the_loss_is_transformers(theirs, folder):
    images, tokens = parity_clip.some_inputs(theirs)
    model, _ = load_pretrained(folder)
    with torch.no_grad():
        wanted = theirs(input_ids=tokens[:3], pixel_values=images, return_loss=True).loss
        torch.testing.assert_close(model.loss(images, tokens[:3]), wanted, rtol=0, atol=1e-5)


# --- image towers alone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_an_image_tower_alone(kind, tmp_path, prefix):
    tower = {"CLIP": transformers.CLIPVisionModel, "SigLIP": transformers.SiglipVisionModel}[kind]
    tower = parity.randomise(tower(tower.config_class(**parity_clip.IMAGE)), seed=0)
    tower.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state = {prefix + name.removeprefix("vision_model."): tensor for name, tensor in state.items()}
    save_file(state, tmp_path / "model.safetensors")
    model, preprocess = load_pretrained(tmp_path)
    assert type(model) is ViT and preprocess.size == (24, 24)
    images = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        outputs = tower(pixel_values=images)
        torch.testing.assert_close(model(images), outputs.pooler_output, rtol=0, atol=1e-5)
        tokens = outputs.last_hidden_state
        if kind == "CLIP":  # which norms the class token alone
            tokens = getattr(tower, "vision_model", tower).post_layernorm(tokens)
        torch.testing.assert_close(model.features(images), tokens, rtol=0, atol=1e-5)


def test_every_step_of_siglips_image_tower(tmp_path):
    """What notebook 19 does: after the patches, the positions, each block, the norm and the pooling, the same."""
    whole = parity.randomise(parity_clip.theirs("SigLIP", "small"), seed=0)
    whole.save_pretrained(tmp_path)
    model, theirs = load_pretrained(tmp_path)[0].image, whole.vision_model
    images = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        patches = theirs.embeddings.patch_embedding(images).flatten(2).transpose(1, 2)
        torch.testing.assert_close(model.patch_embed(images), patches)
        x, y = model.embed(images), theirs.embeddings(images)
        torch.testing.assert_close(x, y)
        for block, layer in zip(model.blocks, theirs.encoder.layers, strict=True):
            torch.testing.assert_close(block.attn(block.norm1(x)), layer.self_attn(layer.layer_norm1(y))[0])
            x, y = block(x), layer(y, None)
            y = y[0] if isinstance(y, tuple) else y  # before release 5
            torch.testing.assert_close(x, y, rtol=0, atol=1e-5)
        x, y = model.norm(x), theirs.post_layernorm(y)
        torch.testing.assert_close(model.pool(x), theirs.head(y), rtol=0, atol=1e-5)
        torch.testing.assert_close(model.pool(x), model(images))


# --- preprocessing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [True, False])
def test_preprocessing_is_transformers(kind, folder, written):
    size = {"shortest_edge": 24} if kind == "CLIP" else {"height": 24, "width": 24}
    crop = {"crop_size": {"height": 24, "width": 24}} if kind == "CLIP" else {}
    processor = getattr(transformers, {"CLIP": "CLIPImageProcessor", "SigLIP": "SiglipImageProcessor"}[kind])
    processor = processor(size=size, **crop)
    if written:
        processor.save_pretrained(folder)
    _, mine = load_pretrained(folder)
    assert mine.interpolation == "bicubic" and mine.size == (24, 24) and mine.classes == ()
    assert mine.mean[0] == (0.48145466 if kind == "CLIP" else 0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3)).repeat(4, axis=0).repeat(4, axis=1)
    image = Image.fromarray(pixels.astype(np.uint8))
    wanted = processor(image, return_tensors="pt").pixel_values
    difference = (mine(image) - wanted).abs()
    assert difference.max() < 3 / 255 / 0.26 and difference.mean() < 0.2 / 255


# --- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("vision_config", {"hidden_act": "relu"}, "activation 'relu' is not here"),
        ("text_config", {"hidden_act": "silu"}, "activation 'silu' is not here"),
        ("vision_config", {"num_hidden_layers": 3}, r"image.blocks.2.norm1.weight is missing"),
        ("text_config", {"num_hidden_layers": 2}, r"text.blocks.2.norm1.weight is too much"),
        ("text_config", {"vocab_size": 61}, r"text.token_embed.weight is \(60, 32\) instead of \(61, 32\)"),
        ("text_config", {"num_attention_heads": 3}, "dim 32 is not a multiple of num_heads 3"),
        ("vision_config", {"image_size": 32}, r"image.pos_embed is \(1, \d+, 48\) instead of"),
        ("vision_config", {"image_size": 30}, "image_size 30 is not a multiple of patch_size 8: use 24 or 32"),
    ],
)
def test_weights_that_do_not_fit_their_configuration(folder, part, changes, message):
    edit(folder, part, **changes)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


def test_a_siglip_tower_without_its_head_is_refused(tmp_path):
    theirs = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**parity_clip.IMAGE, vision_use_head=False))
    theirs.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="without its pooling head is not here"):
        load_pretrained(tmp_path)


def test_a_siglip_whose_towers_differ_in_width(folder, kind):
    if kind == "SigLIP":
        state = load_file(folder / "model.safetensors")
        state["text_model.head.weight"] = torch.zeros(40, 32)
        save_file(state, folder / "model.safetensors")
        with pytest.raises(ValueError, match=r"text_projection.weight is \(40, 32\) instead of \(48, 32\)"):
            load_pretrained(folder)


def test_names_that_are_unknown_or_missing(theirs):
    state = dict(theirs.state_dict())
    with pytest.raises(ValueError, match=r"unknown: vision_model\.extra"):
        convert_towers(state | {"vision_model.extra": torch.zeros(1)}, "transformers")
    del state["text_model.encoder.layers.1.self_attn.v_proj.bias"]
    with pytest.raises(ValueError, match=r"missing: text_model.encoder.layers.1.self_attn.v_proj.bias"):
        convert_towers(state, "transformers")
    with pytest.raises(ValueError, match="layouts ours and transformers, not in 'timm'"):
        convert_towers(state, "timm")


# --- our own files ---------------------------------------------------------------------------------------------------

CAPTIONS = ["a small red star", "a large blue ring above a green moon"]


def small(kind: str):
    """A model such as notebooks 18 and 19 train, and its tokenizer."""
    tokenizer = WordTokenizer.of(CAPTIONS)
    own = {"norm_pre": True} if kind == "CLIP" else {"pool": "attention"}
    image = ViTConfig(image_size=(8, 12), patch_size=4, num_classes=0, dim=12, depth=1, num_heads=3, **own)
    text = TextConfig(vocab_size=len(tokenizer), context_length=tokenizer.context_length, dim=16, depth=1, num_heads=2)
    return parity.randomise(KINDS[kind](image, text, **({"dim": 10} if kind == "CLIP" else {})), seed=0), tokenizer


def test_our_own_file(kind, tmp_path):
    model, tokenizer = small(kind)
    path, preprocess = tmp_path / "small.safetensors", Preprocess(size=(8, 12))
    save_pretrained(model, path, preprocess, tokenizer=tokenizer)
    received, same = load_pretrained(path)
    assert type(received) is type(model) and same == preprocess and not received.training
    assert (received.image.config, received.text.config) == (model.image.config, model.text.config)
    reader = load_tokenizer(path)
    assert torch.equal(reader(CAPTIONS), tokenizer(CAPTIONS)) and reader.words == tokenizer.words
    images = torch.rand(2, 3, 8, 12)
    assert torch.equal(received(images, reader(CAPTIONS)), model(images, tokenizer(CAPTIONS)))
    save_pretrained(model, path, preprocess, dtype=torch.float16)
    half, _ = load_pretrained(path)
    assert half.logit_scale.dtype == torch.float32
    torch.testing.assert_close(half(images, tokenizer(CAPTIONS)), model(images, tokenizer(CAPTIONS)), rtol=0, atol=0.1)


def test_a_file_without_a_tokenizer(tmp_path):
    model, _ = small("CLIP")
    save_pretrained(model, tmp_path / "small.safetensors", Preprocess(size=(8, 12)))
    with pytest.raises(ValueError, match="has no tokenizer: a published model's is transformers' AutoTokenizer"):
        load_tokenizer(tmp_path / "small.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_tokenizer(tmp_path / "other.safetensors")
