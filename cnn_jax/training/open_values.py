"""What a config leaves open, written into it: a run says what it trained with.

So it goes on with that whatever a later default is, and needs no weights to be there again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cnn_jax import models
from cnn_jax.runtime import workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training import optimizers
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_options import form_of_weights

RECORDED = ("pool1",)  # always, as their default was another one


def complete(config: ConfigDict, folder: Path | None = None) -> None:
    """The optimiser's own values, and the options in which a port's net differs from its paper's.

    Those that are open are as the run in `folder` has them, or the weights of `init.from`; else as
    the net's name has them.
    """
    optimizers.complete(config)
    net = models.REGISTRY.get(config.model.name)
    if net is None:
        return  # said when the net is made
    options = net.options()
    forms = MAPS[config.model.name]().forms if config.model.name in MAPS else ()
    port = {key for form in forms for key in form.options}
    found = found_options(config, folder)
    for key in {*RECORDED, *port} & {*options}:
        default = options[key].default if key in RECORDED else None
        value = found.get(key, default)
        if config.model.get(key) is None and value is not None:
            with config.model.unlocked():
                config.model[key] = value


def found_options(config: ConfigDict, folder: Path | None) -> dict[str, Any]:
    """The options of a run that goes on, or of the weights that a new one begins with."""
    if folder and (folder / workdir.CONFIG).exists() and not Checkpoints(folder).is_empty():
        return workdir.net_options(workdir.read_config(folder))
    return form_of_weights(config.init["from"]) if config.init["from"] else {}
