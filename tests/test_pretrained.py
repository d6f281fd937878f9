"""Weights of timm, torchvision and transformers in our ViT, and back; and what surrounds them."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import parity
import pytest
import timm
import torch
import torchvision
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from vit_course.models import pretrained
from vit_course.models.layouts import LAYOUTS, convert, layout_of
from vit_course.models.preprocess import Preprocess
from vit_course.models.pretrained import load_pretrained, save_pretrained
from vit_course.models.vit import ViT, ViTConfig

CONFIG = dataclasses.replace(parity.SMALL, image_size=(24, 40), patch_size=(8, 4))


@pytest.fixture(scope="module")
def rows():
    return parity.matrix()


def test_every_cell_of_the_parity_matrix(rows):
    for row in rows:
        assert row.to_ours < parity.LIMIT and row.from_ours < parity.LIMIT, row
        assert row.spread > 0.1, f"{row}: equal because nothing is there"
    assert {row.library.partition(",")[0] for row in rows} == set(parity.LIBRARIES)


def test_the_committed_matrix_is_what_the_command_writes(rows):
    cells = [line.strip("| ").split(" | ") for line in parity.PAGE.read_text(encoding="utf-8").splitlines()]
    written = [cell for cell in cells if len(cell) == 4 and cell[0].startswith(parity.LIBRARIES)]
    assert [cell[:2] for cell in written] == [[row.library, row.case] for row in rows]
    assert all(float(number) < parity.LIMIT for cell in written for number in cell[2:])


@pytest.fixture(scope="module")
def ours():
    return parity.randomise(ViT(CONFIG), seed=0).state_dict()


@pytest.mark.parametrize("middle", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back_is_bitwise(ours, layout, middle):
    there = convert(ours, "ours", layout)
    back = convert(convert(there, layout, middle), middle, layout)
    assert back.keys() == there.keys()
    assert all(torch.equal(back[name], there[name]) for name in there)
    assert all(tensor.is_contiguous() for tensor in back.values())
    again = convert(there, layout)
    assert again.keys() == ours.keys() and all(torch.equal(again[name], ours[name]) for name in ours)


def theirs() -> dict[str, torch.nn.Module]:
    """A model of each library."""
    return {
        "torchvision": parity.torchvisions(parity.SMALL),
        "timm": parity.timms(CONFIG)[0],
        "transformers": parity.transformerss(CONFIG),
    }


@pytest.mark.parametrize("library", parity.LIBRARIES)
def test_no_weight_of_a_library_is_lost(library):
    weights = parity.randomise(theirs()[library], seed=0).state_dict()
    layout = layout_of(weights)
    assert layout.startswith(library) or (layout, library) == ("ours", "timm")
    back = convert(convert(weights, library), "ours", layout)
    assert back.keys() == weights.keys() and all(torch.equal(back[name], weights[name]) for name in weights)


def test_torchvisions_older_files(ours):
    new = convert(ours, "ours", "torchvision")
    old = {name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t for name, t in new.items()}
    assert old.keys() != new.keys()
    assert all(torch.equal(convert(old, "torchvision")[name], ours[name]) for name in ours)


def test_a_split_weight_owns_its_memory(ours, tmp_path):
    before = ours["blocks.0.attn.qkv.weight"].clone()
    split = convert(ours, "ours", "transformers")
    save_file(split, tmp_path / "x.safetensors")  # refuses tensors that share memory
    split["vit.encoder.layer.0.attention.attention.query.weight"].zero_()
    assert torch.equal(ours["blocks.0.attn.qkv.weight"], before)


def changed(state: dict, **changes) -> dict:
    """A state dict with other entries; None takes one out. A `/` stands for a dot."""
    state = dict(state)
    for name, tensor in changes.items():
        if tensor is None:
            del state[name.replace("/", ".")]
        else:
            state[name.replace("/", ".")] = tensor
    return state


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        ("timm", {"fc_norm/weight": torch.zeros(48)}, "unknown: fc_norm.weight$"),
        ("timm", {"norm_pre/weight": torch.zeros(48)}, "missing: norm_pre.bias$"),
        ("timm", {"attn_pool/latent": torch.zeros(1, 1, 48)}, "missing: attn_pool.q.weight, .* and 8 more$"),
        ("timm", {"blocks/1/norm2/bias": None}, "missing: blocks.1.norm2.bias$"),
        ("timm", {"blocks/0/attn/qkv/bias": None}, "missing: blocks.0.attn.qkv.bias$"),
        ("timm", {"head/bias": None}, "missing: head.bias$"),
        ("timm", {"cls_token": torch.zeros(1, 48)}, r"cls_token \(1, 48\) instead of \(1, 1, 48\)"),
        ("timm", {"blocks/2/attn/qkv/weight": torch.zeros(143, 48)}, r"\(143, 48\) instead of \(144, 48\)"),
        ("timm", {"patch_embed/proj/weight": torch.zeros(48, 96)}, r"\(48, 96\) instead of \(48, 96, 'P', 'Q'\)"),
        ("torchvision", {"class_token": None}, "missing: class_token"),
        ("torchvision", {"heads/head/weight": torch.zeros(7, 49)}, r"heads.head.weight \(7, 49\) instead of \(7, 48\)"),
        ("transformers", {"vit/pooler/dense/bias": torch.zeros(48)}, "unknown: vit.pooler.dense.bias$"),
        ("transformers", {"vit/encoder/layer/1/attention/attention/key/bias": None}, "attention.key.bias$"),
        (
            "transformers",
            {"vit/encoder/layer/1/attention/attention/key/weight": torch.zeros(47, 48)},
            r"key.weight \(47, 48\) instead of \(48, 48\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(ours, layout, changes, message):
    with pytest.raises(ValueError, match=message):
        convert(changed(convert(ours, "ours", layout), **changes), layout)


def test_what_is_lost_on_the_way_is_refused(ours):
    with pytest.raises(ValueError, match="no layout 'keras': use one of ours"):
        convert(ours, "ours", "keras")
    with pytest.raises(ValueError, match="'torchvision' has cls_token"):
        convert(ViT(dataclasses.replace(CONFIG, pool="mean")).state_dict(), "ours", "torchvision")
    with pytest.raises(ValueError, match=r"'torchvision' has blocks\.0\.attn\.qkv\.bias"):
        convert(ViT(dataclasses.replace(CONFIG, qkv_bias=False)).state_dict(), "ours", "torchvision")
    for changes, extra in ({"norm_pre": True}, r"norm_pre\.weight"), ({"pool": "attention"}, r"attn_pool\.latent"):
        for target in ("torchvision", "transformers"):
            with pytest.raises(ValueError, match=f"no ViT in the layout '{target}' has {extra}, .*which these weights"):
                convert(ViT(dataclasses.replace(CONFIG, **changes)).state_dict(), "ours", target)
    with pytest.raises(ValueError, match="not the weights of a ViT"):
        convert({}, "transformers")
    with pytest.raises(ValueError, match=r"missing: .* and \d+ more"):
        convert({name: tensor for name, tensor in ours.items() if ".0." not in name}, "ours")


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model as transformers saves it."""
    parity.randomise(parity.transformerss(CONFIG), seed=0).save_pretrained(tmp_path)
    return tmp_path


