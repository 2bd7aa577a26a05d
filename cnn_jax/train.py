"""Training and evaluation of one config in one workdir."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.data.normalization import FILE
from cnn_jax.errors import UserError
from cnn_jax.runtime import report, workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.metric_writers import Writers
from cnn_jax.runtime.preemption import Interrupted, Interruption
from cnn_jax.runtime.sharding import UnderWay
from cnn_jax.training import metrics
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.experiment import Run, make_run
from cnn_jax.training.train_state import TrainState
from cnn_jax.training.train_step import Carry


@dataclasses.dataclass
class Progress:
    """Where the loop stands beside the state on the device; saved with every checkpoint."""

    step: int = 0
    best_step: int = -1
    best_rank: tuple[float, float] | None = None
    evaluations_since_best: int = 0
    stopped: bool = False
    epoch_sums: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    rows_bytes: int = 0

    def add(self, sums: dict[str, tuple[float, int]]) -> None:
        """Counts the sums of a window into the epoch's."""
        for name, (total, count) in sums.items():
            old = self.epoch_sums.get(name, [0.0, 0])
            self.epoch_sums[name] = [old[0] + total, old[1] + count]

    def take_means(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: total / count for name, (total, count) in self.epoch_sums.items() if count}
        self.epoch_sums = {}
        return means

    def judge(self, rank: tuple[float, float], patience: int) -> None:
        """Takes in an evaluation at `step`; of two ranks the larger is better."""
        if np.isfinite(rank).all() and (self.best_rank is None or rank > tuple(self.best_rank)):
            self.best_step, self.best_rank, self.evaluations_since_best = self.step, rank, 0
        else:
            self.evaluations_since_best += 1
        self.stopped = 0 < patience <= self.evaluations_since_best


