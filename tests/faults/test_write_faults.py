"""A write that fails, whichever it is, ends a save in a line and leaves the older ones whole."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="LD_PRELOAD, cc"),
]


@pytest.mark.parametrize(("what", "every"), [("save", 11), ("run", 60)])
def test_a_part_of_all_calls(what, every):
    words = [sys.executable, "-m", "tests.faults.write_faults", f"--every={every}"]
    own = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([*words, f"--what={what}"], env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"calls of a {what}" in done.stdout
    assert "a line" in done.stdout or "status 2" in done.stdout