def edit(folder: Path, name: str = "config.json", **changes) -> None:
    path = folder / name
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(said | changes))


def test_the_whole_configuration_is_honoured(folder):
    labels = {str(i): f"class {i}" for i in range(7)}
    edit(folder, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, hidden_act="gelu_new", id2label=labels)
    model, preprocess = load_pretrained(folder)
    assert not model.training
    wanted = dataclasses.replace(CONFIG, dropout=0.1, attention_dropout=0.2, activation="gelu_tanh", norm_eps=1e-6)
    assert model.config == wanted
    assert preprocess.classes == tuple(labels.values())
    assert preprocess.size == (24, 40)


def test_classes_come_in_the_order_of_their_numbers(folder):
    names = {str(i): f"class {i}" for i in reversed(range(11))}
    edit(folder, id2label=names, num_labels=7)
    assert load_pretrained(folder)[1].classes == tuple(f"class {i}" for i in range(11))


def test_two_labels_which_transformers_does_not_write_down(tmp_path):
    parity.transformerss(dataclasses.replace(CONFIG, num_classes=2)).save_pretrained(tmp_path)
    assert load_pretrained(tmp_path)[0].config.num_classes == 2


def test_every_hidden_width_comes_out_exactly(tmp_path):
    for hidden in range(1, 150):
        ratio = pretrained.mlp_ratio(hidden, 49)
        assert int(49 * ratio) == hidden