class Training:
    """One run under way: the loop and what it does between steps."""

    def __init__(self, run: Run, folder: Path):
        self.run, self.folder = run, folder
        self.checkpoints = Checkpoints(folder, run.config.checkpoint.keep)
        self.checkpoints.tidy()
        self.progress, self.carry = self.restore_or_init()
        self.writers = Writers(
            folder, run.clock.total_steps, self.progress.step, self.progress.rows_bytes
        )
        self.compiled = False

    def restore_or_init(self) -> tuple[Progress, Carry]:
        step = self.checkpoints.newest_whole()
        if step is None:
            if self.run.initial_weights and jax.process_index() == 0:
                workdir.write_json(self.folder / "init.json", self.run.initial_weights.record())
            return Progress(), self.run.steps.init()
        restored = self.checkpoints.restore(step, self.run.steps.abstract)
        progress = Progress(**restored.meta["progress"])
        self.checkpoints.prune(progress.best_step)
        return progress, restored.tree

    def loop(self) -> None:
        """Trains to the end, to an early stop, or to a signal."""
        run, clock, progress = self.run, self.run.clock, self.progress
        feed = self.feed = run.feed()
        evaluator = run.evaluator(run.monitor)
        under_way = UnderWay(run.devices.ahead)
        epochs = clock.epochs_seen(progress.step)
        with Interruption() as interruption, self.writers.progress(epochs):
            self.announce()
            while progress.step < clock.total_steps and not progress.stopped:
                step = progress.step
                count = run.agenda.steps_from(step, run.steps_together)
                self.carry, done = run.steps.train(self.carry, feed.batch_at(step), step, count)
                progress.step += count
                under_way.add(done)
                self.after_step(evaluator)
                if signum := interruption.asked(progress.step):
                    self.save()
                    self.checkpoints.wait()
                    raise Interrupted(signum, progress.step)

    def announce(self) -> None:
        """The lines above the log: what trains on what, from where, and what is doubtful in it."""
        run, step = self.run, self.progress.step
        size = sum(leaf.size for leaf in jax.tree.leaves(self.carry[0].variables["params"]))
        self.writers.say(
            f"{run.config.model.name} ({size:,} parameters) on {run.config.data.name} "
            f"({len(run.dataset.train):,} training examples), {run.clock.total_steps:,} steps of "
            f"{run.config.batch_size} on {run.devices.count} {jax.default_backend()} device(s)"
        )
        if step:
            self.writers.say(f"going on from step {step:,} in {self.folder}")
        elif run.initial_weights:
            for line in run.initial_weights.summary_lines():
                self.writers.say(line)
        self.writers.say(
            f"{run.monitor} figures are by {SINGLE}, the report on test by {run.protocol or SINGLE}"
        )
        for line in run.plan_lines():
            self.writers.say(line)
        for line in run.warnings:
            self.writers.say(f"warning: {line}")

    def after_step(self, evaluator: Evaluator) -> None:
        """Logs, evaluates and saves, each when it is time."""
        agenda, clock, step = self.run.agenda, self.run.clock, self.progress.step
        console = self.writers.console
        if console:
            console.advance(step, clock.epochs_seen(step))
        if not self.compiled:
            jax.block_until_ready(self.carry[0].step)
            self.compiled = True
            if console:
                console.restart_clock()
        if agenda.logs(step):
            self.log_window()
        if agenda.evaluates(step):
            self.evaluate(evaluator)
        if agenda.saves(step):
            self.save()

    def log_window(self) -> None:
        """Reads the means since the last window, checks them, and starts a new window."""
        state, running = self.carry
        self.check_finite()
        sums = metrics.sums(running)
        self.carry = state, self.run.steps.empty_metrics()
        self.progress.add(sums)
        means = {name: total / count for name, (total, count) in sums.items() if count}
        if not means:
            return
        step, speed = self.progress.step, 0.0
        row = {"step": step, "epoch": round(self.run.clock.epochs_seen(step), 6), **means}
        if self.run.config.log_every_steps:
            self.writers.row(row | {"learning_rate": self.learning_rate()})
        if self.writers.console:
            speed = self.writers.console.steps_per_second() * self.run.config.batch_size
            self.writers.console.figures(f"{report.brief(means)} {speed:,.0f} images/s")
        self.writers.scalars(step, {"images_per_second": speed})

    def check_finite(self) -> None:
        """Raises when a step since the last check gave a loss or a gradient that is not finite."""
        bad = int(self.carry[1].first_bad_step.value)
        if bad != metrics.NEVER:
            raise self.not_finite("loss or gradient", bad)

    def check_state_finite(self) -> None:
        """Raises when any number that a checkpoint would hold is not finite."""
        state = self.carry[0]
        finite = jax.device_get(self.run.steps.finite(state))
        if not finite.all():
            leaves = jax.tree_util.tree_leaves_with_path(state.numbers)
            name = jax.tree_util.keystr(leaves[finite.argmin()][0], simple=True, separator="/")
            raise self.not_finite(name, self.progress.step)

    def not_finite(self, what: str, step: int) -> UserError:
        self.checkpoints.wait()
        kept = self.checkpoints.steps()
        good = f"the checkpoint of step {kept[-1]} is kept" if kept else "no checkpoint was made"
        return UserError(
            f"{what} is not finite at step {step} (epoch "
            f"{self.run.clock.epochs_seen(step):.2f}); {good}; try a lower "
            f"optimizer.learning_rate (now {self.learning_rate():g}) or clip_norm"
        )

    def learning_rate(self) -> float:
        """The rate of the last update."""
        rate = float(self.run.schedule(self.progress.step - 1))
        plateau = self.carry[0].plateau
        return rate if plateau is None else rate * float(plateau.scale)

    def evaluate(self, evaluator: Evaluator) -> None:
        """Evaluates the watched split; writes the epoch's row; judges it for best and stop."""
        run, progress, task = self.run, self.progress, self.run.dataset.task
        state = self.carry[0]
        found = metrics.summarise(task, evaluator(state))
        train = progress.take_means()
        row = {
            "step": progress.step,
            "epoch": round(run.clock.epochs_seen(progress.step), 6),
            **{f"train/{name}": value for name, value in train.items()},
            **{f"{run.monitor}/{name}": value for name, value in found.items()},
            "protocol": SINGLE,
            "learning_rate": self.learning_rate(),
        }
        self.writers.row(row)
        self.writers.say(self.line(row))
        if run.plateau is not None:
            _, plateau = jax.jit(run.plateau.update)((), state.plateau, value=found["loss"])
            self.carry = state.replace(plateau=run.devices.replicate(plateau)), self.carry[1]
        patience = run.config.early_stopping_patience
        progress.judge(metrics.rank(task, found), patience)
        if run.monitor == "test":  # never choose by the test split
            progress.best_step, progress.stopped = progress.step, False
        if progress.stopped:
            self.writers.say(
                f"stopped early: no better {run.monitor} figures for {patience} evaluations; "
                f"the best were at step {progress.best_step}"
            )

    def line(self, row: dict[str, float]) -> str:
        """One evaluation for people: training and watched figures side by side."""
        parts = [f"epoch {row['epoch']:5.2f}"]
        for part in ("train", self.run.monitor):
            figures = {k.split("/")[1]: v for k, v in row.items() if k.startswith(f"{part}/")}
            parts.append(f"{part} {report.brief(figures)}")
        if self.writers.console and not self.writers.console.bar:  # the bar shows it
            speed = self.writers.console.steps_per_second() * self.run.config.batch_size
            parts.append(f"{speed:,.0f} images/s")
        return " | ".join(parts)

    def save(self) -> None:
        """Starts a checkpoint of this very step, unless a number in it is not finite."""
        self.check_finite()
        self.check_state_finite()
        self.progress.rows_bytes = self.writers.sync()
        meta = {
            "progress": dataclasses.asdict(self.progress),
            "config": workdir.flat(self.run.config),
            "versions": workdir.versions(),
        }
        self.checkpoints.save(self.progress.step, self.carry, meta, self.progress.best_step)

    def best_state(self) -> TrainState:
        """The state of the best evaluation; that of the newest whole checkpoint if it is lost."""
        self.checkpoints.wait()
        step = self.checkpoints.newest_whole(self.progress.best_step)
        if step is None or step == self.progress.step:
            return self.carry[0]
        return self.checkpoints.restore(step, self.run.steps.abstract).tree[0]

    def close(self) -> None:
        self.feed.close()
        self.writers.close()
        self.checkpoints.close()


