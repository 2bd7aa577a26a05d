"""Augmentation in the compiled step: pure functions of a key and one image, mapped over a batch.

An image is float32 [H, W, C] in grey levels 0 to 255, C = 1 or 3. The key of an example comes from
(seed, step, example id), so that its draw depends on nothing else: not on the batch, the order or
the devices. A transform is named in `config.augment` with its arguments, plain numbers:
`("pad_and_crop(4)", "horizontal_flip", "rand_augment(2, 9)", "mixup(0.2)")`.

| transform, with its defaults | what it does |
|---|---|
| `horizontal_flip(0.5)`, `vertical_flip(0.5)` | mirrors with this probability |
| `alternating_flip` | mirrors every other epoch (Jordan 2024) |
| `pad_and_crop(4)` | zeros around, then a random window of the old size (He 2015) |
| `reflect_and_crop(2)` | the same with the mirror image around (Jordan 2024) |
| `random_resized_crop(0.08, 1)` | 8 to 100 % of the area, sides 3:4 to 4:3 (Szegedy 2014) |
| `scale_jitter(256, 512)` | shorter side S in this range, then a random crop (VGG) |
| `random_crop(256)` | shorter side always this, then a random crop (AlexNet) |
| `rotate(15)`, `shear(15, 0)` | up to so many degrees; shear horizontally, vertically |
| `rotate_quarter` | by 0, 90, 180 or 270 degrees |
| `translate(0.1)` | by up to this fraction of the side |
| `scale(0.1)`, `stretch(0.1)` | larger or smaller by up to 10 %; wider and lower, or the reverse |
| `elastic(34, 4)` | random field, smoothed by sigma, times alpha pixels (Simard 2003) |
| `brightness(0.2)` | adds up to this fraction of 255, either way |
| `contrast(0.2)`, `saturation(0.2)` | times 0.8 to 1.2 |
| `hue(0.05)` | by up to this fraction of the colour circle |
| `colour_cast(0.1)` | each channel times its own factor |
| `pca_lighting(0.1)` | along the principal colours of the training split (AlexNet's text) |
| `pca_colour(0.1)` | the same by their standard deviations (AlexNet's code) |
| `inception_colour` | brightness, saturation, hue, contrast in one of four orders (Inception v3) |
| `colour_jitter(0.5, 0.5, 0.5)` | brightness, contrast, colour in any order (Howard 2013) |
| `gaussian_noise(5)` | independent noise, deviation in grey levels |
| `random_erasing(0.5)`, `cutout(16)` | noise over a rectangle (Zhong 2017); a black square |
| `autocontrast(0.5)`, `equalize(0.5)`, `invert(0.5)` | Pillow's, with this probability |
| `posterize(4)`, `solarize(128)`, `sharpness(0.5)` | Pillow's, of a random strength |
| `rand_augment(2, 9)` | 2 of 14 operations, strength 9 of 10 (Cubuk 2019) |
| `trivial_augment` | one of 14 operations, any strength (Mueller 2021, wide) |
| `auto_augment_cifar`, `auto_augment_imagenet` | one of 25 learned pairs (Cubuk 2018) |
| `mixup(0.2)`, `cutmix(1.0)` | blends, or pastes into, the example before it in the batch; last |
| `mixup_or_cutmix(0.8, 1.0)` | one of the two, each as likely (ConvNeXt) |

A warp fills what lies outside the image with black (policies: with mid-grey, as published) and is
bilinear without antialiasing. Warps that follow each other become one. With
`config.augment_border="mean"` pixels move, and squares are cut out, as if the image had been
normalised before: what comes from outside is the mean of the training split.
"""

from cnn_jax.data.augment.compose import Passes, compose, uses_colours
from cnn_jax.data.augment.label_safety import warnings_for
from cnn_jax.data.augment.mixing import MixedTargets
from cnn_jax.data.augment.parsing import Transform, parse
from cnn_jax.data.augment.transforms import TRANSFORMS

__all__ = [
    "TRANSFORMS",
    "MixedTargets",
    "Passes",
    "Transform",
    "compose",
    "parse",
    "uses_colours",
    "warnings_for",
]
