"""The names that `config.augment` may hold."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.data.augment import colour, elastic, erasing, geometry, mixing, photometric, policies

TRANSFORMS: dict[str, Callable] = {
    function.__name__: function
    for function in (
        geometry.horizontal_flip,
        geometry.alternating_flip,
        geometry.vertical_flip,
        geometry.pad_and_crop,
        geometry.reflect_and_crop,
        geometry.random_resized_crop,
        geometry.scale_jitter,
        geometry.random_crop,
        geometry.rotate,
        geometry.rotate_quarter,
        geometry.translate,
        geometry.scale,
        geometry.stretch,
        geometry.shear,
        elastic.elastic,
        colour.brightness,
        colour.contrast,
        colour.saturation,
        colour.hue,
        colour.colour_cast,
        colour.pca_lighting,
        colour.pca_colour,
        colour.inception_colour,
        colour.gaussian_noise,
        erasing.random_erasing,
        erasing.cutout,
        photometric.autocontrast,
        photometric.equalize,
        photometric.invert,
        photometric.posterize,
        photometric.solarize,
        photometric.sharpness,
        photometric.colour_jitter,
        policies.rand_augment,
        policies.trivial_augment,
        policies.auto_augment_cifar,
        policies.auto_augment_imagenet,
    )
} | mixing.MIXING