def train_and_evaluate(config: ConfigDict, folder: str) -> dict[str, Any]:
    """Trains `config` in `folder`, going on from its newest whole checkpoint, and reports.

    Returns the report of the best checkpoint on the test split. Raises `UserError` for what a user
    can mend, and `Interrupted` after a signal, with everything saved.
    """
    workdir.check(folder, config)  # before the data is loaded, and before anything is written
    is_new_run = not Checkpoints(folder).steps()
    run = make_run(config, is_new_run=is_new_run, folder=Path(folder))
    with workdir.enter(folder, config):
        keep_data(run, Path(folder), is_new_run)
        training = Training(run, Path(folder))
        try:
            training.loop()
            return finish(training)
        finally:
            training.close()


def keep_data(run: Run, folder: Path, is_new_run: bool) -> None:
    """Keeps the split and the constants of the training data, or holds the run to those kept."""
    workdir.keep_split(folder, run.dataset.parts)
    if jax.process_index() == 0 and (is_new_run or not (folder / FILE).exists()):
        run.recipe.constants.write(folder)


def finish(training: Training) -> dict[str, Any]:
    """The end of a run: the best state on the test split, the report and the curves."""
    found = write_report(training.run, training.best_state(), "test", training.folder)
    if jax.process_index() == 0:
        report.draw_curves(training.folder / "metrics.jsonl", training.folder / "curves.png")
    training.writers.say("\n" + report.as_text(found))
    training.writers.say(f"\nreport.json, curves.png and metrics.jsonl are in {training.folder}")
    return found


def write_report(run: Run, state: TrainState, split: str, folder: Path) -> dict[str, Any]:
    """The full report of `state` on `split`, also as report.json in `folder`."""
    found = metrics.report(run.dataset.task, run.evaluator(split, run.protocol)(state))
    protocol = str(run.protocol or SINGLE)
    found = {"split": split, "protocol": protocol, "dataset": run.config.data.name} | found
    if jax.process_index() == 0:
        workdir.write_json(folder / "report.json", found)
    return found


def evaluate_only(config: ConfigDict, folder: str) -> dict[str, Any]:
    """Restores the best checkpoint of a trained `folder` and reports on the test split."""
    if not (Path(folder) / "config.json").exists():
        raise UserError(f"workdir={folder!r} holds no run: train first, or name another --workdir")
    workdir.check(folder, config)
    run = make_run(config, is_new_run=False, folder=Path(folder))
    with workdir.enter(folder, config):
        keep_data(run, Path(folder), is_new_run=False)
        checkpoints = Checkpoints(folder, config.checkpoint.keep)
        newest = checkpoints.newest_whole()
        if newest is None:
            raise UserError(f"workdir={folder!r} holds no whole checkpoint: train first")
        restored = checkpoints.restore(newest, run.steps.abstract)
        best = checkpoints.newest_whole(restored.meta["progress"]["best_step"])
        if best != newest:
            restored = checkpoints.restore(best, run.steps.abstract)
        found = write_report(run, restored.tree[0], "test", Path(folder))
        if jax.process_index() == 0:
            print(f"checkpoint of step {restored.step} ({checkpoints.path(restored.step)})")
            print(report.as_text(found))
        return found
