"""Which transforms do not keep the labels of which dataset, and why.

Nothing is forbidden: a run is warned. An image that is mirrored, or whose colours change, is still
an image of the same class in most datasets, but not in all.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnn_jax.data.augment.parsing import Transform, parse
from cnn_jax.data.augment.transforms import TRANSFORMS
from cnn_jax.errors import unknown

QUARTER = 45  # degrees: beyond, what was upright may lie on its side

DIGITS = {
    "horizontal_flip": "a mirrored 3 is no digit",
    "alternating_flip": "a mirrored 3 is no digit",
    "vertical_flip": "a 6 upside down looks like a 9 mirrored",
    "rotate_quarter": "a 6 turned is a 9",
    "rotate": "a 6 turned is a 9",
    "trivial_augment": "it turns by up to 135 degrees, and a 6 turned is a 9",
    "random_resized_crop": "a part of an 8 may be a 0 or a 3",
}
CLOTHES = {
    "vertical_flip": "a coat upside down does not occur",
    "rotate_quarter": "clothes are shown upright",
    "rotate": "clothes are shown upright",
    "trivial_augment": "it turns by up to 135 degrees, and clothes are shown upright",
}
SMALL_PHOTOGRAPHS = {
    "vertical_flip": "animals and vehicles upside down do not occur",
    "rotate_quarter": "animals and vehicles stand upright",
}
turns_target = "it turns the digit, and the angle is the target"
UPRIGHT_ANGLE = {
    "horizontal_flip": "mirrored, a digit is turned the other way",
    "alternating_flip": "mirrored, a digit is turned the other way",
    "vertical_flip": "mirrored, a digit is turned the other way",
    "rotate": turns_target,
    "rotate_quarter": turns_target,
    "shear": "a slanted digit looks turned",
    "rand_augment": turns_target,
    "trivial_augment": turns_target,
    "auto_augment_cifar": turns_target,
    "auto_augment_imagenet": turns_target,
}

LABEL_CHANGING: dict[str, dict[str, str]] = {
    "digits": DIGITS,
    "digits_angle": UPRIGHT_ANGLE,
    "mnist": DIGITS,
    "fashion_mnist": CLOTHES,
    "cifar10": SMALL_PHOTOGRAPHS,
    "cifar100": SMALL_PHOTOGRAPHS | {"hue": "an apple, an orange and a pepper differ by colour"},
    "imagenet2012": {
        "vertical_flip": "photographs upside down do not occur",
        "rotate_quarter": "photographs lying on their side do not occur",
    },
}  # a folder of one's own has none: `data.label_changing` says which


def warnings_for(
    dataset: str, specs: Sequence[str], label_changing: Sequence[str] = ()
) -> list[str]:
    """One line for each transform that does not keep the labels of `dataset`.

    `label_changing`: names of transforms that the config says do not.
    """
    for name in label_changing:
        if name not in TRANSFORMS:
            raise unknown("data.label_changing", name, sorted(TRANSFORMS))
    reasons = {name: "data.label_changing says so" for name in label_changing}
    lines = []
    for transform in map(parse, specs):
        reason = reasons.get(transform.name) or known_reason(dataset, transform)
        if reason:
            lines.append(
                f"augment {transform.name!r} does not keep the labels of {dataset}: {reason}"
            )
    return lines


def known_reason(dataset: str, transform: Transform) -> str | None:
    """Why the transform does not keep this dataset's labels, or None."""
    name = dataset.removeprefix("tfds:").partition(":")[0]
    reason = LABEL_CHANGING.get(name, {}).get(transform.name)
    slight = transform.name == "rotate" and transform.arguments["degrees"] <= QUARTER
    if slight and name != "digits_angle":
        return None
    return reason
