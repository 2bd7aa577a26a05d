"""Flips, crops, warps and the elastic field, against Pillow, SciPy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cnn_jax.data.augment import boxes, elastic, geometry, warp
from cnn_jax.errors import UserError
from tests.support.augment_cases import photograph, pillow, pixels_of, quick_jit

SIZE = 16
SHAPE = (SIZE, SIZE, 3)
PHOTO = photograph(3, SIZE)
IMAGE = jnp.asarray(PHOTO, jnp.float32)
KEYS = jax.random.split(jax.random.key(0), 400)
warp_all = quick_jit(jax.vmap(warp.warp, in_axes=(None, 0, None)))


def each(transform, *numbers, image=IMAGE):
    """The transform of one image under every key."""
    return np.asarray(quick_jit(jax.vmap(lambda key: transform(key, image, *numbers)))(KEYS))


def drawn(transform, *numbers):
    """The matrices that it draws, float32 [400, 3, 3]."""
    sample = jax.vmap(lambda key: transform.sample_matrix(key, SHAPE, *numbers))
    return np.asarray(quick_jit(sample)(KEYS))


def warped(matrices, fill=0.0):
    """The photograph through each of up to 40 matrices; always 40, to compile once."""
    filled = np.concatenate([matrices, np.tile(np.eye(3), (40 - len(matrices), 1, 1))])
    found = warp_all(IMAGE, filled.astype(np.float32), jnp.float32(fill))
    return np.asarray(found)[: len(matrices)]


def warped_by_pillow(matrix, fill=0):
    coefficients = np.asarray(matrix, np.float64)[:2].ravel()
    size, kind = (SIZE, SIZE), Image.Transform.AFFINE
    fill = (fill,) * 3
    out = pillow(PHOTO).transform(
        size, kind, coefficients, Image.Resampling.BILINEAR, fillcolor=fill
    )
    return pixels_of(out)


def assert_same_but_for_the_rim(found, wanted):
    """Equal to one grey level; a pixel that rounding puts in or out of the image may differ."""
    wrong = (np.abs(found - wanted) > 1).any(-1)
    assert wrong.sum() <= 2, f"{wrong.sum()} pixels differ"


def test_flips_mirror_half_of_the_images():
    for transform, mirrored in (
        (geometry.horizontal_flip, PHOTO[:, ::-1]),
        (geometry.vertical_flip, PHOTO[::-1]),
    ):
        found = each(transform, 0.25)
        changed = (found == mirrored).all((1, 2, 3))
        assert (changed | (found == PHOTO).all((1, 2, 3))).all()
        assert 70 < changed.sum() < 130


def test_pad_and_crop_gives_every_shifted_image():
    image = np.arange(12.0).reshape(3, 4, 1)
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)]).astype(np.float32)
    crops = {padded[i : i + 3, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    found = each(geometry.pad_and_crop, 1, image=jnp.asarray(image, jnp.float32))
    assert {image.tobytes() for image in found} == crops


def test_quarter_turns_are_uniform():
    found = each(geometry.rotate_quarter)
    counts = [(found == np.rot90(PHOTO, k)).all((1, 2, 3)).sum() for k in range(4)]
    assert sum(counts) == 400
    assert min(counts) > 70
    with pytest.raises(UserError, match="needs square images, not"):
        geometry.rotate_quarter(KEYS[0], jnp.zeros((4, 5, 1)))


def test_rotate_turns_as_pillow_does():
    matrices = drawn(geometry.rotate, 40.0)
    degrees = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -40 <= degrees.min() < -38
    assert 38 < degrees.max() <= 40
    for angle, found in zip(degrees[:5], warped(matrices[:5]), strict=True):
        wanted = pillow(PHOTO).rotate(angle, Image.Resampling.BILINEAR)
        assert_same_but_for_the_rim(found, pixels_of(wanted))


def test_translate_moves_by_a_fraction_of_the_side():
    matrices = drawn(geometry.translate, 0.25)
    np.testing.assert_array_equal(matrices[:, :2, :2], np.tile(np.eye(2), (400, 1, 1)))
    assert 3.8 < np.abs(matrices[:, :2, 2]).max() <= 4
    assert abs(matrices[:, :2, 2].mean()) < 0.3
    whole = warped(np.array([[[1, 0, -3], [0, 1, -1], [0, 0, 1]]]))[0]
    np.testing.assert_array_equal(whole[1:, 3:], PHOTO[:-1, :-3])
    assert not whole[0].any()
    assert not whole[:, :3].any()


def test_scale_and_stretch_about_the_centre():
    for transform, product in ((geometry.scale, None), (geometry.stretch, 1.0)):
        matrices = drawn(transform, 0.5)
        across, down = 1 / matrices[:, 0, 0], 1 / matrices[:, 1, 1]
        np.testing.assert_allclose(across * down, product or across**2, rtol=1e-5)
        assert 1 / 1.5 - 1e-5 <= across.min() < 0.68
        assert 1.48 < across.max() <= 1.5 + 1e-5
        assert 170 < (across > 1).sum() < 230
        np.testing.assert_allclose(matrices @ [8, 8, 1], np.tile([8, 8, 1], (400, 1)), atol=1e-5)


def test_shear_keeps_level_lines_level():
    matrices = drawn(geometry.shear, 30.0)
    slants = np.rad2deg(np.arctan(matrices[:, 0, 1]))
    assert 29 < np.abs(slants).max() <= 30.001
    assert not matrices[:, 1, 0].any()
    assert drawn(geometry.shear, 0.0, 20.0)[:, 1, 0].any()


@pytest.mark.parametrize("fill", [0, 128])
def test_any_affine_warp_is_pillows(fill):
    draws = [geometry.rotate, geometry.scale, geometry.stretch, geometry.shear, geometry.translate]
    matrices = np.concatenate([drawn(transform, 0.4)[:4] for transform in draws])
    matrices = np.concatenate([matrices, matrices @ matrices[::-1]])
    for matrix, found in zip(matrices, warped(matrices, fill), strict=True):
        assert_same_but_for_the_rim(found, warped_by_pillow(matrix, fill))


def test_warps_in_a_row_are_one():
    a, b, c = np.random.default_rng(0).normal(size=(3, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(quick_jit(warp.product)([a, b, c]), a @ b @ c, atol=1e-5)


def boxes_of(areas, aspects):
    draw = quick_jit(jax.vmap(lambda key: boxes.sample_box(key, (20, 40), areas, aspects)))
    return boxes.Box(*map(np.asarray, draw(KEYS)))


def test_boxes_have_the_area_and_the_aspect_and_lie_within():
    box = boxes_of((0.08, 1.0), (3 / 4, 4 / 3))
    assert 350 < box.fits.sum() <= 400
    kept = [part[box.fits] for part in box[:4]]
    left, top, width, height = kept
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 40).all()
    assert (top + height <= 20).all()
    assert (left + width == 40).any()
    assert (top == 0).any()
    area, aspect = width * height / 800, width / height
    assert 0.07 < area.min() < 0.12
    large = height > 9  # where rounding to whole pixels does little
    assert (abs(np.log(aspect[large])) < np.log(4 / 3) + 0.11).all()
    assert 0.35 < (aspect > 1).mean() < 0.65


def test_a_box_that_never_fits_says_so():
    assert not boxes_of((0.9, 1.0), (8.0, 9.0)).fits.any()


def test_random_resized_crop_is_pillows_resize_of_the_box():
    """Pillow's filter shrinks its support for no enlargement, so that both are plain bilinear."""
    matrices = drawn(geometry.random_resized_crop)
    corners = matrices[:, [0, 1], 2]
    sides = np.stack([matrices[:, 0, 0], matrices[:, 1, 1]], 1) * SIZE
    np.testing.assert_allclose(sides, sides.round(), atol=1e-4)
    assert (corners + sides <= SIZE + 1e-4).all()
    shares = sides.prod(1) / SIZE**2
    assert shares.min() < 0.15
    assert shares.max() > 0.9
    for corner, side, found in zip(
        corners[:8], sides.round()[:8], warped(matrices[:8]), strict=True
    ):
        box = (*corner, *(corner + side))
        wanted = pillow(PHOTO).resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_allclose(found, pixels_of(wanted), atol=1)


