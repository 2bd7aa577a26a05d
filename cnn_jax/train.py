"""Training and evaluation of one config in one workdir."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import jax
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.runtime import report, report_pictures, workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.metric_writers import Writers
from cnn_jax.runtime.preemption import Interrupted, Interruption
from cnn_jax.runtime.stores.copies import in_words
from cnn_jax.runtime.stores.mirror import Mirror, opened_workdir
from cnn_jax.training import metrics, reporting
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.experiment import Experiment, check_config, make_experiment
from cnn_jax.training.gradient_flow import FlowRecorder
from cnn_jax.training.recovery import Recovery, Verdict, diverged, not_finite, with_rate
from cnn_jax.training.run_identity import describe, hold_resume_to, keep_data
from cnn_jax.training.run_progress import RunProgress
from cnn_jax.training.train_state import TrainState
from cnn_jax.training.train_step import TrainCarry, rate_of


def train_and_evaluate(
    config: ConfigDict,
    folder: str,
    extend: bool = False,
    dataset: Dataset | None = None,
    quiet: bool = False,
    on_step: Callable[[int, int], object] = lambda step, steps: None,
) -> dict[str, Any]:
    """Trains `config` in `folder`, going on from its newest whole checkpoint, and reports.

    To `extend` a run, finished or not, `config` has more epochs (and patience) than it began with:
    the schedule is that of the new number from the newest checkpoint on. A `dataset` that is given
    takes the place of the config's. `quiet` leaves the lines of the log out, not its files.
    `on_step` is called with the steps that are done, and that there are, as they are made.

    Returns the report of the best checkpoint on test, on validation where there is no test. Raises
    `UserError` for what a user can mend, and `Interrupted` after a signal, with everything saved.
    """
    with opened_workdir(folder) as (place, mirror):
        is_new_run = Checkpoints(place).is_empty()
        # A wrong value is said before the workdir and the data.
        check_config(config, is_new_run, place)
        workdir.check(place, config, extend)  # before data is loaded, and anything written
        experiment = make_experiment(config, dataset, is_new_run, place)
        with workdir.enter(place, config, extend):
            keep_data(experiment, place, is_new_run, extend)
            training = Training(experiment, place, extend, quiet, mirror)
            try:
                for step in training:
                    on_step(step, experiment.clock.total_steps)
                return finish(training)
            finally:
                training.close()


class Training:
    """One run under way: iterating over it trains, and yields after each call to the device."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        extend: bool = False,
        quiet: bool = False,
        mirror: Mirror | None = None,
    ):
        self.experiment, self.folder, self.extend = experiment, folder, extend
        self.identity = describe(experiment)
        self.checkpoints = Checkpoints(folder, experiment.config.checkpoint.keep, mirror)
        self.checkpoints.tidy()
        self.progress, carry = self.restore()
        self.steps = experiment.step_loop(carry, self.progress.step)
        step, rows_bytes = self.progress.step, self.progress.rows_bytes
        self.writers = Writers(folder, experiment.clock.total_steps, step, rows_bytes, quiet)
        self.flow = FlowRecorder(experiment, folder, self.progress.step)
        self.recovery = Recovery(experiment, folder, self.writers.say)
        self.compiled, self.interruption = False, Interruption()

    def restore(self) -> tuple[RunProgress, TrainCarry | None]:
        """Progress and carry of the newest whole checkpoint; no carry where there is none."""
        initial_weights = self.experiment.initial_weights
        step = self.checkpoints.latest_valid()
        if step is None:
            if initial_weights and jax.process_index() == 0:
                workdir.write_json(self.folder / "init.json", initial_weights.record())
            return RunProgress(), None
        restored = self.checkpoints.restore(step, self.experiment.compiled.abstract.as_saved())
        hold_resume_to(self.experiment, self.folder, step, restored.meta, self.extend)
        progress = RunProgress(**restored.meta["progress"])
        if self.extend:
            progress.go_on(self.experiment.config.early_stopping_patience)
        self.checkpoints.prune(progress.best_step)
        carry = TrainCarry.from_saved(restored.tree)
        return progress, with_rate(self.experiment, carry, progress.rate_factor)

    def __iter__(self) -> Iterator[int]:
        """The steps done, to the end, to an early stop, or to a signal."""
        evaluator = self.experiment.evaluator(self.experiment.monitor)
        epochs = self.experiment.clock.epochs_seen(self.progress.step)
        with self.interruption, self.writers.progress(epochs):
            self.log_setup()
            self.evaluate_if_due(evaluator)
            if self.progress.stopped:
                return
            for step in self.steps:
                self.progress.step = step
                if self.recover():
                    self.evaluate_if_due(evaluator)
                else:
                    self.after_step(evaluator)
                if signum := self.interruption.requested(step):
                    self.stop(signum)
                yield self.progress.step
                if self.progress.stopped:
                    return

    def evaluate_if_due(self, evaluator: Evaluator) -> None:
        """Makes the evaluation that a signal ended before the checkpoint was made."""
        if self.progress.evaluation_due:
            self.evaluate(evaluator)
            self.save()

    def recover(self, now: bool = False) -> bool:
        """Where a step was not finite, does what `on_nan` says; whether the run went back for it.

        That is seen when the state is to be read, or `now`.
        """
        if not (now or self.experiment.step_schedule.is_event(self.progress.step)):
            return False
        verdict = self.recovery.settle(self.steps)
        if verdict and self.recovery.on_nan == "rollback":
            self.go_back(verdict)
            return True
        if verdict:
            self.recovery.skip(self.steps, verdict)
        self.progress.step = self.steps.step
        return False

    def go_back(self, verdict: Verdict) -> None:
        """To the newest whole checkpoint, or the start, with a lower rate from there on."""
        factor = self.progress.rate_factor * self.experiment.config.on_nan_factor
        self.recovery.check_return(verdict, self.learning_rate())
        self.checkpoints.wait()
        self.progress, carry = self.restore()
        carry = carry or self.experiment.compiled.init()
        self.progress.rate_factor, step = factor, self.progress.step
        self.steps.step, self.steps.carry = step, with_rate(self.experiment, carry, factor)
        self.writers.go_back(step, self.progress.rows_bytes)
        self.flow = FlowRecorder(self.experiment, self.folder, step)
        self.writers.say(
            f"warning: {verdict}; going back to step {step}, with {factor:g} of the rate"
        )

    def after_step(self, evaluator: Evaluator) -> None:
        """Logs, evaluates and saves, each when it is time."""
        events, step = self.experiment.step_schedule, self.progress.step
        console = self.writers.console
        if console:
            console.advance(step, self.experiment.clock.epochs_seen(step))
        if not self.compiled:
            self.steps.wait()
            self.compiled = True
            if console:
                console.restart_clock()
        if events.logs(step):
            self.log_window()
        if events.logs_flow(step):
            self.flow.record(step, self.steps.carry.state)
        if events.evaluates(step):
            self.evaluate(evaluator)
        if events.saves(step):
            self.save()

    def stop(self, signum: int) -> NoReturn:
        """Saves, and ends the run as a signal asks."""
        self.recover(now=True)
        self.save()
        self.checkpoints.wait()
        raise Interrupted(signum, self.progress.step)

    def stop_evaluation(self) -> None:
        """Ends an evaluation that a signal cannot wait for; it is made after the resume.

        Not with several processes: they agree on a step.
        """
        if self.interruption.signum is not None:
            self.stop(self.interruption.signum)

    def log_setup(self) -> None:
        """The lines above the log: what trains on what, from where, and what is doubtful in it."""
        weights, step = self.experiment.initial_weights, self.progress.step
        start, place = weights.summary_lines() if weights else [], in_words(self.folder)
        if self.is_finished():
            start = [
                f"finished in {place}: {step:,} steps are done; it is reported again (more",
                "epochs: --config.epochs=N --extend; after an early stop also more patience)",
            ]
        elif step:
            start = [f"going on from step {step:,} in {place}"]
        for line in reporting.opening_lines(self.experiment, start):
            self.writers.say(line)

    def is_finished(self) -> bool:
        """Whether nothing is left to train: the last step is done, or it was stopped early."""
        progress, steps = self.progress, self.experiment.clock.total_steps
        return progress.stopped or (0 < steps <= progress.step and not progress.evaluation_due)

    def log_window(self) -> None:
        """Reads the means since the last window, checks them, and starts a new window."""
        self.check_finite()
        sums = metrics.sums(self.steps.carry.metrics)
        empty = self.experiment.compiled.empty_metrics()
        self.steps.carry = self.steps.carry._replace(metrics=empty)
        self.progress.add(sums)
        means = {name: total / count for name, (total, count) in sums.items() if count}
        if not means:
            return
        step, speed = self.progress.step, 0.0
        row = {"step": step, "epoch": self.rounded_epoch(), **means}
        if self.experiment.config.log_every_steps:
            self.writers.row(row | {"learning_rate": self.learning_rate()})
        if self.writers.console:
            speed = self.writers.console.steps_per_second() * self.experiment.config.batch_size
            self.writers.console.figures(f"{report.brief(means)} {speed:,.0f} images/s")
        self.writers.scalars(step, {"images_per_second": speed})

    def evaluate(self, evaluator: Evaluator) -> None:
        """Evaluates the watched split; writes the epoch's row; records it for best and stop."""
        progress, monitor = self.progress, self.experiment.monitor
        task = self.experiment.dataset.task
        progress.evaluation_due = True
        examples = evaluator(self.steps.carry.state, self.stop_evaluation)
        progress.evaluation_due = False
        result = metrics.summarise(task, examples)
        row = {
            "step": progress.step,
            "epoch": self.rounded_epoch(),
            **{f"train/{name}": value for name, value in progress.take_means().items()},
            **{f"{monitor}/{name}": value for name, value in result.items()},
            "protocol": SINGLE,
            "learning_rate": self.learning_rate(),
        }
        self.writers.row(row)
        self.writers.say(self.line(row))
        self.update_plateau(result["loss"])
        patience = self.experiment.config.early_stopping_patience
        progress.record_evaluation(metrics.selection_metric(task, result), patience)
        if monitor == "test":  # never choose by the test split
            progress.best_step, progress.stopped = progress.step, False
        if progress.stopped:
            self.writers.say(
                f"stopped early: no better {monitor} figures for {patience} evaluations; "
                f"the best were at step {progress.best_step}"
            )

    def update_plateau(self, loss: float) -> None:
        """Lowers the learning rate where the watched loss no longer falls."""
        plateau, state = self.experiment.lr_plateau, self.steps.carry.state
        if plateau is None:
            return
        _, plateau_state = jax.jit(plateau.update)((), state.lr_plateau_state, value=loss)
        plateau_state = self.experiment.devices.replicate(plateau_state)
        state = state.replace(lr_plateau_state=plateau_state)
        self.steps.carry = self.steps.carry._replace(state=state)

    def rounded_epoch(self) -> float:
        return round(self.experiment.clock.epochs_seen(self.progress.step), 6)

    def learning_rate(self) -> float:
        """The rate of the last update."""
        rate = float(self.experiment.lr_schedule(self.progress.step - 1))
        factor = rate_of(self.steps.carry.state)
        return rate if factor is None else rate * float(factor)

    def line(self, row: dict[str, Any]) -> str:
        """One evaluation for people; off a terminal with the speed, which the bar shows."""
        monitor, console = self.experiment.monitor, self.writers.console
        text = reporting.evaluation_line(row, monitor, len(self.experiment.dataset.split(monitor)))
        if console and not console.bar:
            speed = console.steps_per_second() * self.experiment.config.batch_size
            text += f" | {speed:,.0f} images/s"
        return text

    def check_finite(self, whole: bool = False) -> None:
        """Raises when a step since the last check gave a loss or a gradient that is not finite.

        With `whole` also when any number is not finite that a checkpoint would hold.
        """
        found = not_finite(self.experiment, self.steps.carry, whole)
        if found is None:
            return
        what, step = found
        self.checkpoints.wait()
        at = f"step {step} (epoch {self.experiment.clock.epochs_seen(step):.2f})"
        raise diverged(what, at, self.learning_rate(), self.checkpoints.steps())

    def save(self) -> None:
        """Starts a checkpoint of this very step, unless a number in it is not finite."""
        self.check_finite(whole=True)
        progress = self.progress
        progress.rows_bytes = self.writers.sync()
        meta = {"progress": dataclasses.asdict(progress), **self.identity}
        tree = self.steps.carry.as_saved()
        self.checkpoints.save(progress.step, tree, meta, progress.best_step)

    def best_state(self) -> TrainState:
        """The state of the best evaluation; that of the newest whole checkpoint if it is lost."""
        self.checkpoints.wait()
        step = self.checkpoints.latest_valid(self.progress.best_step)
        if step is None or step == self.progress.step:
            return self.steps.carry.state
        saved_form = self.experiment.compiled.abstract.as_saved()
        return TrainCarry.from_saved(self.checkpoints.restore(step, saved_form).tree).state

    def close(self) -> None:
        self.steps.close()
        self.writers.close()
        self.checkpoints.close()


def finish(training: Training) -> dict[str, Any]:
    """The end of a run: the best state on the test split, the report and the curves."""
    folder, say = training.folder, training.writers.say
    experiment, progress = training.experiment, training.progress
    reported, place = experiment.dataset.reported, reporting.report_folder(experiment, folder)
    result = reporting.write_report(experiment, training.best_state(), reported, place)
    if jax.process_index() == 0:
        title = f"{experiment.config.name}, {experiment.config.data.name}, seed "
        title += str(experiment.config.seed)
        files = folder / "metrics.jsonl", folder / "curves.png"
        report_pictures.draw_curves(*files, title, progress.best_step)
        training.flow.draw(title)
    epoch = experiment.clock.epochs_seen(result["step"])
    say("\n" + report.origin_text(result, epoch, experiment.monitor))
    say(report.as_text(result))
    say(f"\nreport.json, its pictures, curves.png and metrics.jsonl are in {in_words(folder)}")
    if place != folder:  # by another protocol than the report that is there
        say(f"but this report, which is in {in_words(place)}")
    return result
