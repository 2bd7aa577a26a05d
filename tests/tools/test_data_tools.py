"""The tools that show data and search augmentations, on the smallest of everything."""

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.analysis.augmentation_search import AugmentationSearch
from cnn_jax.data.augment import TRANSFORMS
from cnn_jax.tools import search_augmentation, show_data


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
    result |= {"ranking": [row | {"gain": None}], "augment": policy}
    exec(search_augmentation.format_ranking(result).splitlines()[-1], {"config": tiny})
    assert list(tiny.augment) == policy


@pytest.mark.slow
def test_the_search_ranks_and_names_a_line(tiny):
    search = AugmentationSearch(tiny, 300, 2, 1.0)
    result = search.run([(), ("horizontal_flip",), ("pad_and_crop(1)",)])
    rows = {" + ".join(row["policy"]): row for row in result["ranking"]}
    assert {"", "horizontal_flip", "pad_and_crop(1)"} <= set(rows)
    assert rows[""]["gain"] == 0
    assert rows[""]["steps"] == max(row["steps"] for row in rows.values())
    assert sum(row["steps"] == rows[""]["steps"] for row in rows.values()) >= 2
    text = search_augmentation.format_ranking(result)
    assert text.splitlines()[-1].startswith("config.augment = (")
