"""Operations on grey levels and policies, against Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnn_jax.data.augment import photometric, pillow_ops, policies, policy_tables
from tests.support.augment_cases import photograph, pillow, pixels_of, quick_jit

SIZE = 32
KEYS = jax.random.split(jax.random.key(2), 700)

# Of an image and a magnitude from 0 to 1, in words of the paper's ranges.
PILLOW = {
    "identity": lambda image, m: image,
    "autocontrast": lambda image, m: ImageOps.autocontrast(image),
    "equalize": lambda image, m: ImageOps.equalize(image),
    "invert": lambda image, m: ImageOps.invert(image),
    "solarize": lambda image, m: ImageOps.solarize(image, 256 - 256 * m),
    "posterize": lambda image, m: ImageOps.posterize(image, 8 - round(4 * m)),
    "brightness": lambda image, m: ImageEnhance.Brightness(image).enhance(0.1 + 1.8 * m),
    "color": lambda image, m: ImageEnhance.Color(image).enhance(0.1 + 1.8 * m),
    "contrast": lambda image, m: ImageEnhance.Contrast(image).enhance(0.1 + 1.8 * m),
    "sharpness": lambda image, m: ImageEnhance.Sharpness(image).enhance(0.1 + 1.8 * m),
    "shear_x": lambda image, m: affine(image, 1, 0.3 * m, 0, 0, 1, 0),
    "shear_y": lambda image, m: affine(image, 1, 0, 0, 0.3 * m, 1, 0),
    "translate_x": lambda image, m: affine(image, 1, 0, -m * SIZE * 150 / 331, 0, 1, 0),
    "translate_y": lambda image, m: affine(image, 1, 0, 0, 0, 1, -m * SIZE * 150 / 331),
    "rotate": lambda image, m: image.rotate(
        30 * m, Image.Resampling.BILINEAR, fillcolor=grey(image)
    ),
}
NAMES = list(PILLOW)
GEOMETRIC = NAMES[-5:]


def grey(image):
    return 128 if image.mode == "L" else (128, 128, 128)


def affine(image, *numbers):
    kind, way = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return image.transform(image.size, kind, numbers, way, fillcolor=grey(image))


@quick_jit
def apply(image, chosen, magnitudes, signs):
    """Every row of choices on one image."""
    one = lambda *row: policies.apply(image, NAMES, *row, policies.LEARNED)  # noqa: E731
    return jax.vmap(one)(chosen, magnitudes, signs)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_pillows(channels):
    """Pairs of one operation on colours and one on places, at three magnitudes and both signs."""
    photo = photograph(channels)
    pairs = [(colours, place) for colours in NAMES[:10] for place in ["identity", *GEOMETRIC]]
    rows = [(*pair, m) for pair in pairs for m in (0.0, 0.375, 1.0)]
    chosen = np.array([[NAMES.index(a), NAMES.index(b)] for a, b, _ in rows])
    magnitudes = np.array([[m, m] for _, _, m in rows], np.float32)
    signs = np.where(np.arange(len(rows)) % 2, 1, -1)[:, None] * np.ones((1, 2), np.float32)
    found = apply(jnp.asarray(photo, jnp.float32), chosen, magnitudes, signs)
    for (a, b, m), sign, image in zip(rows, signs[:, 0], np.asarray(found), strict=True):
        signed = m * sign if b in GEOMETRIC else m
        wanted = pixels_of(PILLOW[b](PILLOW[a](pillow(photo), m), signed))
        if b == "identity":
            np.testing.assert_allclose(image, wanted, atol=a == "autocontrast", err_msg=f"{a} {m}")
        # Pillow cuts off what is behind the point; a point at the rim may round in or out.
        wrong = (np.abs(image - wanted) > 1.001).any(-1).sum()
        assert wrong <= 2, (a, b, m, wrong)


@pytest.mark.heavy
def test_colours_go_one_after_another():
    photo = photograph(3)
    for first, second in (
        ("equalize", "posterize"),
        ("posterize", "invert"),
        ("invert", "solarize"),
    ):
        chosen = np.array([[NAMES.index(first), NAMES.index(second)]])
        ones = np.ones((1, 2), np.float32)
        found = apply(jnp.asarray(photo, jnp.float32), chosen, 0.5 * ones, ones)[0]
        wanted = pixels_of(PILLOW[second](PILLOW[first](pillow(photo), 0.5), 0.5))
        other = pixels_of(PILLOW[first](PILLOW[second](pillow(photo), 0.5), 0.5))
        np.testing.assert_array_equal(found, wanted, err_msg=f"{first}, {second}")
        assert (found != other).mean() > 0.05, "the order makes no difference"


def test_all_but_flat_images():
    """Where equalize and autocontrast have nothing to spread, or two levels."""
    flat = np.full((SIZE, SIZE, 1), 77, np.uint8)
    two = flat.copy()
    two[:, :3] = 78
    both = quick_jit(lambda image: (pillow_ops.equalize(image), pillow_ops.autocontrast(image)))
    for pixels in (flat, two):
        ours = both(jnp.asarray(pixels, jnp.float32))
        for found, theirs in zip(ours, (ImageOps.equalize, ImageOps.autocontrast), strict=True):
            np.testing.assert_array_equal(found, pixels_of(theirs(pillow(pixels))))


def test_transforms_of_one_operation_draw_whether_or_how_much():
    pixels = photograph(1, 20) // 2 + 20
    image, ramp = jnp.asarray(pixels, jnp.float32), jnp.arange(256.0).reshape(16, 16, 1)

    @quick_jit
    @jax.vmap
    def draws(key):
        return (
            photometric.invert(key, image, 0.3),
            photometric.autocontrast(key, image, 0.3),
            photometric.equalize(key, image, 0.3),
            photometric.posterize(key, image, 5),
            photometric.sharpness(key, image, 0.5),
            photometric.solarize(key, ramp, 200),
        )

    *sometimes, posterized, sharp, solarized = map(np.asarray, draws(KEYS))
    for found, operation in zip(
        sometimes, (ImageOps.invert, ImageOps.autocontrast, ImageOps.equalize), strict=True
    ):
        wanted = pixels_of(operation(pillow(pixels)))
        done = np.abs(found - wanted).max((1, 2, 3)) <= 1
        assert 160 < done.sum() < 260
        assert (found[~done] == pixels).all()
    bits = {ImageOps.posterize(pillow(pixels), b).tobytes(): b for b in range(5, 9)}
    drawn = [bits[found.astype(np.uint8).tobytes()] for found in posterized]
    assert np.bincount(drawn)[5:].min() > 120
    thresholds = (solarized == np.asarray(ramp)).sum((1, 2, 3))
    assert set(thresholds) == set(range(200, 257))
    rough = sharp.std((1, 2)) / pixels.std()
    assert rough.min() < 0.98
    assert rough.max() > 1.02


@pytest.fixture
def choices(monkeypatch):
    """What a policy decides under each key: (names, chosen, magnitudes, signs, strength)."""

    def of(policy, *numbers):
        seen = {}

        def spy(image, names, chosen, magnitudes, signs, full):
            seen.update(names=names, full=full, count=len(chosen))
            return image.at[:3, : len(chosen), 0].set(jnp.stack([chosen, magnitudes, signs]))

        monkeypatch.setattr(policies, "apply", spy)
        image = jnp.zeros((SIZE, SIZE, 3))
        drawn = quick_jit(jax.vmap(lambda key: policy(key, image, *numbers)))(KEYS)
        chosen, *others = np.moveaxis(np.asarray(drawn)[:, :3, : seen["count"], 0], 1, 0)
        return seen["names"], chosen.astype(int), *others, seen["full"]

    return of


def test_rand_augment_draws_n_of_fourteen_at_one_magnitude(choices):
    names, chosen, magnitudes, signs, _ = choices(policies.rand_augment, 3, 7.0)
    assert sorted(names) == sorted({*PILLOW} - {"invert"})
    counts = np.bincount(chosen.ravel(), minlength=14)
    assert len(counts) == 14
    assert counts.min() > 100  # of 150 on average
    assert chosen.shape == (700, 3)
    np.testing.assert_allclose(magnitudes, 0.7, rtol=1e-6)
    assert set(signs.ravel()) == {-1, 1}
    assert abs(signs.mean()) < 0.1


def test_trivial_augment_draws_one_at_any_magnitude(choices):
    names, chosen, magnitudes, _, full = choices(policies.trivial_augment)
    assert chosen.shape == (700, 1)
    assert np.bincount(chosen.ravel(), minlength=len(names)).min() > 25
    np.testing.assert_allclose(np.unique(magnitudes), np.arange(31) / 30, atol=1e-6)
    assert full.translate * SIZE == 32
    assert (full.rotate, full.shear, full.factors) == (135.0, 0.99, (0.01, 2.0))


@pytest.mark.parametrize("name", ["cifar", "imagenet"])
def test_auto_augment_draws_pairs_of_its_table(choices, name):
    table = getattr(policy_tables, name.upper())
    policy = getattr(policies, f"auto_augment_{name}")
    names, chosen, magnitudes, _, _ = choices(policy)
    grades = np.round(magnitudes * 9, 3)
    seen = np.zeros((25, 2))
    for row, grade in zip(chosen, grades, strict=True):
        possible = [
            pair
            for pair in table
            if [g for _, _, g in pair] == grade.tolist()
            and all(names[c] in (op, "identity") for c, (op, _, _) in zip(row, pair, strict=True))
        ]
        assert possible, (row, grade)
        if len({*possible}) == 1:
            seen[table.index(possible[0])] += row != 0
    always = [pair for pair in table if pair[1][1] == 1.0]
    never = [pair for pair in table if 0.0 in (pair[0][1], pair[1][1])]
    for pair in always:
        assert seen[table.index(pair), 1] > 0
    for pair in never:
        at = [chance for _, chance, _ in pair].index(0.0)
        assert seen[table.index(pair), at] == 0
    expected = 700 / 25 * sum(chance for pair in table for _, chance, _ in pair)
    np.testing.assert_allclose((chosen != 0).sum(), expected, rtol=0.1)


def test_the_tables_are_the_published_ones():
    """Sums of probabilities and magnitudes, and counts, of other programs' copies of the tables."""
    for table, probabilities, grades, counts in (
        (policy_tables.CIFAR, 26.5, 267, {"equalize": 9, "autocontrast": 7, "shear_y": 2}),
        (policy_tables.IMAGENET, 31.0, 287, {"equalize": 17, "solarize": 7, "shear_x": 1}),
    ):
        flat = [entry for pair in table for entry in pair]
        assert len(flat) == 50
        assert sum(chance for _, chance, _ in flat) == pytest.approx(probabilities)
        assert sum(grade for _, _, grade in flat) == grades
        for name, count in counts.items():
            assert [entry[0] for entry in flat].count(name) == count, name
        assert {name for name, _, _ in flat} <= set(PILLOW)
