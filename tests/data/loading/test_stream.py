"""Streams: the batches of memory, goes on anywhere, every example once, whoever reads."""

import dataclasses

import numpy as np
import pytest

from cnn_jax.data.images.random_crops import TrainCrop, example_rng, inception_box
from cnn_jax.data.loading.sampler import TrainSampler
from cnn_jax.data.loading.stream import BatchReader, ProcessShard, read_ahead
from cnn_jax.errors import UserError
from cnn_jax.training.experiment import make_experiment
from configs.base import base
from tests.support.folders import make, picture

STEPS, BATCH = 14, 8


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make(tmp_path_factory.mktemp("images"), {"a": 25, "b": 22})


def run_of(root, **changes):
    config = base("test", f"folder:{root}", image_size=16)
    config.batch_size, config.devices = BATCH, 1
    config.model.update({"name": "perceptron"})
    config.data.update(changes)
    return make_experiment(config)


def take(loader, steps):
    place = lambda x: x  # noqa: E731
    return [
        {k: np.asarray(v) for k, v in loader.batch_at(s).batch(np.int32(s), BATCH, place).items()}
        for s in steps
    ]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_a_stream_has_the_batches_of_memory(root):
    memory, stream = run_of(root), run_of(root, streaming=True)
    assert memory.dataset.train.in_memory
    assert not stream.dataset.train.in_memory
    assert_same(
        take(memory.train_loader(), range(STEPS)), take(stream.train_loader(), range(STEPS))
    )
    np.testing.assert_array_equal(
        *(next(iter(run.evaluator("test").batches))[1] for run in (memory, stream))
    )
    state = memory.compiled.init().state
    found = [run.evaluator("validation")(state) for run in (memory, stream)]
    assert_same(found[:1], found[1:])


def test_a_stream_goes_on_behind_the_end_of_the_run(root):
    """A dry run takes two steps, also of a run that has one."""
    short = run_of(root, streaming=True).train_loader()
    short.sampler = dataclasses.replace(short.sampler, num_batches=1)
    long = run_of(root, streaming=True).train_loader()
    assert_same(take(short, range(3)), take(long, range(3)))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stream_goes_on_with_exactly_what_remains(root, workers):
    """Resumed in the middle of an epoch: each remaining example of the epoch once."""
    experiment = run_of(root, streaming=True, workers=workers, train_crop="random_resized_crop")
    whole = take(experiment.train_loader(), range(STEPS))
    resumed = take(experiment.train_loader(), range(3, STEPS))
    assert_same(whole[3:], resumed)
    ids, examples = np.concatenate([b["id"] for b in whole]), len(experiment.dataset.train)
    assert sorted(ids[:examples]) == sorted(experiment.dataset.train.ids)
    rest = np.concatenate([b["id"] for b in resumed])[: examples - 3 * BATCH]
    assert sorted([*ids[: 3 * BATCH], *rest]) == sorted(experiment.dataset.train.ids)


def test_processes_share_every_batch(root):
    experiment = run_of(root, streaming=True)
    sampler = TrainSampler(len(experiment.dataset.train), BATCH, num_batches=5, seed=0)
    whole, *parts = (
        list(read_ahead(BatchReader(experiment.dataset.train, sampler, shard), 0, 5, 0, 2))
        for shard in (ProcessShard(), ProcessShard(0, 2), ProcessShard(1, 2))
    )
    for step in range(5):
        joined = {k: np.concatenate([p[step][k] for p in parts]) for k in whole[step]}
        assert_same([whole[step]], [joined])


