"""Notebook 11, fourth part: the size of a fresh network's logits."""

from vit_course.exercises.core import Exercise, Mistake, Tolerance, value

LOGIT_DEVIATION = Exercise(
    name="logit_deviation",
    notebook="11",
    title="Predict how far a fresh ViT-B/16's logits spread",
    reference=0.02 * 768**0.5,
    call=value,
    tolerance=Tolerance(rtol=0.02),
    hints=[
        "A logit is a sum of 768 products, one for each channel. In each product one factor has variance 1, the other "
        "0.02². What is the variance of one product, if they are independent and have mean 0?",
        "Variances of independent numbers add up: 768 of them. The deviation is the square root of the variance.",
    ],
    mistakes=[
        Mistake(
            "added_deviations",
            0.02 * 768,
            "You add up 768 deviations. Plus and minus cancel, so deviations do not add: *variances* do. Take the root "
            "of the sum of variances.",
        ),
        Mistake("variance", 0.02**2 * 768, "That is the variance of a logit. The deviation is its square root."),
        Mistake(
            "one_weight",
            0.02,
            "That is the deviation of one weight. A logit sums 768 of them, each times a number of ordinary size.",
        ),
        Mistake(
            "no_weight",
            768**0.5,
            "That would be right for weights of deviation 1. Here they have 0.02.",
        ),
        Mistake(
            "root_of_all",
            (0.02 * 768) ** 0.5,
            "You sum 768 times 0.02 and take the root. 0.02 is a deviation: square it before you add, so that "
            "variances are added.",
        ),
        Mistake(
            "averaged",
            0.02 / 768**0.5,
            "You divide by the root of 768, as for a *mean* of 768 numbers. A linear layer sums them: the root "
            "multiplies.",
        ),
        Mistake(
            "scaled_as_attention",
            0.02 * 64**0.5,
            "You use the width of a head, 64. The classifier reads the whole class token, 768 numbers.",
        ),
    ],
    solved="About half: small enough that no class is preferred, and not so small that they are all equal.",
)

EXERCISES = [LOGIT_DEVIATION]
