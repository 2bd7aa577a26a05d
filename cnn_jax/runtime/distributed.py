"""One run in several processes."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import time
from collections.abc import Iterator

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import is_of_a_peer

SILENCE = "CNN_JAX_HEARTBEAT_SECONDS"
SECONDS = 30  # JAX's own 100 leave a run of many chips waiting for minutes
NAMING = 5  # seconds that the service's verdict takes to come


def join_processes() -> None:
    """`jax.distributed` as the cluster says, or these variables: JAX_COORDINATOR_ADDRESS
    (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0).
    """
    import jax

    silence = silence_allowed()
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    set_names = [name for name in names if name in os.environ]
    if set_names and len(set_names) < len(names):
        raise UserError(f"--distributed: {set_names[0]} is set, so set all of {', '.join(names)}")
    if not set_names:
        jax.distributed.initialize(heartbeat_timeout_seconds=silence)
        return
    address, count, index = (os.environ[name] for name in names)
    if not (count.isdigit() and index.isdigit() and int(index) < int(count)):
        raise UserError(f"--distributed: JAX_PROCESS_ID={index} of JAX_NUM_PROCESSES={count}")
    jax.distributed.initialize(address, int(count), int(index), heartbeat_timeout_seconds=silence)


def silence_allowed() -> int:
    """Seconds without a word of a process after which the others end; raises `UserError`."""
    text = os.environ.get(SILENCE, str(SECONDS))
    if not (text.isdecimal() and int(text) >= 1):
        raise UserError(f"{SILENCE}={text!r}: choose whole seconds, 1 or more")
    return int(text)


@contextlib.contextmanager
def naming_peers() -> Iterator[None]:
    """Raises `UserError` where a wait within failed because another process is gone."""
    import jax

    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if jax.process_count() == 1 or not is_of_a_peer(error):
            raise
        lost = peer_lost(error, jax.process_index(), jax.process_count())
        if jax.process_count() > 2:
            wait_for_name(lost)
        raise lost from error


def wait_for_name(lost: UserError) -> None:
    """Says what is known, and leaves JAX's service the time to name the process that is gone.

    The service ends this process then, with its own words, as it would if it had not noticed. The
    stack that Python prints of an abort says nothing that helps, and would stand below the name.
    """
    seconds = silence_allowed() + NAMING
    print(
        f"error: {lost}; JAX says within {seconds} s which one it is", file=sys.stderr, flush=True
    )
    faulthandler.disable()
    time.sleep(seconds)


def peer_lost(error: Exception, index: int, count: int) -> UserError:
    """The error of process `index` of `count`."""
    others = [str(other) for other in range(count) if other != index]
    which = f"process {others[0]}" if len(others) == 1 else f"one of processes {', '.join(others)}"
    reason = str(error).partition("\n")[0][:200]
    return UserError(
        f"{which} of the run has ended or hangs, says process {index} of {count} ({reason}); give "
        "all of them the same command again: the run goes on from its newest checkpoint"
    )


def leave_processes() -> None:
    """Waits for the others to end too: process 0, to which they report, must be the last."""
    import jax

    jax.distributed.shutdown()