def test_a_file_is_found_with_its_configuration_and_several_files_are_one(folder):
    images = torch.rand(2, 3, 24, 40)
    logits = load_pretrained(folder)[0](images)
    torch.testing.assert_close(load_pretrained(folder / "model.safetensors")[0](images), logits)
    reader = transformers.ViTForImageClassification.from_pretrained(folder)
    shutil.rmtree(folder)
    reader.save_pretrained(folder, max_shard_size="60KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    torch.testing.assert_close(load_pretrained(str(folder))[0](images), logits)


@pytest.mark.parametrize("pooler", [True, False])
def test_a_model_without_a_head(tmp_path, pooler):
    theirs = transformers.ViTModel(parity.transformerss(CONFIG).config, add_pooling_layer=pooler)
    parity.randomise(theirs, seed=0).save_pretrained(tmp_path)
    model, _ = load_pretrained(tmp_path)
    assert model.config.num_classes == 0
    images = torch.rand(2, 3, 24, 40)
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(images).last_hidden_state[:, 0], rtol=0, atol=1e-5)


def test_timms_older_weights_file(tmp_path):
    model, arguments = parity.timms(CONFIG)
    timm.models.save_for_hf(parity.randomise(model, seed=0), tmp_path, model_args=arguments)
    assert (tmp_path / "pytorch_model.bin").is_file()
    received, preprocess = load_pretrained(tmp_path)
    images = torch.rand(2, 3, 24, 40)
    with torch.no_grad():
        torch.testing.assert_close(received(images), model(images), rtol=0, atol=1e-5)
    assert preprocess.interpolation == "bicubic" and preprocess.size == (24, 40) and preprocess.classes == ()


def test_timms_dropouts(tmp_path):
    model, arguments = parity.timms(CONFIG)
    arguments |= {"proj_drop_rate": 0.1, "attn_drop_rate": 0.2, "drop_path_rate": 0.3, "pos_drop_rate": 0.0}
    timm.models.save_for_hf(model, tmp_path, model_args=arguments, safe_serialization=True)
    config = load_pretrained(tmp_path)[0].config
    assert config == dataclasses.replace(CONFIG, dropout=0.1, attention_dropout=0.2, drop_path=0.3)


def test_timms_siglip(tmp_path):
    small = {"embed_dim": 48, "depth": 2, "num_heads": 4, "img_size": 32}
    model = parity.randomise(timm.create_model("vit_base_patch16_siglip_224", **small), seed=0)
    timm.models.save_for_hf(model, tmp_path, model_args=small, safe_serialization=True)
    received, _ = load_pretrained(tmp_path)
    assert received.config.pool == "attention" and received.config.num_classes == 0
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(received(images), model(images), rtol=0, atol=1e-5)


