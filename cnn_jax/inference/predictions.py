"""What a net says of images: probabilities of classes, or numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from cnn_jax.data.dataset import Task
from cnn_jax.errors import printable
from cnn_jax.runtime import report

SHOWN = 10  # predictions in a repr


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Of one image: `outputs` are the classes' probabilities [K], or the one number."""

    name: str
    task: Task
    outputs: Float32[np.ndarray, " k"]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes, each with its probability; of equal ones the first."""
        order = np.argsort(-self.outputs, kind="stable")[:count]
        return [(self.task.classes[i], float(self.outputs[i])) for i in order]

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.top(1)[0][0]

    @property
    def probability(self) -> float:
        """That of the most probable class."""
        return float(self.outputs.max())

    @property
    def value(self) -> float:
        """The number, where the net was trained on numbers."""
        return float(self.outputs[0])

    def __repr__(self) -> str:
        if self.task.kind == "regression":
            return printable(f"{self.name}: {self.value:.4g} {self.task.unit}".rstrip())
        guesses = ", ".join(f"{name} {share:.3f}" for name, share in self.top(3))
        return printable(f"{self.name}: {guesses}")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Of several images, in order; `unreadable` names the others, with what is wrong with them."""

    names: list[str]
    task: Task
    outputs: Float32[np.ndarray, "n k"]
    unreadable: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def probabilities(self) -> Float32[np.ndarray, "n k"]:
        """Of the classes, in the order of `task.classes`."""
        return self.outputs

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.task.classes[i] for i in self.outputs.argmax(-1)]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Prediction:
        return Prediction(self.names[row], self.task, self.outputs[row])

    def __iter__(self) -> Iterator[Prediction]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        lines = [repr(self[row]) for row in range(min(len(self), SHOWN))]
        if len(self) > SHOWN:
            lines.append(f"... and {len(self) - SHOWN} more")
        if self.unreadable:
            lines.append(f"{len(self.unreadable)} unreadable: see .unreadable")
        return "\n".join(lines)


class Report(dict[str, Any]):
    """The figures of an evaluation, as report.json has them; shown as a table."""

    def __repr__(self) -> str:
        return report.as_text(self)
