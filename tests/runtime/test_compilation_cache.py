"""Programs compiled once are read from disk the second time, unless the user says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import jax, jax.numpy as jnp
from cnn_jax.runtime.compilation_cache import enable_compilation_cache
enable_compilation_cache()
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8)))
print(sum(event.endswith("cache_hits") for event in hits))
"""


def hits(home, **env):
    """How many programs a new process finds on disk."""
    done = run(home, **env)
    assert done.stderr == ""
    return int(done.stdout)


def run(home, **env):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
    env = kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | env
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.heavy
def test_the_second_process_compiles_nothing(tmp_path):
    assert hits(tmp_path) == 0
    assert hits(tmp_path) > 0
    assert list((tmp_path / ".cache/cnn_jax/compiled").glob("*/*-cache"))


@pytest.mark.heavy
def test_half_a_program_is_written_anew(tmp_path):
    """As a process leaves it that is killed while it writes."""
    assert hits(tmp_path) == 0
    (kept,) = (tmp_path / ".cache/cnn_jax/compiled").glob("*/jit__lambda*-cache")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    warned = run(tmp_path, PYTHONWARNINGS="default")
    assert warned.stderr == "warning: the program kept of jit__lambda is damaged: compiled anew\n"
    assert run(tmp_path).stderr == ""
    assert len(kept.read_bytes()) > len(whole) // 2


@pytest.mark.heavy
def test_the_users_own_choice_stands(tmp_path):
    assert hits(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == 0
    assert (tmp_path / "own").is_dir()
    assert not (tmp_path / ".cache").exists()


@pytest.mark.heavy
@pytest.mark.skipif(os.name != "posix", reason="/dev/null is no folder on POSIX")
def test_where_nothing_can_be_written_nothing_is_kept():
    assert hits("/dev/null") == 0
