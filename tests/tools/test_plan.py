"""`cnn_jax plan`, as it is typed."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

HAS_TPU_COMPILER = importlib.util.find_spec("libtpu") is not None


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason="pip install 'cnn_jax[plan]' for libtpu")
def test_a_plan_for_a_tpu_is_the_same_twice(tmp_path):
    """The second finds no program of the first that it could not read."""
    command = [sys.executable, "-m", "cnn_jax.tools.plan", "--config=lenet5", "--on=v5e:1x1"]
    hidden = ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS")  # of the tests
    own = {k: v for k, v in os.environ.items() if k not in hidden}
    own |= {"HOME": str(tmp_path), "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}  # other tests hold it too
    plans = []
    for name in ("a.json", "b.json"):
        words = [*command, "--nolargest", f"--json={tmp_path / name}"]
        done = subprocess.run(words, env=own, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "damaged" not in done.stderr
        plans.append(json.loads((tmp_path / name).read_text()))
    first, second = plans
    assert first == second
    assert 0 < first["costs"]["moved"] < first["costs"]["touched"]
