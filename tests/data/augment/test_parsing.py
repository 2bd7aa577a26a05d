"""From the words of a config to one function of the batch, and what is said about them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import augment, names
from cnn_jax.data.augment import geometry, label_safety, mixing, warp
from cnn_jax.data.dataset import Task
from cnn_jax.data.normalization import principal_colours
from cnn_jax.errors import UserError
from cnn_jax.runtime.sharding import Devices
from configs.base import FACTS
from tests.support.augment_cases import photograph, quick_jit

SIZE = 8
IMAGES = np.stack([np.roll(photograph(3, SIZE), shift, 1) for shift in range(8)])
PIXELS, IDS, LABELS = jnp.asarray(IMAGES, jnp.float32), jnp.arange(8) + 10, jnp.arange(8)
# One of each way to draw and to compute.
CALLS = (
    "pad_and_crop(1)",
    "rotate(30)",
    "elastic(4, 2)",
    "contrast",
    "saturation",
    "pca_lighting",
    "gaussian_noise",
    "trivial_augment",
)
KEY = jax.random.key(3)
SHAPE, COLOURS = IMAGES.shape[1:], principal_colours(IMAGES)


@pytest.fixture(scope="module")
def apply():
    compiled = jax.jit(augment.compose(CALLS, SHAPE, colours=COLOURS))
    return lambda *batch: np.asarray(compiled(*batch)[0])


@pytest.mark.heavy
def test_an_example_has_the_same_bits_wherever_it_lies(apply):
    once = apply(KEY, IDS, PIXELS, LABELS)
    assert not np.array_equal(once, IMAGES)
    order = np.array([3, 0, 5, 1, 4, 2, 7, 6])
    np.testing.assert_array_equal(apply(KEY, IDS[order], PIXELS[order], LABELS), once[order])
    few = np.array([4, 1, 1, 1, 4, 4, 1, 4])
    np.testing.assert_array_equal(apply(KEY, IDS[few], PIXELS[few], LABELS), once[few])


def test_another_step_or_id_draws_anew(apply):
    same = jnp.broadcast_to(PIXELS[0], PIXELS.shape)
    found = apply(KEY, IDS, same, LABELS)
    assert len({image.tobytes() for image in found}) >= 7  # one may be moved out of sight
    assert not np.array_equal(found, apply(jax.random.key(4), IDS, same, LABELS))


@pytest.mark.slow
def test_eight_devices_have_the_bits_of_one():
    """One image a device, which is also another size of batch than eight on one.

    The products of matrices that smooth `elastic`'s field have other last bits then, with AVX2.
    """
    split = Devices.create("jit").batch_sharding
    exact = tuple(call for call in CALLS if not call.startswith("elastic"))
    for calls, tolerance in ((exact, 0.0), (("elastic(4, 2)",), 1e-3)):
        compiled = jax.jit(augment.compose(calls, SHAPE, colours=COLOURS))
        eight, _ = compiled(KEY, *[jax.device_put(part, split) for part in (IDS, PIXELS, LABELS)])
        one, _ = compiled(KEY, IDS, PIXELS, LABELS)
        np.testing.assert_allclose(np.asarray(eight), np.asarray(one), rtol=0, atol=tolerance)


def test_warps_that_follow_each_other_are_one():
    compose = augment.compose(("rotate(30)", "translate(0.2)"), SHAPE)

    def by_hand(i, image):
        key = jax.random.fold_in(KEY, i)
        keys = [jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)]
        first = geometry.rotate.sample_matrix(keys[0], image.shape, 30.0)
        second = geometry.translate.sample_matrix(keys[1], image.shape, 0.2)
        in_turn = geometry.translate(keys[1], geometry.rotate(keys[0], image, 30.0), 0.2)
        return warp.warp(image, warp.product([first, second])), in_turn

    @quick_jit
    def both(images):
        return compose(KEY, IDS, images, LABELS)[0], *jax.vmap(by_hand)(IDS, images)

    found, once, twice = map(np.asarray, both(PIXELS))
    np.testing.assert_allclose(found, once, atol=1e-3)
    differences = np.abs(found - twice)[:, 2:-2, 2:-2]
    assert 0.1 < differences.mean() < 20, "alike, but twice interpolated"


def test_a_probability_of_one_needs_no_point():
    flip = augment.compose(("horizontal_flip(1)",), SHAPE)
    np.testing.assert_array_equal(flip(KEY, IDS, PIXELS, LABELS)[0], IMAGES[:, :, ::-1])


BORDER = np.float32(np.arange(SIZE * SIZE * 3).reshape(SHAPE) % 97)


@pytest.mark.parametrize("spec", ["pad_and_crop(3)", "cutout(4)", "translate(0.5)"])
def test_a_border_is_what_comes_from_outside(spec):
    """As if the mean had been subtracted before: zeros are then the mean."""
    compose = lambda **options: quick_jit(augment.compose((spec,), SHAPE, **options))  # noqa: E731
    found = np.asarray(compose(border=BORDER)(KEY, IDS, PIXELS, LABELS)[0]) - BORDER
    wanted = np.asarray(compose()(KEY, IDS, PIXELS - BORDER[None], LABELS)[0])
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    outside = np.asarray(compose()(KEY, IDS, PIXELS * 0 + 1, LABELS)[0]) == 0
    assert 0.05 < outside.mean() < 0.6
    np.testing.assert_allclose(found[outside], 0, atol=1e-4)


def test_colours_are_changed_as_they_are_whatever_the_border():
    calls = ("contrast(0.5)", "brightness(0.5)")
    found = augment.compose(calls, SHAPE, border=BORDER)(KEY, IDS, PIXELS, LABELS)[0]
    np.testing.assert_array_equal(found, augment.compose(calls, SHAPE)(KEY, IDS, PIXELS, LABELS)[0])


def test_an_alternating_flip_shows_both_sides_in_two_epochs_in_any_order():
    apply = quick_jit(augment.compose(("alternating_flip",), SHAPE))

    def shown(step, epochs, ids=IDS, images=PIXELS, run=5):
        passes = augment.Passes(jax.random.key(run), jnp.broadcast_to(epochs, ids.shape))
        return np.asarray(apply(jax.random.key(step), ids, images, LABELS, passes)[0])

    even, odd = shown(0, 0), shown(1, 1)
    mirrored = IMAGES[:, :, ::-1]
    sides = [np.array_equal(image, mirror) for image, mirror in zip(even, mirrored, strict=True)]
    assert {*sides} == {True, False}
    np.testing.assert_array_equal(odd, even[:, :, ::-1])
    np.testing.assert_array_equal(shown(7, 2), even)  # whatever the step
    order = np.array([3, 0, 5, 1, 4, 2, 7, 6])
    np.testing.assert_array_equal(shown(0, 0, IDS[order], PIXELS[order]), even[order])
    both = shown(0, np.array([0, 1] * 4))  # a batch that crosses into the next epoch
    np.testing.assert_array_equal(both, np.where(np.arange(8)[:, None, None, None] % 2, odd, even))
    assert not np.array_equal(shown(0, 0, run=6), even)
    with pytest.raises(ValueError, match="needs the examples' epochs"):
        augment.compose(("alternating_flip",))(KEY, IDS, PIXELS, LABELS)


def test_a_check_against_the_size_of_images_computes_nothing(monkeypatch):
    """Each operation on its own would be compiled before a run says its first word."""
    made = []
    for module, name in ((jnp, "zeros"), (jax.random, "key")):
        function = getattr(module, name)
        noted = lambda *given, f=function: note(made, f(*given))  # noqa: E731
        monkeypatch.setattr(module, name, noted)
    augment.compose(("pad_and_crop(1)", "horizontal_flip"), SHAPE)
    assert made
    assert all(isinstance(value, jax.core.Tracer) for value in made)


def note(values, value):
    values.append(value)
    return value


def test_no_transforms_change_nothing():
    images, targets = augment.compose(())(KEY, IDS, PIXELS, LABELS)
    assert images is PIXELS
    assert targets is LABELS


@pytest.mark.parametrize("name", augment.TRANSFORMS)
def test_every_transform_takes_grey_images(name):
    """Of colour images each has a test of its own."""
    images = jnp.zeros((4, SIZE, SIZE, 1))
    call = augment.parse(f"{name}(8, 16)" if name == "scale_jitter" else name)
    constants = {"directions": np.ones((1, 1))} if name.startswith("pca_") else {}
    constants |= {"mirrored": True} if name == "alternating_flip" else {}
    given = images[:2] if name in mixing.MIXING else images[0]
    found = jax.eval_shape(lambda key: call(key, given, **constants), KEY)
    found = found[0] if name in mixing.MIXING else found
    assert (found.shape, found.dtype) == ((SIZE, SIZE, 1), jnp.float32)
    assert augment.TRANSFORMS[name].__doc__


MISTAKES = {
    "horizontal_flop": r"'horizontal_flop'.*did you mean 'horizontal_flip'",
    "mixap(0.2)": "'mixap' is unknown .did you mean 'mixup'",
    "pad_and_crop(__import__('os'))": "must be plain numbers, none negative: pad_and_crop",
    "pad_and_crop(1.5)": r"none negative: pad_and_crop\(pad: int = 4\)",
    "pad_and_crop(1, 2)": "must be plain numbers",
    "rotate(-5)": r"none negative: rotate\(degrees: float = 15.0\)",
    "rotate(1e999)": "must be plain numbers",
    "rotate(True)": "must be plain numbers",
    "rotate(181)": "degrees=181 is out of range: choose 0 to 180",
    "shear(90)": "degrees=90 is out of range: choose 0 to 60",
    "horizontal_flip(2)": "probability=2 is out of range: choose 0 to 1",
    "mixup(0)": "alpha=0 is out of range: choose 0.01 to 1000",
    "hue(0.6)": "turn=0.6 is out of range: choose 0 to 0.5",
    "random_resized_crop(0.5, 0.4)": "smallest_area=0.5 is more than largest_area=0.4",
    "colour_jitter(0.5, 2)": "contrast=2 is out of range: choose 0 to 1",
    "random_crop(4)": r"choose 8 \(the image\) <= side",
    "random_erasing(0.5, 0.4, 0.2)": "smallest_area=0.4 is more than largest_area=0.2",
    "scale_jitter(40, 20)": "smallest=40 is more than largest=20",
    "scale_jitter(4, 20)": r"choose 8 \(the image\) <= smallest <= largest",
    "rand_augment(0)": "count=0 is out of range",
    "posterize(9)": "fewest_bits=9 is out of range: choose 1 to 8",
}


@pytest.mark.parametrize("call", MISTAKES)
def test_a_mistake_is_one_line(call):
    with pytest.raises(UserError, match=MISTAKES[call]) as error:
        augment.compose((call,), SHAPE)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("augment=")


def test_mixing_comes_last_once_and_for_classes():
    with pytest.raises(UserError, match=r"'mixup' .* last .* behind 'horizontal_flip'"):
        augment.compose(("mixup", "horizontal_flip"))
    with pytest.raises(UserError, match="'mixup' mixes two examples, so it must be the last and"):
        augment.compose(("mixup", "cutmix"))
    with pytest.raises(UserError, match="'cutmix' mixes classes, but the targets are numbers"):
        augment.compose(("cutmix",), task=Task("regression", unit="degrees"))


def test_arguments_are_what_was_given_and_else_the_defaults():
    assert augment.parse(" random_erasing( 0.25, 0.1 ) ").arguments == {
        "probability": 0.25,
        "smallest_area": 0.1,
        "largest_area": 0.4,
        "narrowest": 0.3,
    }
    assert augment.parse("rotate()").arguments == {"degrees": 15.0}


def test_a_transform_that_changes_labels_is_named_with_the_reason():
    said = augment.warnings_for("mnist", ("horizontal_flip(0.3)", "pad_and_crop(2)"))
    assert said == [
        "augment 'horizontal_flip' does not keep the labels of mnist: a mirrored 3 is no digit"
    ]
    assert augment.warnings_for("cifar10", ("pad_and_crop(4)", "horizontal_flip")) == []
    assert len(augment.warnings_for("digits_angle", ("rotate(5)", "shear(5)"))) == 2
    assert augment.warnings_for("mnist", ("rotate(15)",)) == []
    assert "a 6 turned is a 9" in augment.warnings_for("mnist", ("rotate(180)",))[0]


def test_a_folder_has_what_its_owner_says():
    calls = ("hue(0.1)", "vertical_flip")
    assert augment.warnings_for("folder:my/flowers", calls) == []
    assert len(augment.warnings_for("tfds:cifar10", calls)) == 1
    assert augment.warnings_for("folder:my/flowers", calls, ("hue",)) == [
        "augment 'hue' does not keep the labels of folder:my/flowers: data.label_changing says so"
    ]
    with pytest.raises(UserError, match=r"data.label_changing='hues' is unknown .*'hue'"):
        augment.warnings_for("folder:my/flowers", calls, ("hues",))


def test_every_dataset_is_judged_by_names_that_exist():
    own = {name for name in names() if ":" not in name}
    assert set(label_safety.LABEL_CHANGING) == own == {*FACTS} - {"folder", "tfds"}
    for reasons in label_safety.LABEL_CHANGING.values():
        assert set(reasons) <= set(augment.TRANSFORMS)
