"""Notebook 09, second part: why attention divides by the root of d."""

from vit_course.exercises.core import Exercise, Mistake, value

SCORE_VARIANCE = Exercise(
    name="score_variance",
    notebook="09",
    title="Predict the variance of a score",
    reference=900,
    call=value,
    hints=[
        "Take one product $q_i k_i$ first. Both factors have mean 0 and are independent, so its variance is the "
        "product of their variances. What is the variance of a number whose deviation is 2?",
        "The score is a sum of 25 such products, independent of each other. Variances of independent numbers add up.",
    ],
    mistakes=[
        Mistake(
            "deviations",
            25 * 2 * 3,
            "You multiplied deviations. A variance is the square of a deviation: 4 for the query's numbers, 9 for the "
            "key's.",
        ),
        Mistake(
            "one_product",
            4 * 9,
            "That is the variance of one product. (It would also be the answer after a division by √25.) The score "
            "is the sum of 25 of them, undivided.",
        ),
        Mistake(
            "deviation_of_the_score",
            30,
            "That is the score's deviation. Asked is its variance, the square.",
        ),
        Mistake(
            "variances_added",
            25 * (4 + 9),
            "You added the two variances. That is right for a sum $q_i + k_i$; of a *product* of independent numbers "
            "with mean 0, the variance is the product.",
        ),
        Mistake(
            "width_squared",
            25 * 25 * 4 * 9,
            "You multiplied by d twice. Twenty-five times one and the same number would have d² times its variance; 25 "
            "*independent* numbers partly cancel, and their variances just add up.",
        ),
        Mistake(
            "root_of_width",
            5 * 4 * 9,
            "You took √d. The score's *deviation* grows like √d; its variance grows like d.",
        ),
        Mistake(
            "only_the_width",
            25,
            "That would be right for numbers of deviation 1. Here they are larger: 2 and 3.",
        ),
    ],
    solved="The deviation is 30, and √25 = 5 brings it back to 6 = 2 · 3, what one product has: the width is gone.",
)

EXERCISES = [SCORE_VARIANCE]
