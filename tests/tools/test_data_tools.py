"""The tools that show data and search augmentations, on the smallest of everything."""

import math
import time

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.analysis.augmentation_search import AugmentationSearch, PolicyTrial
from cnn_jax.data.augment import TRANSFORMS
from cnn_jax.tools import extract_features, search_augmentation, show_data
from cnn_jax.transfer.features import FeatureFolder


@pytest.mark.heavy
def test_a_sheet_shows_what_training_sees(tiny, tmp_path):
    tiny.augment = ("pad_and_crop(1)",)
    dataset = data.load(tiny.data)
    plain, after, labels = show_data.augmented_sheet(tiny, dataset, 3, 2)
    assert plain.shape == (3, 8, 8, 1)
    assert len(after) == 2
    assert not np.array_equal(after[0][0], after[1][0])
    by_image = {
        i.tobytes(): label
        for i, label in zip(dataset.train.images, dataset.train.labels, strict=True)
    }
    assert [by_image[image.tobytes()] for image in plain] == labels.tolist()
    show_data.plot_sheet(tiny, dataset, tmp_path / "sheet.png", 3, 2)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size[0] > 300
    assert show_data.class_table(dataset).splitlines()[-1].split() == ["all", "1,294", "144", "359"]


def test_without_augmentation_every_image_is_another(tiny):
    tiny.augment = ()
    dataset = data.load(tiny.data)
    cells = show_data.plain_cells(tiny, dataset, 3, 4)
    assert [len(row) for row in cells] == [5, 5, 5]
    assert len({image.tobytes() for row in cells for image, _ in row}) == 15


def test_each_transform_is_named_with_its_strength_and_fits_the_image():
    grey, colour = (
        list(map(show_data.with_arguments, show_data.every_transform((28, 28, channels))))
        for channels in (1, 3)
    )
    assert set(colour) - set(grey) == {"saturation(0.2)", "hue(0.05)"}
    assert {"rotate(15)", "elastic(34, 4)", "rotate_quarter", "scale_jitter(32, 64)"} <= set(grey)
    assert len(colour) == len(TRANSFORMS)


@pytest.mark.parametrize("policy", [[], ["hue"], ["rotate(15)", "mixup(0.2)"]])
def test_the_line_of_the_search_can_be_pasted(tiny, policy):
    row = {"policy": policy, "steps": 8, "validation_accuracy": 0.9, "deviation": 0.01}
    result = {"config": "tiny", "dataset": "digits", "training_examples": 300, "seeds": 2}
    result |= {"validation_examples": 144, "protocol": "single_crop", "seconds": 9}
    result |= {"ranking": [row | {"gain": 0.1, "gain_error": 0.01}], "augment": policy}
    result |= {"not_tried": ["hue"], "minutes_needed": 7, "verdict": "better than none"}
    lines = search_augmentation.format_ranking(result).splitlines()
    assert "not tried for want of time: hue; --minutes=7 is enough for all" in lines
    exec(lines[-1], {"config": tiny})
    assert list(tiny.augment) == policy
    none = search_augmentation.format_ranking(result | {"augment": None, "verdict": "too short"})
    assert none.splitlines()[-1] == "too short"


@pytest.fixture
def search(tiny):
    """A search that is over: none has 70 of 100 in both starts, after 10 and after 200 steps."""
    search = AugmentationSearch(tiny, 300, 2, 60.0)
    search.policies = 2
    hits = np.repeat([[1.0] * 70 + [0.0] * 30], 2, 0)
    search.none_hits = {10: hits, 200: hits}
    search.baseline = PolicyTrial((), None, [], 200, hits)
    return search


def trial(search, policy, right, steps=200):
    hits = np.repeat([[1.0] * right + [0.0] * (100 - right)], 2, 0)
    hits[0, 0] = 0.0  # the starts differ
    return PolicyTrial((policy,), None, [], steps, hits)


def test_differences_are_to_none_after_as_many_steps(search):
    search.none_hits[10] = np.zeros((2, 100))
    assert search.gain(trial(search, "hue", 81, steps=10)) == pytest.approx(0.805)
    assert search.gain(trial(search, "hue", 81)) == pytest.approx(0.105)
    gains = search.gains(trial(search, "hue", 81))
    variance = np.var([0.10, 0.11], ddof=1) / 2 + gains.mean(0).var() / 100
    assert search.gain_error(trial(search, "hue", 81)) == pytest.approx(variance**0.5)


def test_the_search_advises_what_is_clearly_better(search):
    good, weak = trial(search, "good", 85), trial(search, "weak", 72)
    augment, verdict = search.conclude([good, search.baseline, weak])
    assert augment == ["good"]
    assert verdict.startswith("better than none, good: +14.50% ± 3.")
    augment, verdict = search.conclude([weak, search.baseline])
    assert augment is None
    assert verdict.startswith("nothing is better than none by more than 1.6 standard errors")


def test_the_search_says_when_it_was_too_short(search):
    search.config.epochs = 50.0
    search.baseline.steps = 3  # of 256 images: 2.56 passes over 300
    good = trial(search, "good", 99, steps=3)
    search.none_hits[3] = search.none_hits[10]
    search.start_cost.add(1, 10.0)
    search.step_cost.add(100, 100.0)
    search.evaluation_cost.add(1, 2.0)
    # Four starts, 3.516 steps of two seeds in two trials at first, one later, and two unions;
    # evaluations of 2, 1 and 1 trials and of what follows.
    seconds = 40 + (2 * 1 + 1 * 1 + 1 * 2) / 4 * 2 * 3.515625 + 2 * 2 * 3.515625 + (4 + 3) * 2 * 2
    assert search.minutes_needed() == math.ceil(1.25 * seconds / 60) == 2
    augment, verdict = search.conclude([search.baseline, good])
    assert augment is None
    assert verdict.startswith("too short to tell: 3 steps are 2.6 passes over the examples, and ")
    assert "nothing is advised before 3: --minutes=2" in verdict


@pytest.mark.slow
def test_the_search_ranks_and_names_a_line(tiny):
    search = AugmentationSearch(tiny, 300, 2, 20.0)
    begun = time.monotonic()
    result = search.run([(), ("horizontal_flip",), ("pad_and_crop(1)",)])
    took = time.monotonic() - begun
    is_over = search.baseline.steps == search.baseline.experiment.clock.total_steps
    assert took < 1.3 * 20
    assert is_over or took > 0.8 * 20
    rows = {" + ".join(row["policy"]): row for row in result["ranking"]}
    assert {"", "horizontal_flip", "pad_and_crop(1)"} <= set(rows)
    assert rows[""]["gain"] == 0
    assert rows[""]["steps"] == max(row["steps"] for row in rows.values())
    assert sum(row["steps"] == rows[""]["steps"] for row in rows.values()) >= 2
    assert result["verdict"] in search_augmentation.format_ranking(result)


def test_extract_features_says_the_shapes_that_it_writes(tmp_path):
    folder = FeatureFolder(tmp_path)
    np.save(folder.path("layer1/conv1"), np.zeros((7, 16), np.float32))
    np.save(folder.path("old"), np.zeros(10**6))  # of another extraction
    assert extract_features.sizes(folder, ["layer1/conv1"]) == ["  layer1.conv1.npy: 7x16, 0.0 MB"]
