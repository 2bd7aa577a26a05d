"""Numbers that are not finite, put into a run at chosen steps."""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.training import compiled_steps, nonfinite, train_step

KINDS = ("loss", "gradient", "statistics", "average")


class NonFiniteFaults:
    """Numbers that are not finite, at chosen steps of a run: {step: (kind, how many times)}."""

    def __init__(self, monkeypatch):
        self.planned, self.examined_step, self.step = {}, 0, None
        real_step, real_gradients = train_step.train_step, train_step.gradients

        def gradients(*arguments):
            grads, stats, figures = real_gradients(*arguments)
            loss, gradient, statistics = self.factors(self.step, *KINDS[:3])
            scaled = lambda tree, by: jax.tree.map(lambda x: x * by, tree)  # noqa: E731
            figures = {**figures, "loss": figures["loss"] * loss}
            return scaled(grads, gradient), scaled(stats, statistics), figures

        def step(spec, carry, batch, *arguments, **options):
            self.step = carry.state.step + 1
            new = real_step(spec, carry, batch, *arguments, **options)
            (average,) = self.factors(self.step, "average")
            self.step = None
            scaled = jax.tree.map(lambda x: x * average, new.state.ema_variables)
            return new._replace(state=new.state.replace(ema_variables=scaled))

        monkeypatch.setattr(train_step, "gradients", gradients)
        monkeypatch.setattr(compiled_steps, "train_step", step)

        def examined(*arguments):
            self.step = jnp.int32(self.examined_step)
            found = gradients(*arguments)
            self.step = None
            return found

        monkeypatch.setattr(nonfinite, "gradients", examined)

    def factors(self, step, *kinds):
        """1, or NaN where a fault of that kind is due; it is then made once less."""

        def look(step):
            kind, times = self.planned.get(int(step), ("", 0))
            if kind in kinds and times:
                self.planned[int(step)] = (kind, times - 1)
            return [np.float32(np.nan if k == kind and times else 1) for k in kinds]

        one = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.experimental.io_callback(look, [one] * len(kinds), step)
