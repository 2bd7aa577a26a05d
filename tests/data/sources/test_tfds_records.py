"""Sets prepared by tensorflow-datasets: read without TensorFlow, byte for byte."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data.sources import official
from cnn_jax.errors import UserError
from configs.base import base
from tests.support.folders import encoded, picture

tfds = pytest.importorskip("tensorflow_datasets", reason="needs the extra `tfds`")

FEATURE = "tensorflow_datasets.core.features"
SPLITS = {"train": 20, "test": 6}
COLOURS = ("red", "green")


def prepare(folder):
    """What `download_and_prepare` leaves of a set "small": pictures, classes in turn."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    version = folder / "small" / "1.0.0"
    version.mkdir(parents=True)
    splits, first = [], 0
    for split, count in SPLITS.items():
        name = f"small-{split}.array_record-00000-of-00001"
        writer, size = ArrayRecordWriter(str(version / name), "group_size:1"), 0
        for row in range(count):
            example = tf_example_pb2.Example()
            pixels = encoded(picture(first + row, 16, 16), "PNG")
            example.features.feature["image"].bytes_list.value.append(pixels)
            example.features.feature["label"].int64_list.value.append(row % 2)
            writer.write(content := example.SerializeToString())
            size += len(content)
        writer.close()
        first += count
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        about = {"name": split, "shardLengths": [str(count)], "numBytes": str(size)}
        splits.append(about | {"filepathTemplate": template})
    keys = [{"featureKey": key} for key in ("image", "label")]
    info = {"name": "small", "version": "1.0.0", "fileFormat": "array_record", "splits": splits}
    info["supervisedKeys"] = {"tuple": {"items": keys}}
    image = {"dtype": "uint8", "shape": {"dimensions": ["16", "16", "3"]}}
    features = {
        "image": {"image": image, "pythonClassName": f"{FEATURE}.image_feature.Image"},
        "label": {
            "classLabel": {"numClasses": "2"},
            "pythonClassName": f"{FEATURE}.class_label_feature.ClassLabel",
        },
    }
    kind = f"{FEATURE}.features_dict.FeaturesDict"
    (version / "dataset_info.json").write_text(json.dumps(info))
    whole = {"featuresDict": {"features": features}, "pythonClassName": kind}
    (version / "features.json").write_text(json.dumps(whole))
    (version / "label.labels.txt").write_text("\n".join(COLOURS))
    return folder


def config_of(folder, name="small", **changes):
    config = base("test", f"tfds:{name}", image_size=16).data
    config.update({"dir": str(folder), "fit": "nearest", **changes})
    return config


@pytest.mark.parametrize("streaming", [False, True])
def test_a_prepared_set_has_its_splits_classes_and_pixels(tmp_path, streaming):
    found = data.load(config_of(prepare(tmp_path), validation=4.0, streaming=streaming))
    assert found.task.classes == COLOURS
    assert [len(found.split(part)) for part in ("train", "validation", "test")] == [16, 4, 6]
    for split in (found.train, found.validation, found.test):
        for row, number in enumerate(split.ids):  # numbered through the splits
            np.testing.assert_array_equal(split.images[row], picture(int(number), 16, 16))
    assert found.test.ids.tolist() == list(range(20, 26))
    assert found.test.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert "tensorflow" not in sys.modules
    again = data.load(config_of(tmp_path, validation=4.0, streaming=streaming))  # labels are kept
    np.testing.assert_array_equal(again.train.labels, found.train.labels)


def test_sets_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"not prepared in data.dir=.* once: python -m cnn_jax"):
        data.load(config_of(tmp_path, "mnist"))
    with pytest.raises(UserError, match=r"did you mean 'small'\?\); there: small"):
        data.load(config_of(prepare(tmp_path), "smal"))
    config = config_of(tmp_path)
    config.name = "imagenet2012"
    with pytest.raises(UserError, match=r"'imagenet2012': .* holds neither a folder imagenet2012/"):
        data.load(config)


@pytest.mark.slow
def test_mnist_as_prepared_is_mnist_as_published(real_data):
    """The same examples; tensorflow-datasets shuffles them."""
    place = Path(os.environ.get("CNN_JAX_TFDS", real_data))
    if not list(place.glob("mnist/*/dataset_info.json")):
        pytest.skip(f"no prepared MNIST in {place}: set CNN_JAX_TFDS to a folder with mnist/3.0.1")
    config = config_of(place, "mnist", image_size=28, channels=1, validation=0.0)
    found = data.load(config)
    published = official.read("mnist", str(real_data), False, "")
    for ours, numbers in (
        (found.train, published.splits["train"]),
        (found.test, published.splits["test"]),
    ):
        images, labels = published.images[numbers], published.labels[numbers]
        assert sorted_rows(ours.images, ours.labels) == sorted_rows(images, labels)


def sorted_rows(images, labels):
    return sorted(zip(map(np.ndarray.tobytes, images), labels.tolist(), strict=True))
