"""Which of a run's saves is asked for: "best", "newest", or that of a step."""

from __future__ import annotations

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints

BEST, NEWEST = "best", "newest"


def check_choice(asked: str | int, checkpoints: Checkpoints) -> None:
    """Raises `UserError` where no such save is kept."""
    steps = checkpoints.finished()
    if asked in (BEST, NEWEST) or (str(asked).isdecimal() and int(asked) in steps):
        return
    kept = f"the saves of steps {', '.join(map(str, steps))}" if steps else "no save"
    raise UserError(
        f"checkpoint={asked!r}: {checkpoints.folder} holds {kept}; choose a step of these, "
        f"{BEST!r} or {NEWEST!r}"
    )


def step_of(asked: str | int, best: int, newest: int) -> int:
    """The step that is asked for, of a run whose newest whole save says which one is the best."""
    return {BEST: best, NEWEST: newest}.get(str(asked)) or int(asked)


def damaged(asked: str | int, checkpoints: Checkpoints) -> UserError:
    """The error of a save that is asked for by its step, and is not whole."""
    return UserError(
        f"checkpoint={asked!r}: that save in {checkpoints.folder} is damaged; choose "
        f"{BEST!r}, {NEWEST!r} or another step"
    )
