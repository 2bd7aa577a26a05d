"""A prepared set names Python classes, and tfds imports them: only its own are let through."""

import json
import sys
import types

import pytest

from cnn_jax.data.sources.tfds_records import check_class_names, open_builder
from cnn_jax.errors import UserError

OWN = "tensorflow_datasets.core.features."


def features(label):
    return {
        "pythonClassName": f"{OWN}features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                "image": {"pythonClassName": f"{OWN}image_feature.Image"},
                "labels": [{"pythonClassName": label}],
            }
        },
    }


def write(folder, content):
    (folder / "1.0.0").mkdir(parents=True, exist_ok=True)
    (folder / "1.0.0" / "features.json").write_text(json.dumps(content))


def test_its_own_classes_pass(tmp_path):
    write(tmp_path, features(f"{OWN}class_label_feature.ClassLabel"))
    check_class_names(tmp_path, "data.name='tfds:x'")


@pytest.mark.parametrize(
    "name",
    [
        "evil.Label",
        "os.system",
        "tensorflow_datasets.core.features",
        "tensorflow_datasets.core.featuresevil.Label",
        f"evil.{OWN}Label",
        f"{OWN}Label; import os",
        "",
        None,
        3,
        {"name": "evil.Label"},
    ],
)
def test_others_are_refused_unimported(tmp_path, name):
    write(tmp_path, features(name))
    with pytest.raises(UserError, match="it was not imported"):
        check_class_names(tmp_path, "data.name='tfds:x'")


@pytest.mark.parametrize("name", ["trees", "trees/small", "trees:1.0.0", "trees/small:1.0.0"])
def test_they_are_looked_at_before_tfds_sees_the_set(tmp_path, monkeypatch, name):
    """By every way to name it."""
    write(tmp_path / "trees/small", features("evil.Label"))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", types.ModuleType("empty"))
    with pytest.raises(UserError, match=r"names the Python class 'evil.Label', which is none"):
        open_builder(name, str(tmp_path), f"data.name='tfds:{name}'")


@pytest.mark.parametrize("text", ["{", "[" * 200_000, "\xff"])
def test_what_is_no_json_is_one_line(tmp_path, text):
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "1.0.0" / "features.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"features\.json cannot be read"):
        check_class_names(tmp_path, "data.name='tfds:x'")
