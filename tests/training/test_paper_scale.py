"""At their papers' scale of inputs, AlexNet and VGG-A leave chance on digits in a few epochs."""

import json

import pytest

from cnn_jax.train import train_and_evaluate
from configs import alexnet, vgg16


@pytest.mark.slow
@pytest.mark.parametrize(("module", "epochs"), [(alexnet, 4.0), (vgg16, 2.0)])
def test_the_net_leaves_chance(module, epochs, tmp_path):
    """A tenth is chance."""
    config = module.get_config("paper_scale:digits")
    config.epochs, config.devices, config.log_every_steps = epochs, 1, 10
    train_and_evaluate(config, str(tmp_path / "run"))
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["accuracy"] > 0.5
