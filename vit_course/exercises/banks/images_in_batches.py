"""Notebook 01, second part: splitting a dataset, and an augmentation that treats each image of a batch by itself."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.contract import a
from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank

# Both answers draw random numbers, and each may draw them in its own way. So what is compared is not the result but
# properties that hold for every right answer, over several calls; they are true or false, so that a mistake shows the
# same whatever it drew.

# --- stratified_split -----------------------------------------------------------------------------------------------


def stratified_split(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    """Positions of the training and the validation images: of each class, the share `held_out` goes into validation."""
    return per_class(cut)(labels, held_out)


def per_class(choose: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> Callable:
    """A split that calls `choose(members, count)` for each class: it gives (train, validation)."""

    def split(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
        train, val = [], []
        for label in labels.unique():
            members = (labels == label).nonzero().flatten()
            parts = choose(members, round(held_out * len(members)))
            train.append(parts[0])
            val.append(parts[1])
        return torch.cat(train), torch.cat(val)

    return split


def shuffle(members: Tensor) -> Tensor:
    return members[torch.randperm(len(members))]


def cut(members: Tensor, count: int) -> tuple[Tensor, Tensor]:
    members = shuffle(members)
    return members[count:], members[:count]


def uneven_labels() -> list[tuple]:
    """Labels of classes of unequal size: in mixed order, and sorted."""
    mixed = shuffle(torch.tensor([0] * 13 + [1] * 27 + [2] * 41))
    return [(mixed, 0.2), (torch.tensor([0] * 43 + [1] * 22 + [2] * 67 + [3] * 28), 0.1)]


def shown(result: object) -> str:
    """What something is, for a Complaint: "float32 (8, 3, 2)" or "a NumPy array"."""
    if isinstance(result, Tensor):
        return f"{str(result.dtype).removeprefix('torch.')} {tuple(result.shape)}"
    return a(result)


def split_properties(answer: Callable, labels: Tensor, held_out: float) -> object:
    """What holds for every right split, over three calls."""
    everything = set(range(len(labels)))
    results = [answer(labels, held_out) for _ in range(3)]
    if is_blank(results[0]):
        return results[0]
    splits = [usable(result, len(labels)) for result in results]
    sets = [(set(train.tolist()), set(val.tolist())) for train, val in splits]
    counts = [torch.bincount(labels[val], minlength=int(labels.max()) + 1) for _, val in splits]
    share = torch.bincount(labels) * held_out
    return {
        "an image is in both splits": any(train & val for train, val in sets),
        "an image is in neither split": any(everything - train - val for train, val in sets),
        "a position occurs twice": any(
            len(part) > len(unique)
            for split, pair in zip(splits, sets, strict=True)
            for part, unique in zip(split, pair, strict=True)
        ),
        "validation has its share of all images": all(abs(len(val) - share.sum()) < len(share) for _, val in splits),
        "validation is the larger part": any(len(val) > len(train) for train, val in splits),
        "validation has its share of each class": all(bool(((c - share).abs() < 1).all()) for c in counts),
        "validation has equally many of each class": all(bool((c == c[0]).all()) for c in counts),
        "validation is the first or last of each class": all(at_an_end(labels, val) for _, val in splits),
        "every call chooses the same images": sets[0] == sets[1] == sets[2],
    }


def usable(parts: object, count: int) -> tuple[Tensor, Tensor]:
    """The two tensors of positions, or a Complaint about what came instead."""
    if not isinstance(parts, (tuple, list)) or len(parts) != 2:
        raise Complaint("Return two tensors: the positions for training, then the positions for validation.")
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not isinstance(part, Tensor) or part.dtype not in (torch.int64, torch.int32) or part.ndim != 1:
            raise Complaint(
                f"The {name} positions are {shown(part)}: return an int64 tensor with one axis, of places in `labels`, "
                "such as tensor([4, 0, 7])."
            )
        if len(part) and not 0 <= int(part.min()) <= int(part.max()) < count:
            raise Complaint(f"The {name} positions reach {int(part.max())}, but `labels` has places 0 to {count - 1}.")
    return parts[0], parts[1]


def at_an_end(labels: Tensor, val: Tensor) -> bool:
    """Whether validation holds just the first or just the last images of every class."""
    held = torch.isin(torch.arange(len(labels)), val)
    for label in labels.unique():
        of_class = held[labels == label]
        count = int(of_class.sum())
        if not (of_class[:count].all() or of_class[len(of_class) - count :].all()):
            return False
    return True


def split_by_mask(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        places = torch.where(labels == label)[0].tolist()
        for i in torch.randperm(len(places))[: int(len(places) * held_out)].tolist():
            held[places[i]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def split_by_count(labels: Tensor, held_out: float) -> list[Tensor]:
    seen, train, val = {}, [], []
    for i in torch.randperm(len(labels)).tolist():
        label = int(labels[i])
        seen[label] = seen.get(label, 0) + 1
        (val if seen[label] <= round(held_out * int((labels == label).sum())) else train).append(i)
    return [torch.tensor(train), torch.tensor(val)]


def not_stratified(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(labels))
    count = round(held_out * len(labels))
    return order[count:], order[:count]


def tail(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    count = round(held_out * len(labels))
    return torch.arange(len(labels))[:-count], torch.arange(len(labels))[-count:]


def reseeded(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return stratified_split(labels, held_out)


def equal_counts(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    count = round(held_out * len(labels) / len(labels.unique()))
    return per_class(lambda members, _: cut(members, count))(labels, held_out)


def remainder_lost(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    def choose(members: Tensor, _: int) -> tuple[Tensor, Tensor]:
        members, for_training = shuffle(members), int((1 - held_out) * len(members))
        return members[:for_training], members[for_training : for_training + int(held_out * len(members))]

    return per_class(choose)(labels, held_out)


def labels_at_places(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    train, val = stratified_split(labels, held_out)
    return labels[train], labels[val]


def share_of_all(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    count = round(held_out * len(labels))
    return per_class(lambda members, _: cut(members, count))(labels, held_out)


def last_class_only(labels: Tensor, held_out: float) -> tuple[Tensor, Tensor]:
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        train, val = cut(members, round(held_out * len(members)))
    return train, val


STRATIFIED_SPLIT = Exercise(
    name="stratified_split",
    notebook="01",
    title="Hold out the same share of every class",
    reference=stratified_split,
    probes=uneven_labels,
    call=split_properties,
    axes={"labels": "N"},
    hints=[
        "Go class by class: find the places of its images, mix them, put the first few into validation, the rest "
        "into training.",
        "`(labels == label).nonzero().flatten()` gives the places of one class. `torch.randperm(n)` gives 0…n-1 in "
        "random order; use it as an index to mix the places.",
        "Cut the mixed places once, at `round(held_out * len(places))`: both sides of one cut share nothing and lose "
        "nothing. Collect the pieces in two lists and join each with `torch.cat`.",
    ],
    mistakes=[
        Mistake(
            "overlap",
            per_class(lambda members, count: (cut(members, count)[0], cut(members, count)[1])),
            "Some images are in both splits, and others in none. You shuffled anew for each split, so the two cuts "
            "know nothing of each other. Then the model is examined on images it has learned by heart, and the score "
            "is too good. Shuffle once, cut once.",
        ),
        Mistake(
            "not_removed",
            per_class(lambda members, count: (members, shuffle(members)[:count])),
            "Validation is chosen well, but its images stayed in training as well. The model is then examined on "
            "images it has learned by heart, and the score is too good. Training gets only the rest.",
        ),
        Mistake(
            "not_stratified",
            not_stratified,
            "You drew from all images at once. Each class then gets a share by luck, and a small class may be nearly "
            "missing from validation. Cut each class by itself.",
        ),
        Mistake(
            "not_shuffled",
            per_class(lambda members, count: (members[count:], members[:count])),
            "Every class has its share, but you always take the first (or the last) images of it. Files often lie in "
            "the order they were made, so these are alike: one day, one camera. Shuffle within the class first.",
        ),
        Mistake(
            "tail",
            tail,
            "You cut the end off the list as it stands. Datasets often lie sorted by class, and then validation sees "
            "one class and training lacks it. Mix, and cut each class by itself.",
        ),
        Mistake(
            "exchanged",
            per_class(lambda members, count: cut(members, count)[::-1]),
            "The splits have changed places: most images are in validation. Training comes first and gets the larger "
            "part.",
        ),
        Mistake(
            "places_within_class",
            per_class(lambda members, count: cut(torch.arange(len(members)), count)),
            "You return places within a class (its 1st, its 5th image), but they are used as places in the whole "
            "dataset. So the first few images are meant again and again, others never. Use them as an index into the "
            "places of that class first.",
        ),
        Mistake(
            "remainder_lost",
            remainder_lost,
            "Some images are in neither split. If both sizes are rounded, or the second part starts one place too "
            "late, images get lost. Cut once: what is before the cut, and all that is after it.",
        ),
        Mistake(
            "equal_counts",
            equal_counts,
            "You hold out the same *number* of each class. The classes differ in size, so the small ones lose most "
            "of their images. Take the same share of each.",
        ),
        Mistake(
            "share_of_all",
            share_of_all,
            "The number you hold out is a share of *all* images, but you take it from every class: far too many, and "
            "a small class may lose all its images. Count within the class.",
        ),
        Mistake(
            "labels_at_places",
            labels_at_places,
            "You return the labels that stand at the chosen places. Nobody can find the images by them: there are as "
            "many 0s as the class has images. Return the places themselves.",
        ),
        Mistake(
            "last_class_only",
            last_class_only,
            "Only one class is left: either each turn of the loop overwrites the one before, or `return` stands "
            "inside the loop. Collect the pieces in lists and join them after the loop.",
        ),
        Mistake(
            "reseeded",
            reseeded,
            "Every class has its share, but every call gives the same split: either nothing is random, or the seed "
            "is set inside. Draw random numbers, and leave the seed to whoever calls: set inside, it makes everything "
            "random in the program repeat.",
        ),
    ],
    variants=[split_by_mask, split_by_count],
    solved="The course's own `Split.split` does just this, with a seed of its own.",
)

# --- random_flip ----------------------------------------------------------------------------------------------------


def random_flip(images: Tensor) -> Tensor:
    """Each image of (B, C, H, W) mirrored left to right or not, by a coin of its own."""
    heads = torch.rand(len(images)) < 0.5
    return torch.where(heads[:, None, None, None], images.flip(-1), images)


def batches_to_flip() -> list[tuple]:
    """Batches (B, C, H, W) without any symmetry; in one of them B = W, where a wrong broadcast is silent."""
    return [
        (torch.randperm(b * 3 * h * w).reshape(b, 3, h, w).float(),) for b, h, w in [(8, 2, 3), (12, 4, 5), (9, 3, 9)]
    ]


def flip_properties(answer: Callable, images: Tensor) -> object:
    """What became of each image, over many calls."""
    calls = []
    for _ in range(16):
        before = images.clone()
        result = answer(images)
        if is_blank(result):
            return result
        if not isinstance(result, Tensor) or result.shape != images.shape or result.dtype != images.dtype:
            raise Complaint(f"You returned {shown(result)}, expected {shown(images)}, like `images`.")
        calls.append([fate(i, image, before) for i, image in enumerate(result)])
    fates = [f for call in calls for f in call]
    odd = [f for f in fates if f not in PROPER]
    if odd:  # who decides, and how often, is told when each image comes back as one or the other
        worst = MIRRORED_ELSEWHERE if MIRRORED_ELSEWHERE in odd else max(sorted(set(odd)), key=odd.count)
        return properties(worst, same=False, mixed=True, share=0.5)
    same = all(call == calls[0] for call in calls)
    mixed = any(len(set(call)) > 1 for call in calls)
    share = fates.count("mirrored") / len(fates)
    return properties(" or ".join(sorted(set(fates))), same, mixed, share if mixed and not same else 0.5)


def properties(fates: str, same: bool, mixed: bool, share: float) -> dict[str, object]:
    """What is compared, and read by the learner: first what can be the cause of the others."""
    return {
        "images come back": fates,
        "every call decides the same": same,
        "images of one batch can differ": mixed,
        "share mirrored": "about half" if 0.35 < share < 0.65 else f"about {100 * share:.0f} %",
    }


PROPER = ("as they were", "mirrored")
MIRRORED_ELSEWHERE = "in another order, some mirrored"


def fate(index: int, image: Tensor, images: Tensor) -> str:
    """What happened to one image of a batch, to be read after "Images come back …"."""
    original = images[index]
    ways = {
        "as they were": original,
        "mirrored": original.flip(-1),
        "upside down": original.flip(-2),
        "turned by half a turn": original.flip(-1, -2),
        "with other colours": original.flip(0),
    }
    for name, way in ways.items():
        if torch.equal(image, way):
            return name
    mirrored = original.flip(-1)
    if any(torch.equal(image, other) for other in images):
        return "as other images"
    if any(torch.equal(image, other.flip(-1)) for other in images):
        return MIRRORED_ELSEWHERE
    from_mirrored, from_original = image == mirrored, image == original
    if (from_mirrored | from_original).all():
        for found, inside in (("mirrored in some colours only", (1, 2)), ("torn into columns", (0, 1))):
            if (from_mirrored.all(dim=inside) | from_original.all(dim=inside)).all():
                return found
        return "mixed with their mirror images, pixel by pixel"
    if torch.allclose(image * 255, original) or torch.allclose(image * 255, mirrored):
        return "divided by 255"
    way = mirrored - original
    part = ((image - original) * way).sum() / (way * way).sum()
    if torch.allclose(image, original + part * way, atol=0.01):
        return "blended with their mirror images"
    if torch.equal(image.flatten().sort().values, original.flatten().sort().values):
        return "with their pixels in other places"
    return "with other values"


def flip_by_loop(images: Tensor) -> Tensor:
    return torch.stack([image.flip(2) if torch.randint(2, (1,)).item() else image for image in images])


def flip_by_mask(images: Tensor) -> Tensor:
    result = images.clone()
    heads = torch.bernoulli(torch.full((len(images),), 0.5)).bool()
    result[heads] = result[heads].flip(-1)
    return result


def flip_by_weights(images: Tensor) -> Tensor:
    heads = torch.randint(0, 2, (len(images), 1, 1, 1))
    return heads * images.flip(3) + (1 - heads) * images


def flip_by_parts(images: Tensor) -> Tensor:
    heads = coins(images).flatten()
    return torch.cat([images[heads].flip(-1), images[~heads]])


def blended(images: Tensor) -> Tensor:
    heads = torch.rand(len(images), 1, 1, 1)
    return heads * images.flip(-1) + (1 - heads) * images


def one_coin(images: Tensor) -> Tensor:
    return images.flip(-1) if torch.rand(1) < 0.5 else images


def flip_in_place(images: Tensor) -> Tensor:
    heads = torch.rand(len(images)) < 0.5
    images[heads] = images[heads].flip(-1)
    return images


def flip_where(heads: Callable[[Tensor], Tensor], *axes: int) -> Callable[[Tensor], Tensor]:
    """A flip of `axes` wherever `heads(images)` is true."""
    return lambda images: torch.where(heads(images), images.flip(*axes), images)


def coins(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1) < 0.5


def reseeded_flip(images: Tensor) -> Tensor:
    torch.manual_seed(0)
    return random_flip(images)


RANDOM_FLIP = Exercise(
    name="random_flip",
    notebook="01",
    title="Mirror each image of a batch, or not, by its own coin",
    reference=random_flip,
    probes=batches_to_flip,
    call=flip_properties,
    axes={"images": "B C H W"},
    hints=[
        "Toss one coin for each image: B random numbers at once. Mirror the images whose coin shows heads.",
        "`torch.rand(B) < 0.5` is B coins. `torch.where(coins, mirrored, images)` chooses between two whole batches, "
        "if the coins' shape meets that of the images.",
        "Shapes are lined up from the right, so coins of shape (B,) would meet the width. Give them the shape (B, 1, "
        "1, 1).",
    ],
    mistakes=[
        Mistake(
            "one_coin",
            one_coin,
            "One coin decides for the whole batch: all its images are mirrored, or none. The model sees far fewer "
            "different batches, and augmentation helps less. Some libraries' transforms do this too when they are "
            "given a batch. Toss a coin for each image.",
        ),
        Mistake(
            "never",
            lambda images: torch.where(torch.randint(0, 1, (len(images), 1, 1, 1)).bool(), images.flip(-1), images),
            "No image is ever mirrored. Is the condition always false? (`torch.randint(0, 1, …)` gives only 0: the "
            "upper end is left out.) Or do you return the original? A seed set inside can do it too.",
        ),
        Mistake(
            "always",
            lambda images: images.flip(-1),
            "Every image is mirrored, always. The model then never sees the originals, only as many mirrored ones: "
            "nothing is gained. Let a coin decide for each image.",
        ),
        Mistake(
            "upside_down",
            flip_where(coins, -2),
            "You turned the height round: images stand on their heads. A car on its roof is not in the test set; "
            "left and right are the last axis.",
        ),
        Mistake(
            "half_turn",
            flip_where(coins, -1, -2),
            "You reversed height and width, so chosen images are turned by half a turn. Reverse the width alone.",
        ),
        Mistake(
            "colours",
            flip_where(coins, 1),
            "You reversed the axis of the channels: red and blue change places, and the picture does not move. "
            "The width is the last axis.",
        ),
        Mistake(
            "other_image",
            flip_where(coins, 0),
            "Images have changed places in the batch, but their labels will not follow. Training then learns from "
            "wrong labels, without any error. Did you reverse axis 0, the batch? The width is the last axis.",
        ),
        Mistake(
            "other_order",
            flip_by_parts,
            "Images are mirrored, but the batch is in another order: so it comes if the mirrored ones and the rest "
            "are joined, one group after the other. Their labels stay where they were, so training learns from wrong "
            "labels, without any error. Every image keeps its place.",
        ),
        Mistake(
            "fractions",
            blended,
            "There is no coin yet, only a fraction: every image comes back as a blend of itself and its mirror image, "
            "a ghostly double picture. A coin falls one way or the other: make a yes or no of each random number.",
        ),
        Mistake(
            "scaled",
            lambda images: random_flip(images) / 255,
            "You divided the values by 255. Mirroring moves pixels and leaves their values alone; the scaling is done "
            "elsewhere, and done twice it would leave next to nothing of the image.",
        ),
        Mistake(
            "along_width",
            lambda images: torch.where(torch.rand(len(images)) < 0.5, images.flip(-1), images),
            "Your coins have shape (B,), and shapes are lined up from the right: they meet the width. That is an "
            "error for most sizes; where B happens to equal the width, it silently tears images into columns. Give "
            "the coins three axes of length 1 at the end.",
        ),
        Mistake(
            "coins_for_columns",
            lambda images: torch.where(torch.rand(images.shape[-1]) < 0.5, images.flip(-1), images),
            "You toss one coin for each *column* and share it among all images: every picture is torn into columns, "
            "some from its mirror image. Toss one coin for each image: as many as the batch is long, with three axes "
            "of length 1 behind.",
        ),
        Mistake(
            "each_channel",
            flip_where(lambda images: torch.rand(*images.shape[:2], 1, 1) < 0.5, -1),
            "Each colour of an image has a coin of its own, so red may be mirrored where green is not: ghostly "
            "double pictures. One coin for all three.",
        ),
        Mistake(
            "each_pixel",
            flip_where(lambda images: torch.rand(images.shape) < 0.5, -1),
            "Pixels of one image have different coins: the picture is mixed with its mirror image, bit by bit. Toss "
            "one coin for each image.",
        ),
        Mistake(
            "in_place",
            flip_in_place,
            "The flipping is right, but it is done to the images that you were given. The dataset itself changes, a "
            "bit more in every epoch. Work on a copy, or choose between two tensors.",
        ),
        Mistake(
            "reseeded",
            reseeded_flip,
            "Every call mirrors the same places of the batch: either nothing is random, or the seed is set inside. "
            "Toss new coins in every call, and leave the seed to whoever calls: set inside, it makes everything "
            "random in the program repeat.",
        ),
    ],
    variants=[flip_by_loop, flip_by_mask, flip_by_weights],
    solved="No loop over images is needed: that is why the course's batches are fast.",
)

EXERCISES = [RANDOM_FLIP, STRATIFIED_SPLIT]