def test_the_area_of_a_crop_is_within_both_bounds():
    matrices = drawn(geometry.random_resized_crop, 0.3, 0.5)
    shares = matrices[:, 0, 0] * matrices[:, 1, 1]
    shares = shares[shares < 0.99]  # the whole image where no draw fitted
    assert 0.25 < shares.min() < 0.35
    assert 0.45 < shares.max() < 0.56


def test_random_crop_has_one_scale_and_every_place():
    matrices = drawn(geometry.random_crop, 20)
    np.testing.assert_allclose(matrices[:, [0, 1], [0, 1]], SIZE / 20, rtol=1e-6)
    places = matrices[:, :2, 2]  # of 16 pixels 12.8 are seen
    assert places.min() >= 0
    assert places.min() < 0.1
    assert 3.1 < places.max() <= 3.2
    with pytest.raises(UserError, match=r"'random_crop\(12\)': choose 16 \(the image\) <= side"):
        geometry.random_crop(KEYS[0], IMAGE, 12)


def test_scale_jitter_is_pillows_resize_then_a_crop():
    matrices = drawn(geometry.scale_jitter, 18, 32)
    shorter = SIZE / matrices[:, 0, 0]
    assert set(shorter.round(3)) == set(range(18, 33))
    for matrix, found in zip(matrices[:5], warped(matrices[:5]), strict=True):
        (left, top), side = matrix[:2, 2], matrix[0, 0] * SIZE
        box = (left, top, min(left + side, SIZE), min(top + side, SIZE))
        wanted = pillow(PHOTO).resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_allclose(found, pixels_of(wanted), atol=1)
    with pytest.raises(UserError, match=r"choose 16 \(the image\) <= smallest <= largest"):
        geometry.scale_jitter(KEYS[0], IMAGE, 12, 32)


