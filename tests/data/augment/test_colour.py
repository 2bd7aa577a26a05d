"""Colours, noise and hidden parts, against NumPy and colorsys."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.augment import colour, erasing, photometric
from tests.support.augment_cases import photograph, pillow, pixels_of, quick_jit

SIZE = 12
PHOTO = photograph(3, SIZE).astype(np.float64)
IMAGE = jnp.asarray(PHOTO, jnp.float32)
GREY = jnp.asarray(photograph(1, SIZE), jnp.float32)
KEYS = jax.random.split(jax.random.key(1), 300)
RNG = np.random.default_rng(0)


def each(transform, *numbers, image=IMAGE, **constants):
    """The transform of one image under every key, float64 [300, H, W, C]."""
    one = quick_jit(jax.vmap(lambda key: transform(key, image, *numbers, **constants)))
    return np.asarray(one(KEYS), np.float64)


def spans(values, low, high):
    """Uniform between low and high, as far as 300 values tell."""
    width = high - low
    assert low - 1e-4 <= values.min() < low + 0.05 * width
    assert high - 0.05 * width < values.max() <= high + 1e-4
    assert abs(values.mean() - (low + high) / 2) < 0.1 * width


def test_brightness_shifts_and_keeps_the_range():
    middle = jnp.full((1, 1, 3), 127.5)
    shifts = each(colour.brightness, 0.2, image=middle)[:, 0, 0, 0] - 127.5
    spans(shifts, -51, 51)
    wanted = np.clip(PHOTO + shifts[:, None, None, None], 0, 255)
    np.testing.assert_allclose(each(colour.brightness, 0.2), wanted, atol=1e-3)


def test_contrast_scales_the_distance_from_the_mean():
    steps = jnp.asarray([[[100.0], [120.0]]])
    factors = (each(colour.contrast, 0.4, image=steps)[:, 0, 1, 0] - 110) / 10
    spans(factors, 0.6, 1.4)
    mean = PHOTO.mean((0, 1))
    wanted = np.clip(mean + factors[:, None, None, None] * (PHOTO - mean), 0, 255)
    np.testing.assert_allclose(each(colour.contrast, 0.4), wanted, atol=1e-3)


def by_colorsys(change):
    """The photograph with each pixel's (hue, saturation, value) changed."""
    flat = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p))) for p in PHOTO.reshape(-1, 3) / 255
    ]
    return 255 * np.reshape(flat, PHOTO.shape)


def hsv_of(pixel):
    return np.array([colorsys.rgb_to_hsv(*p) for p in pixel[:, 0, 0] / 255])


def test_saturation_against_colorsys():
    pixel = jnp.asarray([[[100.0, 80.0, 60.0]]])
    factors = hsv_of(each(colour.saturation, 0.5, image=pixel))[:, 1] / 0.4
    spans(factors, 0.5, 1.5)
    for factor, found in zip(factors[:3], each(colour.saturation, 0.5), strict=False):
        wanted = by_colorsys(lambda h, s, v, f=factor: (h, min(1, s * f), v))
        np.testing.assert_allclose(found, wanted, atol=0.01)


def test_hue_against_colorsys():
    pixel = jnp.asarray([[[100.0, 80.0, 60.0]]])
    old = colorsys.rgb_to_hsv(100, 80, 60)[0]
    turns = (hsv_of(each(colour.hue, 0.3, image=pixel))[:, 0] - old + 0.5) % 1 - 0.5
    spans(turns, -0.3, 0.3)
    for turn, found in zip(turns[:3], each(colour.hue, 0.3), strict=False):
        wanted = by_colorsys(lambda h, s, v, t=turn: ((h + t) % 1, s, v))
        np.testing.assert_allclose(found, wanted, atol=0.01)


@pytest.mark.parametrize("transform", [colour.hue, colour.saturation])
def test_a_grey_image_has_no_colour_to_change(transform):
    assert transform(KEYS[0], GREY) is GREY


def test_a_cast_has_a_factor_for_each_channel():
    found = each(colour.colour_cast, 0.3, image=jnp.full((1, 1, 3), 100.0))[:, 0, 0] / 100
    for channel in range(3):
        spans(found[:, channel], 0.7, 1.3)
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.2
    wanted = np.clip(PHOTO * found[:, None, None], 0, 255)
    np.testing.assert_allclose(each(colour.colour_cast, 0.3), wanted, atol=1e-3)


def test_pca_lighting_adds_one_colour_to_every_pixel():
    directions = np.float32([[30, 2, 0], [30, -1, 1], [20, 0, -2]])
    shifts = each(colour.pca_lighting, 0.1, directions=directions) - PHOTO
    np.testing.assert_allclose(shifts, shifts[:, :1, :1] * np.ones_like(PHOTO), atol=1e-3)
    multiples = np.linalg.solve(directions.astype(float), shifts[:, 0, 0].T)
    np.testing.assert_allclose(multiples.std(1), 0.1, rtol=0.15)
    np.testing.assert_allclose(multiples.mean(1), 0, atol=0.02)
    assert abs(np.corrcoef(multiples)[0, 1]) < 0.2