def test_the_names_of_timms_architectures(tmp_path):
    for name, published in {"vit_small_patch32_384": "ViT-S/32", "deit_tiny_patch16_224": "ViT-Ti/16"}.items():
        model = timm.create_model(name, depth=1, num_classes=3)
        timm.models.save_for_hf(model, tmp_path, model_args={"depth": 1}, safe_serialization=True)
        wanted = ViTConfig.published(published, depth=1, num_classes=3, image_size=model.patch_embed.img_size)
        assert load_pretrained(tmp_path)[0].config == dataclasses.replace(
            wanted, patch_size=model.patch_embed.patch_size
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vit_base_patch16_clip_224"}, "vit_base_patch16_clip_224.*is not here"),
        ({"model_args": {"global_pool": "avg"}}, "class_token=False, global_pool='avg', fc_norm=False"),
        ({"model_args": {"reg_tokens": 4, "pos_embed": "learn"}}, "timm's reg_tokens is not here"),
        ({"model_args": {"act_layer": "silu"}}, "activation 'silu' is not here"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, "crop_mode 'border'"),
    ],
)
def test_what_timm_has_and_we_have_not(tmp_path, changes, message):
    model, arguments = parity.timms(CONFIG)
    timm.models.save_for_hf(model, tmp_path, model_args=arguments, safe_serialization=True)
    arguments = {**arguments, **changes.pop("model_args", {})}
    edit(tmp_path, model_args=arguments, **changes)
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "swin"}, "kind 'swin', not of one that is here: vit"),
        ({"hidden_act": "relu"}, "activation 'relu' is not here"),
        ({"hidden_size": 44}, r"cls_token is \(1, 1, 48\) instead of \(1, 1, 44\)"),
        ({"num_hidden_layers": 4}, "blocks.3.norm1.weight is missing"),
        ({"num_hidden_layers": 2}, "blocks.2.norm1.weight is too much"),
        ({"image_size": 24}, r"pos_embed is \(1, 31, 48\) instead of"),
        ({"qkv_bias": False}, "qkv.bias is too much"),
    ],
)
def test_weights_that_do_not_fit_their_configuration(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


class Code:
    """Unpickling this would run something."""

    def __reduce__(self):
        return print, ("this must not run",)


def test_damaged_and_missing_files(folder, tmp_path, capsys):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for cut in (0, 4, 200, len(whole) - 1):
        weights.write_bytes(whole[:cut])
        for source in (folder, weights):
            with pytest.raises(ValueError, match="damaged"):
                load_pretrained(source)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="no weights in"):
        load_pretrained(folder)
    torch.save({"x": Code()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="more than weights"):
        load_pretrained(folder)
    assert "must not run" not in capsys.readouterr().out
    (folder / "config.json").write_text('{"model_type": "vi')
    (folder / "pytorch_model.bin").unlink()
    weights.write_bytes(whole)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_pretrained(folder)


def test_a_hub_id_without_a_network_or_a_model(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    with pytest.raises(FileNotFoundError, match="owner/name"):
        load_pretrained("no such folder")
    with pytest.raises(FileNotFoundError, match="VIT_COURSE_OFFLINE is set: go online once"):
        load_pretrained("nobody/nothing-of-the-kind")
    monkeypatch.delenv("VIT_COURSE_OFFLINE")

    def answer(error):
        def snapshot_download(*args, **options):
            assert not options["local_files_only"]
            if isinstance(error, Path):
                return str(error)
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)

    unknown = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    for error, message in (
        (unknown, "no model 'a/b' on the hub"),
        (LocalEntryNotFoundError("no connection"), "could not be fetched"),
        (ConnectionError("no connection"), "could not be fetched"),
    ):
        answer(error)
        with pytest.raises(FileNotFoundError, match=message):
            load_pretrained("a/b")
    theirs = parity.transformerss(CONFIG)
    theirs.save_pretrained(tmp_path)
    answer(tmp_path)
    assert load_pretrained("a/b")[0].config.dim == 48
    (tmp_path / "model.safetensors").unlink()

    def older(name, allow_patterns, local_files_only):
        if "pytorch_model.bin" in allow_patterns:
            torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", older)
    assert load_pretrained("a/b")[0].config.dim == 48


# --- our own files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"pool": "mean", "positions": "sine"}, {"num_classes": 0}])
def test_our_own_file(tmp_path, changes):
    model = parity.randomise(ViT(dataclasses.replace(CONFIG, **changes)), seed=0)
    preprocess = Preprocess(size=(24, 40), mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3), classes=("a", "b"))
    save_pretrained(model, tmp_path / "new" / "vit.safetensors", preprocess)
    received, same = load_pretrained(tmp_path / "new" / "vit.safetensors")
    assert received.config == model.config and same == preprocess and not received.training
    images = torch.rand(2, 3, 24, 40)
    assert torch.equal(received(images), model(images))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["vit.safetensors"]
    assert load_file(tmp_path / "new" / "vit.safetensors").keys() == model.state_dict().keys()


def test_our_own_file_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"does not end in \.safetensors"):
        save_pretrained(ViT(CONFIG), tmp_path / "vit.pt", Preprocess(size=(24, 40)))
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", {"kind": "Unknown"})
    with pytest.raises(ValueError, match="holds a Unknown, which is not here"):
        load_pretrained(tmp_path / "x.safetensors")


# --- preprocessing ---------------------------------------------------------------------------------------------------


