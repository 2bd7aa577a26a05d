"""Runs of several processes of which one is killed, or frozen, at a random moment.

    python -m tests.faults.peers --rounds=10 --processes=2 [--seed=0] [--silence=10]
        [--verdicts=FILE]

The others must end by themselves within a minute, with a status that is not 0 and words that name
the process that is gone; and the same command must then go on to the bits of an undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.kill_many import finish, left_behind
from tests.support import commands

MINUTE = 60


def named(words: str, lost: int) -> str:
    """How the words of those that go on name the one that is lost; "" where they do not."""
    if re.search(rf"heartbeats\):\n(\d+\n)*{lost}\b|: process {lost} of the run", words):
        return "by number"
    # JAX says no number of process 0, which runs the service that all report to.
    if lost == 0 and re.search(r"leader|CoordinationService/Heartbeat", words):
        return "as the service"
    others = re.search(r"one of processes ([\d, ]+) of the run", words)
    return "as one of several" if others and str(lost) in others[1].split(", ") else ""


class Peers:
    """As many processes that nothing happens to, for their bits; then rounds."""

    def __init__(self, folder: Path, processes: int, silence: int):
        self.folder, self.processes = folder, processes
        self.variables = {"CNN_JAX_HEARTBEAT_SECONDS": str(silence)}
        for command in commands.together(self.words("whole"), processes):
            finish(command)
        self.wanted = left_behind(folder / "whole")

    def words(self, name: str) -> list[str]:
        return [f"--config={commands.CONFIG}", f"--workdir={self.folder / name}"]

    def round(self, choose: random.Random) -> dict[str, Any]:
        shutil.rmtree(self.folder / "hurt", ignore_errors=True)
        group = commands.together(self.words("hurt"), self.processes, **self.variables)
        lost = choose.randrange(self.processes)
        how = choose.choice([signal.SIGKILL, signal.SIGSTOP])
        while group[0].process.is_alive() and " steps of " not in group[0].out:
            time.sleep(0.001)
        time.sleep(choose.uniform(0, 1))
        group[lost].send(how)
        begun = time.monotonic()
        others = [command for index, command in enumerate(group) if index != lost]
        statuses = []
        for command in others:
            try:
                statuses.append(command.wait(max(1.0, begun + MINUTE - time.monotonic())))
            except TimeoutError:
                statuses.append(None)
        seconds = time.monotonic() - begun
        group[lost].kill()
        words = "\n".join(command.err for command in others)
        done = 0 in statuses  # it was lost when all was done
        found = {
            "lost": lost,
            "how": how.name,
            "seconds": round(seconds, 1),
            "statuses": statuses,
            "named": named(words, lost),
            "lines": len(words.splitlines()),
            "done": done,
        }
        for command in commands.together(self.words("hurt"), self.processes, **self.variables):
            finish(command)
        found["same bits"] = left_behind(self.folder / "hurt") == self.wanted
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--silence", type=int, default=30)
    parser.add_argument("--verdicts", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(Path(folder), options.processes, options.silence)
        failed = 0
        for number in range(options.rounds):
            found = peers.round(random.Random(f"{options.seed} {number}"))
            bounded = None not in found["statuses"] and found["same bits"]
            failed += not (bounded and (found["named"] or found["done"]))
            print(json.dumps(found), flush=True)
            if options.verdicts:
                with options.verdicts.open("a") as file:
                    print(json.dumps(found), file=file)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
