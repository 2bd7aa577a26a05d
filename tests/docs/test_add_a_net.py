"""The page that shows how to add a net: what it tells the reader to write is right."""

import csv
import re

from cnn_jax import models
from cnn_jax.analysis.stages import summarize
from cnn_jax.runtime.config_files import load_config, load_module
from tests.support.commands import ROOT

TEXT = (ROOT / "docs/add_a_net.md").read_text()
NET, COUNT, CONFIG = (
    text for _, text in re.findall(r"^```(python|text)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
)


def test_the_page_is_short():
    assert len(TEXT.splitlines()) < 80


def test_its_net_has_the_count_that_it_gives(tmp_path, monkeypatch):
    (tmp_path / "all_cnn.py").write_text(NET)
    (net,) = load_module("all_cnn", tmp_path / "all_cnn.py").NETS.values()
    monkeypatch.setitem(models.REGISTRY, "all_cnn", net)
    (row,) = csv.DictReader(COUNT.splitlines())
    summary = summarize(models.create(row["name"]), net.input_shape)
    assert (summary.parameters, summary.statistics, summary.multiply_adds) == (
        int(row["params"]),
        int(row["batch_stats"]),
        int(row["macs"]),
    )
    assert set(net.options()) == {"activation", "dropout"}


def test_its_config_is_one(tmp_path):
    (tmp_path / "all_cnn.py").write_text(CONFIG)
    config = load_config(f"{tmp_path / 'all_cnn.py'}:cifar10")
    assert (config.model.name, config.data.channels) == ("all_cnn", 3)