def test_crops_depend_on_seed_step_and_id_alone(root):
    experiment = run_of(root, streaming=True, train_crop="random_resized_crop(0.2, 0.9)")
    split, crop = experiment.dataset.train, experiment.read_options.crop

    def batch(seed):
        sampler = TrainSampler(len(split), BATCH, num_batches=8, seed=seed)
        return BatchReader(split, sampler, crop=crop, crop_seed=seed)(7)

    one, again, other = batch(5), batch(5), batch(6)
    assert_same([one], [again])
    row = int(np.flatnonzero(split.ids == one["id"][3])[0])
    image = crop(example_rng(5, 7, int(one["id"][3])), split.images.original(row), 16)
    np.testing.assert_array_equal(one["image"][3], image)
    assert not np.array_equal(one["image"], other["image"])


def test_inceptions_box_has_its_share_and_ratio():
    boxes = np.array([inception_box(example_rng(0, 0, i), 60, 80, 0.08, 1.0) for i in range(2000)])
    top, left, height, width = boxes.T
    assert ((top >= 0) & (left >= 0) & (top + height <= 60) & (left + width <= 80)).all()
    share, ratio = height * width / 4800, width / height
    assert share.min() > 0.07
    assert share.max() > 0.9
    assert ratio.min() > 0.74 * 0.95
    assert ratio.max() < 1.34 * 1.05
    assert np.histogram(share, 4, (0.08, 0.72))[0].min() > 300  # near uniform where all fit


def test_scale_jitter_against_pillow():
    from PIL import Image

    image, random = picture(1, 40, 60), example_rng(0, 1, 2)
    found = TrainCrop.parse("scale_jitter(20, 30)", 16)(example_rng(0, 1, 2), image, 16)
    side = random.randint(20, 31)
    width, how = round(60 * side / 40), Image.Resampling.BILINEAR
    resized = Image.fromarray(image).resize((width, side), how)
    top, left = (random.randint(length - 15) for length in (resized.height, resized.width))
    np.testing.assert_array_equal(found, np.asarray(resized)[top : top + 16, left : left + 16])


def test_random_crop_is_a_part_of_the_middle_square():
    from PIL import Image

    image = picture(1, 40, 60)
    crop = TrainCrop.parse("random_crop(20)", 16)
    assert crop.min_side == 20
    square = np.asarray(Image.fromarray(image).resize((30, 20), Image.Resampling.BILINEAR))
    square, starts = square[:, 5:25], set()
    for i in range(60):
        random = example_rng(0, 0, i)
        top, left = random.randint(5), random.randint(5)
        starts.add((top, left))
        found = crop(example_rng(0, 0, i), image, 16)
        np.testing.assert_array_equal(found, square[top : top + 16, left : left + 16])
    assert len(starts) > 15  # of 25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("crop", r"data.train_crop='crop' is unknown"),
        ("scale_jitter(8, 30)", r"wants data.image_size=16 <= smallest <= largest$"),
        ("scale_jitter(30, 20)", r"wants data.image_size=16 <= smallest <= largest$"),
        ("random_crop(15)", r"wants data.image_size=16 <= side$"),
        ("random_resized_crop(0.5, 0.1)", r"wants 0 < smallest_area <= largest_area <= 1$"),
        ("random_resized_crop(0.5, 2)", r"wants 0 < smallest_area <= largest_area <= 1$"),
        ("random_resized_crop(x)", "arguments must be plain numbers"),
    ],
)
def test_mistakes_in_train_crop(root, call, message):
    with pytest.raises(UserError, match=message):
        run_of(root, train_crop=call)


def test_a_file_that_turns_out_bad_stops_the_stream_by_name(tmp_path):
    root = make(tmp_path, {"a": 12, "b": 12})
    for path in (root / "b").iterdir():
        path.write_bytes(path.read_bytes()[:-150])  # the headers are whole
    with pytest.raises(UserError, match=r"b/b_\d\d.jpg cannot be used \(image file is truncated"):
        take(run_of(root, streaming=True, normalisation="none").train_loader(), range(3))
    with pytest.raises(UserError, match=r"training split: 10 of 20 files cannot be used: b/b_00"):
        run_of(root, streaming=True)  # the pass that takes the mean sees them all