def photo(height: int = 300, width: int = 401) -> Image.Image:
    """A smooth picture with some noise, of a size that nothing divides."""
    y, x = np.mgrid[:height, :width] / 100
    pixels = np.stack([np.sin(x * y), np.cos(3 * x), np.sin(y - x)], -1) * 100 + 128
    return Image.fromarray((pixels + np.random.default_rng(0).normal(0, 8, pixels.shape)).clip(0, 255).astype(np.uint8))


def saved_beside(folder: Path, processor) -> Preprocess:
    processor.save_pretrained(folder)
    return load_pretrained(folder)[1]


def test_preprocessing_is_transformers(folder):
    processor = transformers.ViTImageProcessor(size={"height": 24, "width": 40}, image_mean=[0.4, 0.5, 0.6])
    mine = saved_beside(folder, processor)
    assert mine.mean == (0.4, 0.5, 0.6) and mine.size == (24, 40) and mine.interpolation == "bilinear"
    wanted = processor(photo(), return_tensors="pt").pixel_values
    assert wanted.shape == (1, 3, 24, 40)
    torch.testing.assert_close(mine(photo()), wanted, rtol=0, atol=2.01 / 255 / 0.5)  # one level, by rounding
    assert (mine(photo()) - wanted).abs().mean() < 0.1 / 255
    pixels = torch.from_numpy(np.array(photo())).permute(2, 0, 1)
    assert torch.equal(mine(pixels), mine(photo())) and torch.equal(mine(pixels[None]), mine(photo()))
    assert torch.equal(mine([photo(), photo(50, 40)]), torch.cat([mine(photo()), mine(photo(50, 40))]))


def test_preprocessing_with_a_cut_is_transformers(folder):
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 24, "width": 40})
    mine = saved_beside(folder, processor)
    assert mine.interpolation == "bicubic" and mine.cover == (40, 40)
    for image in (photo(), photo(401, 300), photo(33, 97)):
        wanted = processor(image, return_tensors="pt").pixel_values
        assert wanted.shape == (1, 3, 24, 40)
        difference = (mine(image) - wanted).abs()
        assert difference.max() < 3 / 255 / 0.26 and difference.mean() < 0.2 / 255


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU, which resizes floats where the CPU resizes bytes"
)
def test_preprocessing_on_a_gpu_is_the_cpus():
    pixels = torch.from_numpy(np.array(photo())).permute(2, 0, 1)
    ready = Preprocess(size=(24, 40), cover=(30, 44), interpolation="bicubic")
    there = ready(pixels.cuda()).cpu()
    torch.testing.assert_close(there, ready(pixels), rtol=0, atol=2.01 / 255 / 0.5)
    assert (there - ready(pixels)).abs().mean() < 0.3 / 255 / 0.5  # rounded, not cut off


def test_preprocessing_switched_off(folder):
    processor = transformers.ViTImageProcessor(size={"height": 24, "width": 40}, do_normalize=False, do_rescale=False)
    mine, wanted = saved_beside(folder, processor)(photo(24, 40)), processor(photo(24, 40), return_tensors="pt")
    assert torch.equal(mine, wanted.pixel_values.float()) and 200 < mine.max() <= 255


def test_preprocessing_is_timms(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", depth=1)
    timm.models.save_for_hf(model, tmp_path, model_args={"depth": 1}, safe_serialization=True)
    mine = load_pretrained(tmp_path)[1]
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    for image in (photo(), photo(500, 301)):
        difference = (mine(image)[0] - transform(image)).abs()
        assert difference.max() < 3 / 255 / 0.5 and difference.mean() < 0.2 / 255


def test_preprocessing_refuses():
    with pytest.raises(ValueError, match="interpolation 'lanczos' is not here: use one of nearest"):
        Preprocess(size=(8, 8), interpolation="lanczos")
    with pytest.raises(ValueError, match="too small to cut"):
        Preprocess(size=(8, 8), cover=(9, 7))
    ready = Preprocess(size=(8, 8))
    for wrong in (torch.rand(3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"give uint8 in 0…255, \(B, 3, H, W\)"):
            ready(wrong)


def test_grey_and_other_modes_of_images():
    assert Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,))(photo()).shape == (1, 1, 8, 8)
    assert Preprocess(size=(8, 8))(photo().convert("RGBA")).shape == (1, 3, 8, 8)
    assert torchvision.transforms.functional.to_tensor(photo().convert("L")).shape[0] == 1
