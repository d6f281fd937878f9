"""The recipes by name.

Budgets are in epochs, so that a run is the same everywhere. A name's minutes are half the CPU minutes of one core of
the machine that made the first runs, which is what two cores take if both are kept busy; a newer processor takes about
half of that. The records say what was measured.
The two nets of a budget get the same images, the same augmentation and about the same time.
"""

from dataclasses import replace

from vit_course.data.augment import Compose, CutMix, HorizontalFlip, RandomCrop
from vit_course.models.small_vgg import SmallVGGConfig
from vit_course.models.vit import ViTConfig
from vit_course.recipes.recipe import AdamW, Muon, Recipe

# Plain ViTs: no convolutional stem, no distillation, no images but CIFAR-10's 50,000.
SMALL = ViTConfig(
    image_size=32, patch_size=4, num_classes=10, dim=128, depth=4, num_heads=4, mlp_ratio=2.0, pool="mean"
)
DEEPER = replace(SMALL, depth=6)
WIDER = replace(DEEPER, dim=192, num_heads=6)

FOOT = Recipe(
    name="vit-5min",
    about="A plain ViT in 5 minutes: the foot of the ladder, whose rungs change one thing each.",
    model=SMALL,
    starts=("whiten", "sine"),
    optimizer=Muon(lr=0.01, adamw_lr=2e-3),
    batch_size=128,
    epochs=5,
    seeds=2,
)
VGG = Recipe(
    name="vgg-10min",
    about="A VGG-style net in 10 minutes.",
    model=SmallVGGConfig(),
    starts=("whiten",),
    optimizer=Muon(lr=0.02, adamw_lr=5e-3, renormalise=True),
    epochs=10,
    seeds=3,
)
WIDER_VGG = replace(
    VGG,
    name="vgg-20min",
    about="A wider VGG-style net in 20 minutes, with first weights and smoothing as in cifar10-airbench.",
    model=SmallVGGConfig(stem_kernel=2, widths=(64, 256, 256)),
    starts=("whiten", "identity", "fixed_scale"),
    optimizer=Muon(lr=0.15, momentum=0.6, adamw_lr=5e-3, renormalise=True),
    batch_size=1000,
    label_smoothing=0.2,
    epochs=13,
    seeds=2,
)
VIT = replace(FOOT, name="vit-10min", about="A plain ViT in 10 minutes.", epochs=10, seeds=3)

MAIN = [
    VIT,
    VGG,
    replace(VIT, name="vit-20min", about="A deeper plain ViT in 20 minutes.", model=DEEPER, epochs=13, seeds=1),
    WIDER_VGG,
    replace(WIDER_VGG, name="vgg-30min", about="The same VGG-style net in 30 minutes.", epochs=18, seeds=1),
    replace(
        VIT,
        name="vit-60min",
        about="A deeper and wider plain ViT in an hour, with more augmentation: it sees each image more often.",
        model=WIDER,
        augment=Compose((RandomCrop(padding=4), HorizontalFlip(), CutMix(num_classes=10, alpha=0.3))),
        epochs=23,
        seeds=1,
    ),
]


def rung(name: str, about: str, **changes: object) -> Recipe:
    """The foot of the ladder with one thing changed."""
    return replace(FOOT, name=f"vit-5min-{name}", about=about, **changes)


def other_model(name: str, about: str, epochs: int = 5, **changes: object) -> Recipe:
    """A rung with one thing changed in the model; as many epochs as take the same time."""
    return rung(name, about, model=replace(SMALL, **changes), epochs=epochs)


LADDER = [
    FOOT,
    rung("adamw", "AdamW in place of Muon, at a rate of its own.", optimizer=AdamW(lr=2e-3)),
    rung("no-warm-up", "Learning rates at their highest from the first step on.", warm_up=0.0),
    rung("cosine", "Learning rates that fall along a cosine in place of a line.", then="cosine"),
    rung("no-augmentation", "The images as they are, neither shifted nor mirrored.", augment=None),
    rung("no-smoothing", "Labels of 0 and 1, not smoothed.", label_smoothing=0.0),
    rung("batch-512", "Four times the batch, a quarter of the steps.", batch_size=512),
    rung("plain-start", "First weights and positions as the ViT paper's code draws them.", starts=()),
    other_model("patch-8", "16 patches of 8×8: cheap tokens, many epochs.", epochs=14, patch_size=8),
    other_model("patch-2", "256 patches of 2×2: dear tokens, one epoch.", epochs=1, patch_size=2),
    replace(other_model("no-positions", "Nothing says where a patch is.", positions="none"), starts=("whiten",)),
    replace(other_model("fixed-positions", "Sine positions that stay.", positions="sine"), starts=("whiten",)),
    other_model("class-token", "A class token is read, in place of the mean of the patches.", pool="cls"),
    other_model("narrow-deep", "8 blocks of width 96 in place of 4 of 128.", epochs=4, dim=96, depth=8, num_heads=3),
    other_model("wide-shallow", "2 blocks of width 192 in place of 4 of 128.", dim=192, depth=2, num_heads=6),
]

# A tenth and three tenths of the images, in as many steps as all of them get: what is missing is data, not training.
FRACTIONS = [
    replace(
        recipe,
        name=f"{recipe.name}-{percent}pct",
        about=f"The same on {percent} % of the images, and as many steps.",
        fraction=percent / 100,
        epochs=round(recipe.epochs * 100 / percent),
        seeds=1,
    )
    for recipe in (VIT, VGG)
    for percent in (10, 30)
]

# Less than a minute each on Shapes, for a learner's own run to be laid over: the same epochs, batches and loss.
SHAPES = [
    replace(
        FOOT,
        name="vit-shapes",
        about="A small plain ViT on Shapes, in less than a minute.",
        dataset="shapes",
        held_out=0.1,
        model=replace(SMALL, dim=64, num_heads=2),
        optimizer=Muon(lr=0.02, adamw_lr=2e-3),
        batch_size=64,
        epochs=4,
        seeds=5,
    ),
    replace(
        VGG,
        name="vgg-shapes",
        about="A small VGG-style net on Shapes, in less than a minute.",
        dataset="shapes",
        held_out=0.1,
        model=SmallVGGConfig(stem=8, widths=(8, 16, 32)),
        batch_size=64,
        epochs=4,
        seeds=5,
    ),
]

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*MAIN, *LADDER, *FRACTIONS, *SHAPES)}