def test_pca_colour_is_in_grey_levels():
    """Two eigenvectors with variances 0.09 and 0.01 of pixels in 0 to 1: deviations 76.5, 25.5."""
    vectors = np.array([[0.6, -0.8], [0.8, 0.6]])
    directions = np.float32(255 * vectors * [0.09, 0.01])
    image = jnp.full((2, 2, 2), 100.0)
    shifts = each(colour.pca_colour, 0.1, image=image, directions=directions)[:, 0, 0] - 100
    multiples = np.linalg.solve(vectors * [76.5, 25.5], shifts.T)
    as_text = each(colour.pca_lighting, 0.1, image=image, directions=directions)[:, 0, 0] - 100
    np.testing.assert_allclose(
        multiples, np.linalg.solve(directions.astype(float), as_text.T), atol=1e-5
    )
    np.testing.assert_allclose(multiples.std(1), 0.1, rtol=0.15)


@pytest.mark.heavy
def test_inception_colour_has_four_orders():
    """Each result is one of four by hand; all four occur."""
    change = {"b": (colour.brightness, 0, 32 / 255), "s": (colour.saturation, 1, 0.5)}
    change |= {"h": (colour.hue, 2, 0.2), "c": (colour.contrast, 3, 0.5)}

    def by_hand(key, order):
        keys, image = jax.random.split(key, 5), IMAGE
        for letter in order:
            function, number, strength = change[letter]
            image = function(keys[number], image, strength)
        return image

    @quick_jit
    @jax.vmap
    def all_orders(key):
        return jnp.stack([by_hand(key, order) for order in ("bshc", "sbch", "chbs", "hscb")], 0)

    found, wanted = each(colour.inception_colour)[:40], np.asarray(all_orders(KEYS[:40]))
    chosen = np.abs(found[:, None] - wanted).max((2, 3, 4)).argmin(1)
    np.testing.assert_allclose(found, wanted[np.arange(40), chosen], atol=1e-2)
    assert set(chosen) == {0, 1, 2, 3}
    assert found.min() >= 0
    assert found.max() <= 255


def test_colour_jitter_is_pillows_in_every_order():
    from itertools import permutations

    from PIL import ImageEnhance

    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    bounds, orders = (0.5, 0.3, 0.4), set()
    found = each(photometric.colour_jitter, *bounds)
    for key, image in zip(KEYS[:40], found, strict=False):
        keys = jax.random.split(key, 4)
        factors = [
            1 + bound * float(jax.random.uniform(k, (), minval=-1.0, maxval=1.0))
            for k, bound in zip(keys, bounds, strict=False)
        ]
        distances = {}
        for order in permutations(range(3)):
            by_pillow = pillow(np.uint8(PHOTO))
            for which in order:
                by_pillow = kinds[which](by_pillow).enhance(factors[which])
            distances[order] = np.abs(pixels_of(by_pillow) - image).max()
        assert min(distances.values()) <= 2  # a level of rounding in each of two
        orders.add(min(distances, key=distances.get))
    assert len(orders) == 6


def test_noise_is_independent_and_normal():
    noise = each(colour.gaussian_noise, 5.0) - PHOTO
    np.testing.assert_allclose(noise.std(0).mean(), 5, rtol=0.02)
    np.testing.assert_allclose((np.abs(noise) < 5).mean(), 0.6827, atol=0.01)
    assert abs(np.corrcoef(noise[:, 0, 0, 0], noise[:, 0, 1, 0])[0, 1]) < 0.2


def rectangle(changed):
    """(top, left, height, width) of a mask that is one full rectangle."""
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    sides = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert changed.sum() == sides[0] * sides[1]
    return rows[0], columns[0], *sides


def test_random_erasing_fills_a_rectangle_with_noise():
    found = each(erasing.random_erasing, 0.75, 0.1, 0.3, 0.5, image=jnp.full((20, 20, 3), -1.0))
    changed = (found != -1).all(-1)
    erased = changed.any((1, 2))
    assert 190 < erased.sum() < 260
    shapes = np.array([rectangle(mask) for mask in changed[erased]])
    area, aspect = shapes[:, 2] * shapes[:, 3] / 400, shapes[:, 2] / shapes[:, 3]
    assert 0.08 < area.min() < 0.13
    assert 0.27 < area.max() < 0.33
    assert 0.4 < aspect.min() < 0.6
    assert 1.6 < aspect.max() < 2.5
    noise = found[found != -1]
    assert 0 <= noise.min() < 2
    assert 253 < noise.max() <= 255
    assert abs(noise.mean() - 127.5) < 2


def test_cutout_is_a_black_square_cut_off_at_the_rim():
    found = each(erasing.cutout, 4, image=jnp.full((10, 10, 1), 9.0))[..., 0]
    assert set(np.unique(found)) == {0, 9}
    shapes = np.array([rectangle(image == 0) for image in found])
    assert shapes[:, 2:].max() == 4
    assert shapes[:, 2:].min() == 2
    centres = {tuple(np.unravel_index((image == 0).argmax(), (10, 10))) for image in found}
    assert len(centres) > 60
