"""What an import does not do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import importlib, pkgutil
import jax

for name in ("cnn_jax", "configs", "experiments"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.endswith((".__main__", ".run_exported")):  # those two are programs
            importlib.import_module(module.name)
jax.config.update("jax_num_cpu_devices", 3)
assert jax.device_count() == 3
"""


@pytest.mark.heavy
def test_no_import_starts_a_backend():
    """`jax.distributed.initialize` and a run's own flags come after all imports, and JAX takes them
    only while it has no backend yet; forked processes would hang on its threads' locks."""
    ours = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    command = [sys.executable, "-c", IMPORT_ALL]
    done = subprocess.run(
        command, env=os.environ | ours, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
