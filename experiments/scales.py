"""Sizes that several claims share, so that they share runs too."""

from __future__ import annotations

from typing import Any

from experiments.claim import Scale


def last_epoch(epochs: float, **changes: Any) -> dict[str, Any]:
    """One evaluation, after the last epoch; "data__name" stands for "data.name"."""
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return {"epochs": epochs, "eval_every_epochs": epochs, **named}


# Of the 60,000 training images so many are trained on; the others are held out beside the test set.
FASHION_10K = last_epoch(5.0, data__validation=50_000.0)
FASHION_5K = last_epoch(10.0, data__validation=55_000.0)
FASHION_2K = last_epoch(20.0, data__validation=58_000.0)
FASHION_ALL = last_epoch(10.0)

# CIFAR-10 halved to 16 pixels, 5,000 images for training; a constant rate is the recipe's own.
CIFAR_16 = last_epoch(
    8.0,
    data__image_size=16,
    data__fit="bilinear",
    data__validation=45_000.0,
    augment=("pad_and_crop(2)", "horizontal_flip"),
    schedule__name="cosine",
    batch_size=64,
)
CIFAR_NOTE = "CIFAR-10 at 16 pixels, 5,000 training images, 8 epochs; 55,000 held out."

# For deep nets: 27,000 images of 45,000 seen once, and fewer to evaluate on.
CIFAR_16_ONCE = {
    **CIFAR_16,
    **last_epoch(0.6, data__validation=5_000.0),
}
CIFAR_ONCE_NOTE = "CIFAR-10 at 16 pixels, 27,000 images seen once; 15,000 held out."

# VGG with an eighth of its channels, on CIFAR-10 at its own 32 pixels, a mean for its dense layers.
VGG_THIN = Scale(
    last_epoch(
        0.4,
        data__image_size=32,
        data__fit="pad",
        data__validation=5_000.0,
        model__norm="batch",
        model__head="avg",
        model__width=0.125,
        augment=(),
        schedule__name="cosine",
        optimizer__name="adam",
        optimizer__learning_rate=2e-3,
        optimizer__weight_decay=0.0,
        batch_size=64,
    ),
    note="An eighth of the channels, a global mean for the dense layers, 18,000 images seen once.",
)

# AlexNet at 67 pixels, the smallest that pass its pools, with a mean for its dense layers.
ALEXNET_67 = {
    "laptop": Scale(
        last_epoch(
            10.0,
            data__image_size=67,
            data__fit="bilinear",
            model__head="avg",
            optimizer__name="adam",
            optimizer__learning_rate=3e-4,
            optimizer__weight_decay=0.0,
            augment=(),
            batch_size=32,
        ),
        config="alexnet:digits",
        note="Digits enlarged to 67 pixels, a global mean for the dense layers.",
    ),
    "gpu": Scale(
        last_epoch(
            8.0,
            data__image_size=67,
            data__fit="bilinear",
            data__validation=40_000.0,
            model__head="avg",
        ),
        config="alexnet:cifar10",
        note="10,000 images enlarged to 67 pixels, a global mean for the dense layers.",
    ),
}
