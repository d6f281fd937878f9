"""Notebook 15: MixUp, images and labels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def mixup(images: Tensor, labels: Tensor, partner: Tensor, share: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """MixUp (Zhang et al. 2017, section 2), with a share for each image: (mixed (B, C, H, W), soft (B, K))."""
    return blended()(images, labels, partner, share, num_classes)


def mixed_with(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """share · a + (1 - share) · b, with `share` (B,) lined up with axis 0."""
    share = share.view(-1, *[1] * (a.ndim - 1))
    return share * a + (1 - share) * b


def blended(
    of_images: Callable = lambda images, partner, share: mixed_with(images, images[partner], share),
    of_labels: Callable = lambda hot, partner, share: mixed_with(hot, hot[partner], share),
) -> Callable:
    """`mixup` with another way to mix images, or one-hot labels."""

    def answer(images, labels, partner, share, num_classes):
        hot = F.one_hot(labels, num_classes).float()  # (B, K)
        return of_images(images, partner, share), of_labels(hot, partner, share)

    return answer


def batches_to_mix() -> list[tuple]:
    """(images, labels, partner, share, num_classes): partners that are no pairs, of other classes but in the last."""

    def draw(b: int, c: int, h: int, w: int, k: int) -> tuple:
        order = torch.randperm(b)
        partner = torch.empty_like(order)
        partner[order] = order.roll(1)  # one cycle: nobody is their own partner, and partner[partner] is another still
        # the middle is left out, where whose share is the larger cannot be told
        share = torch.where(torch.arange(b) % 2 == 0, torch.rand(b) * 0.3 + 0.6, torch.rand(b) * 0.3 + 0.1)
        labels = (torch.arange(b) * (1 + k % 2) + 1) % k  # other numbers than the images'
        return torch.rand(b, c, h, w), labels, partner, share[torch.randperm(b)], k

    # in one B = W; in the last two classes for an odd cycle, so that somebody has a partner of the same class
    return [draw(3, 1, 2, 2, 3), draw(5, 3, 4, 6, 7), draw(6, 3, 4, 6, 8), draw(7, 3, 4, 5, 2)]


def mixup_by_loop(images, labels, partner, share, num_classes):
    mixed, soft = torch.zeros_like(images), torch.zeros(len(images), num_classes)
    for i, j in enumerate(partner.tolist()):
        mixed[i] = share[i] * images[i] + (1 - share[i]) * images[j]
        soft[i, labels[i]] += share[i]
        soft[i, labels[j]] += 1 - share[i]
    return mixed, soft


def mixup_by_einsum(images, labels, partner, share, num_classes):
    hot = torch.eye(num_classes)[labels]
    weights = torch.diag(share)
    weights[torch.arange(len(images)), partner] += 1 - share  # (B, B): how much of each image is in each
    return torch.einsum("ij,jchw->ichw", weights, images), weights @ hot


def mixup_by_lerp(images, labels, partner, share, num_classes):
    soft = torch.zeros(len(images), num_classes).scatter_add_(1, labels[:, None], share[:, None])
    soft = soft.scatter_add_(1, labels[partner][:, None], (1 - share)[:, None])
    return torch.lerp(images[partner], images, share[:, None, None, None]), soft


def of_one_share(pick: Callable[[Tensor], Tensor]) -> Callable:
    """One share for all images of the batch."""
    return lambda *given: mixup(*given[:3], pick(given[3]).expand_as(given[3]), given[4])


def one_overwrites_the_other(images, labels, partner, share, num_classes):
    """Wrong: set, not added, so that a partner of the same class overwrites the image's own share."""
    soft, rows = torch.zeros(len(images), num_classes), torch.arange(len(images))
    soft[rows, labels] = share
    soft[rows, labels[partner]] = 1 - share
    return mixed_with(images, images[partner], share), soft


def inverse(partner: Tensor) -> Tensor:
    return partner.argsort()


def hot_of_numbers(hot: Tensor, partner: Tensor) -> Tensor:
    """Wrong: the numbers of images as if they were classes."""
    return F.one_hot(partner % hot.shape[1], hot.shape[1])


def along_width(images, partner, share):
    return share * images + (1 - share) * images[partner]