def test_the_elastic_field_is_smoothed_noise():
    draw = quick_jit(jax.vmap(lambda key: elastic.displacement_field(key, (20, 12, 1), 10.0, 1.5)))
    fields = np.asarray(draw(KEYS))
    assert fields.shape == (400, 20, 12, 2)
    noise = np.asarray(jax.random.uniform(KEYS[0], (2, 20, 12), minval=-1.0), np.float64)
    for plane in range(2):
        wanted = ndimage.gaussian_filter(noise[plane], 1.5, mode="constant", truncate=8)
        np.testing.assert_allclose(fields[0, ..., plane], 10 * wanted, atol=1e-4)
    # The variance of uniform noise is 1/3, that of its smoothed values 1 / (4 pi sigma**2) of it.
    middle = fields[:, 6:-6, 5:-5]
    np.testing.assert_allclose(middle.std(), 10 / np.sqrt(3 * 4 * np.pi) / 1.5, rtol=0.1)
    assert abs(np.corrcoef(middle[..., 0].ravel(), middle[..., 1].ravel())[0, 1]) < 0.1


def test_elastic_moves_pixels_as_scipy_does():
    by = np.random.default_rng(1).normal(0, 2, (SIZE, SIZE, 2))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    at = [rows + by[..., 1], columns + by[..., 0]]
    wanted = np.stack(
        [
            ndimage.map_coordinates(PHOTO[..., c].astype(float), at, order=1, mode="nearest")
            for c in range(3)
        ],
        -1,
    )
    found = quick_jit(elastic.displace)(IMAGE, jnp.float32(by))
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_reflect_and_crop_gives_every_shift_of_the_reflection():
    image = np.arange(12.0, dtype=np.float32).reshape(3, 4, 1)
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], "reflect")
    crops = {padded[i : i + 3, j : j + 4].tobytes() for i in range(5) for j in range(5)}
    found = each(geometry.reflect_and_crop, image=jnp.asarray(image))
    assert {image.tobytes() for image in found} == crops
