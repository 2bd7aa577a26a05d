"""Splits, orders, fitting, and normalisation, against NumPy."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from cnn_jax import data
from cnn_jax.data import augment, normalization, splits
from cnn_jax.data.dataset import Split
from cnn_jax.data.images import resize
from cnn_jax.data.loading import sampler
from cnn_jax.data.loading.loaders import DeviceLoader
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.errors import UserError
from cnn_jax.runtime.sharding import Devices
from configs.base import base


def labelled(counts):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    rows = np.arange(len(labels), dtype=np.int32)
    return Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels, rows)


def test_held_out_keeps_every_class_its_share():
    kept, taken = splits.hold_out(labelled([100, 50, 10]), 0.1, seed=0, key="k")
    assert np.bincount(taken.labels).tolist() == [10, 5, 1]
    assert sorted([*kept.ids, *taken.ids]) == list(range(160))
    assert (np.diff(kept.ids) > 0).all()


@pytest.mark.parametrize(("counts", "folds"), [([17, 9, 5], 5), ([8, 8], 3), ([40], 7)])
def test_folds_divide_every_class_exactly(counts, folds):
    labels = labelled(counts).labels
    found = splits.folds_of(labels, folds, seed=3)
    sizes = np.bincount(found, minlength=folds)
    assert sizes.sum() == len(labels)
    assert np.ptp(sizes) <= 1
    for c, count in enumerate(counts):
        of_class = np.bincount(found[labels == c], minlength=folds)
        assert of_class.sum() == count
        assert np.ptp(of_class) <= 1
    assert (splits.folds_of(labels, folds, seed=3) == found).all()
    assert (splits.folds_of(labels, folds, seed=4) != found).any()


def test_the_folds_of_a_set_test_every_example_once():
    """Of digits, which have no test split: the folds are test, validation is held out beside."""
    seen = []
    for fold in range(3):
        config = base("x", "digits", 8).data
        config.folds, config.fold = 3, fold
        dataset = data.load(config)
        parts = [dataset.split(name).ids for name in ("train", "validation", "test")]
        assert sorted(np.concatenate(parts)) == list(range(1797))
        assert len(dataset.validation) == 144
        seen += dataset.test.ids.tolist()
    assert sorted(seen) == list(range(1797))


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (5, 5, r"data.folds=5 and data.fold=5: choose .* from 0 to folds - 1"),
        (5, None, r"data.folds=5 and data.fold=None: choose"),
        (None, 0, r"data.folds=None and data.fold=0: choose"),
        (500, 0, r"data.folds=500: the data have 174 examples in its smallest class, fewer than"),
    ],
)
def test_folds_that_cannot_be_made_are_an_error(folds, fold, message):
    config = base("x", "digits", 8).data
    config.folds, config.fold = folds, fold
    with pytest.raises(UserError, match=message):
        data.load(config)


def with_parts(*parts):
    """30 examples of three classes to train on, and 6 for each part."""
    images, labels = np.zeros((30, 8, 8, 1), np.uint8), np.arange(30) % 3
    return data.from_arrays(images, labels, **dict.fromkeys(parts, (images[:6], labels[:6])))


@pytest.mark.parametrize(
    ("parts", "name", "sizes"),
    [
        (("test",), "digits", (20, 10, 6)),
        (("validation",), "digits", (20, 6, 10)),
        (("validation",), "folder:x", (20, 6, 10)),
    ],
)
def test_a_fold_is_the_part_that_is_not_there(parts, name, sizes):
    config = base("x", "digits", 8).data
    config.name, config.folds, config.fold = name, 3, 1
    dataset = data.load(config, source=with_parts(*parts))
    found = [dataset.split(part) for part in ("train", "validation", "test")]
    assert tuple(map(len, found)) == sizes
    (fold,) = [split for split in found if len(split) == 10]
    rows = np.flatnonzero(splits.folds_of(np.arange(30, dtype=np.int32) % 3, 3, 0) == 1)
    assert fold.ids.tolist() == rows.tolist()


def test_a_set_that_is_divided_has_no_folds():
    config = base("x", "digits", 8).data
    config.folds, config.fold = 3, 1
    with pytest.raises(UserError, match=r"^data.folds=3: digits has splits of its own for test"):
        data.load(config, source=with_parts("validation", "test"))


@pytest.mark.parametrize("folds", [10, 11])
def test_a_class_has_an_example_in_each_fold(folds):
    labels = np.arange(30, dtype=np.int32) % 3
    if folds == 10:
        assert np.bincount(splits.folds_of(labels, folds, 0)).tolist() == [3] * 10
        return
    with pytest.raises(UserError, match=r"^data.folds=11: the data have 10 .* data.folds=10$"):
        splits.folds_of(labels, folds, 0)


def test_splits_depend_on_the_seed_alone():
    first, again, other = (
        splits.hold_out(labelled([50, 50]), 20, seed=s, key="k")[1].ids for s in (0, 0, 1)
    )
    assert first.tolist() == again.tolist() != other.tolist()
    assert first[:8].tolist() == [0, 3, 9, 19, 21, 36, 39, 44]  # the same on every machine


@pytest.mark.parametrize("size", [1, 160, 0.999])
def test_a_split_that_cannot_be_stratified_is_an_error(size):
    with pytest.raises(
        UserError, match=r"data.test=.* holds out .* choose data.test=3, or up to 157"
    ):
        splits.hold_out(labelled([100, 50, 10]), size, seed=0, key="data.test")


def test_a_fraction_of_few_examples_is_rounded_up_to_one_a_class():
    split = labelled([8] * 5)
    for size, whole in ((0.1, None), (0.05, 60)):
        kept, taken = splits.hold_out(split, size, seed=0, key="k", whole=whole)
        assert np.bincount(taken.labels).tolist() == [1] * 5
        assert len(kept) == 35
    for size, count in ((4.0, 5), (0.95, 35)):  # what is advised works
        with pytest.raises(UserError, match=rf"k={size} .*; choose k=5, or up to 35$"):
            splits.hold_out(split, size, seed=0, key="k")
        assert len(splits.hold_out(split, float(count), seed=0, key="k")[1]) == count
    with pytest.raises(UserError, match=r"add images: with 10 there is one a class for each part"):
        splits.hold_out(labelled([2, 2, 2, 1, 1]), 0.1, seed=0, key="k")
    with pytest.raises(UserError, match=r"^k=0.2: a class with 1 example cannot be split in two$"):
        splits.hold_out(labelled([20, 1]), 0.2, seed=0, key="k")


def test_digits_are_split_without_overlap(tiny):
    dataset = data.load(tiny.data)
    parts = [dataset.train, dataset.validation, dataset.test]
    assert [len(part) for part in parts] == [1294, 144, 359]
    assert len(np.unique(np.concatenate([part.ids for part in parts]))) == 1797
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.images.max() == 255


def test_the_angle_of_a_turned_digit_is_its_label(tiny):
    """Turned back by its label, a digit is its own upright image again (up to interpolation)."""
    from PIL import Image

    tiny.data.update({"name": "digits", "image_size": 32, "fit": "bilinear"})
    upright = data.load(tiny.data).train
    tiny.data.update({"name": "digits_angle"})
    turned = data.load(tiny.data)
    assert turned.task.outputs == 1
    assert turned.task.mean == pytest.approx(turned.train.labels.mean())
    by_id = dict(zip(upright.ids, upright.images[..., 0], strict=True))
    right = wrong = 0.0
    for image, angle, i in zip(
        turned.train.images, turned.train.labels, turned.train.ids, strict=True
    ):
        if i in by_id and abs(angle) > 20:
            back = lambda a, im=image: np.asarray(Image.fromarray(im[..., 0]).rotate(a), float)  # noqa: E731
            right += np.abs(back(-angle) - by_id[i]).mean()
            wrong += np.abs(back(angle) - by_id[i]).mean()
    assert right < 0.5 * wrong


@pytest.mark.parametrize("batch", [7, 10, 37])
def test_every_epoch_of_the_stream_holds_every_example_once(batch):
    examples, seen = 37, []
    for step in range(3 * examples):
        seen += sampler.batch_rows(0, step, batch, examples).tolist()
    epochs = [seen[i : i + examples] for i in range(0, 5 * examples, examples)]
    assert all(sorted(epoch) == list(range(examples)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_batches_are_right_when_step_times_batch_overflows():
    """Batch 3,000,000,000 / 1,000: the products wrap around int32, their difference does not."""
    step, batch, examples = 3_000_000, 1000, 1_300
    rows = np.arange(examples, dtype=np.int32)
    split = Split(rows.astype(np.uint8).reshape(-1, 1, 1, 1), rows, rows)
    train = sampler.TrainSampler(examples, batch, num_batches=1, seed=0)
    source = DeviceLoader(split, train, Devices.create("jit", 1)).batch_at(step)
    found = jax.jit(lambda s, n: s.batch(n, batch, lambda x: x))(source, jnp.int32(step))
    assert found["id"].tolist() == sampler.batch_rows(0, step, batch, examples).tolist()


def test_evaluation_rows_cover_a_split_once():
    one_pass = sampler.EvalSampler(10, 4)
    assert one_pass.num_batches == 3
    batches = [one_pass.rows_at(step) for step in range(3)]
    assert np.concatenate([rows[mask] for rows, mask in batches]).tolist() == list(range(10))
    assert all(rows.shape == (4,) and (rows < 10).all() for rows, _ in batches)
    assert sampler.EvalSampler(0, 4).num_batches == 0


IMAGES = np.random.default_rng(0).integers(0, 256, (50, 5, 4, 3)).astype(np.uint8)


def test_normalisations_against_numpy():
    pixels = IMAGES.astype(np.float64)
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    centred = pixels - pixels.mean(0)
    expected = {
        "per_channel": (pixels - mean) / std,
        "per_pixel_mean": centred / np.sqrt((centred**2).mean()),
        "minus_one_to_one": pixels / 127.5 - 1,
        "lecun1998": pixels / 255 * 1.275 - 0.1,
        "imagenet": (pixels / 255 - normalization.IMAGENET_MEAN) / normalization.IMAGENET_STD,
        "none": pixels / 255,
        "channel_mean": pixels - mean,
        "mean_image": centred,
    }
    assert set(expected) == set(normalization.NORMALISATIONS)
    for kind, wanted in expected.items():
        found = InputStatistics(*normalization.shift_and_scale(kind, IMAGES)).normalise(
            np.float32(IMAGES)
        )
        atol = 2e-5 if "mean" in kind else 2e-6  # grey levels
        np.testing.assert_allclose(found, wanted, atol=atol, err_msg=kind)


def test_a_view_of_another_size_has_the_channels_means_subtracted():
    statistics = InputStatistics(*normalization.shift_and_scale("mean_image", IMAGES))
    views = np.float32(np.random.default_rng(1).integers(0, 256, (2, 7, 9, 3)))
    wanted = views - IMAGES.mean((0, 1, 2))
    np.testing.assert_allclose(statistics.normalise(views), wanted, atol=2e-5)


def test_a_crop_of_photographs_is_refused_of_arrays_and_its_advice_taken():
    config = base("test", "digits", image_size=16)
    config.data.train_crop = "random_crop(20)"
    told = r"choose data\.train_crop='' and augment=\('random_crop\(20\)',\)"
    with pytest.raises(UserError, match=told) as error:
        data.load(config.data)
    advised = str(error.value).split(" and augment=")[1]
    assert augment.compose(ast.literal_eval(advised), (16, 16, 1))
    assert len(data.load(config.data, undivided=True).test) == 1797  # no training, no such crop


def test_fitting_to_size_and_channels():
    padded = resize.resize_images(IMAGES, 9, "pad")
    assert (padded[:, 2:7, 2:6] == IMAGES).all()
    assert padded.sum() == IMAGES.sum()
    assert resize.resize_images(IMAGES, 10, "nearest").shape == (50, 10, 10, 3)
    grey = resize.convert_channels(IMAGES, 1)
    np.testing.assert_allclose(grey[..., 0], IMAGES @ [0.299, 0.587, 0.114], atol=0.5)
    assert (resize.convert_channels(grey, 3) == grey).all()
    with pytest.raises(UserError, match=r"data\.image_size=3 is smaller"):
        resize.resize_images(IMAGES, 3, "pad")


def test_unknown_dataset_names_the_nearest():
    config = ConfigDict({"name": "minst"})
    with pytest.raises(UserError, match=r"data.name='minst' is unknown \(did you mean 'mnist'"):
        data.load(config)


def test_random_labels_are_so_many_and_of_all_classes():
    split = labelled([400, 300, 300])
    wrong = splits.with_random_labels(split, 0.5, 3, seed=0)
    changed = int((wrong.labels != split.labels).sum())
    assert abs(changed - 500 * 2 / 3) < 4 * np.sqrt(500 * 2 / 9)  # a third falls on its own class
    assert (splits.with_random_labels(split, 0.5, 3, seed=0).labels == wrong.labels).all()
    assert (splits.with_random_labels(split, 0.5, 3, seed=1).labels != wrong.labels).any()
    assert split.labels.tolist() == labelled([400, 300, 300]).labels.tolist()
    counts = np.bincount(splits.with_random_labels(split, 1.0, 3, seed=0).labels)
    assert abs(counts - 1000 / 3).max() < 4 * np.sqrt(1000 * 2 / 9)


def test_random_labels_leave_what_is_measured_alone(tiny):
    plain = data.load(tiny.data)
    tiny.data.random_labels = 1.0
    wrong = data.load(tiny.data)
    assert (wrong.train.labels != plain.train.labels).mean() > 0.8
    for name in ("validation", "test"):
        assert wrong.split(name).labels.tolist() == plain.split(name).labels.tolist()
    tiny.data.random_labels = 1.5
    with pytest.raises(UserError, match=r"data.random_labels=1.5"):
        data.load(tiny.data)