MIXUP = Exercise(
    name="mixup",
    notebook="15",
    title="MixUp: blend two images, and their labels",
    reference=mixup,
    probes=batches_to_mix,
    result=("mixed", "soft"),
    axes={"images": "B C H W", "labels": "B", "partner": "B", "share": "B", "mixed": "B C H W", "soft": "B K"},
    hints=[
        "`images[partner]` is the batch of partners, in the right order. The same goes for the labels.",
        "Labels are numbers of classes, and half of class 2 and half of class 4 is not class 3. Make rows of zeros "
        "with a one in them first: `F.one_hot(labels, num_classes).float()`.",
        "One formula serves twice: share · own + (1 - share) · partner's. For the images, share must be (B, 1, 1, 1); "
        "for the labels, (B, 1).",
    ],
    mistakes=[
        Mistake(
            "labels_not_mixed",
            blended(of_labels=lambda hot, partner, share: hot),
            "The images are blended, the labels are not: a picture that is 30 % star and 70 % ring is taught as a pure "
            "star. That is noise in the labels, and the model gets worse with every mixed image, without an error. Mix "
            "the labels by the same share.",
        ),
        Mistake(
            "larger_share_takes_all",
            blended(of_labels=lambda hot, partner, share: torch.where(share[:, None] >= 0.5, hot, hot[partner])),
            "The label goes wholly to whoever has the larger share. Then 51 % counts like 100 %, and the model learns "
            "nothing of what lies between. Both classes belong in, each by its share.",
        ),
        Mistake(
            "labels_swapped",
            blended(of_labels=lambda hot, partner, share: mixed_with(hot[partner], hot, share)),
            "The labels' weights are swapped: where a quarter of the image is the partner's, three quarters of the "
            "label are. Near a share of one half it hardly matters, near 1 it is wrong labels throughout.",
        ),
        Mistake(
            "images_swapped",
            blended(of_images=lambda images, partner, share: mixed_with(images[partner], images, share)),
            "The images' weights are swapped: `share` belongs to the image itself, 1 - share to its partner. The "
            "labels have it right, so the two contradict each other.",
        ),
        Mistake(
            "both_swapped",
            blended(
                lambda images, partner, share: mixed_with(images[partner], images, share),
                lambda hot, partner, share: mixed_with(hot[partner], hot, share),
            ),
            "Images and labels agree, but `share` is what goes to the partner in your version. It should be the "
            "image's own. Training would hardly notice; whoever reads the shares would.",
        ),
        Mistake(
            "other_partner",
            blended(of_labels=lambda hot, partner, share: mixed_with(hot, hot[inverse(partner)], share)),
            "The labels come from other partners than the images: image i meets image partner[i], so its label meets "
            "label partner[i]. Did you sort, or use the permutation the other way round?",
        ),
        Mistake(
            "partner_as_class",
            blended(of_labels=lambda hot, partner, share: mixed_with(hot, hot_of_numbers(hot, partner), share)),
            "`partner` numbers images, not classes: take `labels[partner]`. Else image 2 is taught as class 2, "
            "whatever it shows.",
        ),
        Mistake(
            "new_partner",
            blended(of_labels=lambda hot, partner, share: mixed_with(hot, hot[torch.randperm(len(hot))], share)),
            "The labels are mixed with a permutation of their own, drawn anew, the images with `partner`. Half of the "
            "label then says what is not in the picture. One permutation for both.",
        ),
        Mistake(
            "half_and_half",
            blended(of_labels=lambda hot, partner, share: (hot + hot[partner]) / 2),
            "Every label is half and half, whatever the share. Weight each class by what the image really holds of it.",
        ),
        Mistake(
            "too_much",
            blended(of_labels=lambda hot, partner, share: share[:, None] * hot + hot[partner]),
            "A row of soft labels sums to more than 1: the partner's part is not weighted. What is left for it is "
            "1 - share.",
        ),
        Mistake(
            "too_bright",
            blended(of_images=lambda images, partner, share: mixed_with(images, 0 * images, share) + images[partner]),
            "The partner's pixels are added whole: the mixed images are brighter than any image can be. What is left "
            "for the partner is 1 - share, as in the labels.",
        ),
        Mistake(
            "one_overwrites_the_other",
            one_overwrites_the_other,
            "Where both images are of the *same* class, the label loses a part: the second share overwrites the "
            "first, and the row does not sum to 1. Add the shares.",
        ),
        Mistake(
            "share_not_used",
            lambda images, labels, partner, share, num_classes: mixup(
                images, labels, partner, torch.full_like(share, 0.5), num_classes
            ),
            "Everything is half and half, images and labels: `share` is not used. Each image has a share of its own.",
        ),
        Mistake(
            "numbers_mixed",
            lambda images, labels, partner, share, num_classes: (
                mixed_with(images, images[partner], share),
                mixed_with(labels.float(), labels[partner].float(), share),
            ),
            "You mixed the *numbers* of the classes. Half of class 2 and half of class 4 is not class 3: the numbers "
            "are names, not amounts. One row per image, one column per class, and mix the rows.",
        ),
        Mistake(
            "mean_share",
            of_one_share(lambda share: share.mean()),
            "The whole batch is mixed by one share, the mean. The shares differ from image to image: some nearly pure, "
            "some half and half.",
        ),
        Mistake(
            "first_share",
            of_one_share(lambda share: share[0]),
            "The whole batch is mixed by the first share. The paper draws one for a batch, and that is right too; here "
            "every image has one of its own.",
        ),
        Mistake(
            "along_width",
            blended(of_images=along_width),
            "`share` is (B,), and shapes are lined up from the right: it meets the width. An error for most sizes; "
            "where B happens to equal the width, each column is blended by another share. It needs three axes of "
            "length 1.",
        ),
        Mistake(
            "images_not_mixed",
            blended(of_images=lambda images, partner, share: images.clone()),
            "The labels are mixed, the images are not: pure pictures with blurred labels. That is a kind of label "
            "smoothing towards a random class, and nothing else.",
        ),
    ],
    variants=[mixup_by_loop, mixup_by_einsum, mixup_by_lerp],
    solved="One formula twice. The package's version draws `partner` and `share` itself and keeps the pixels uint8.",
)

EXERCISES = [MIXUP]
