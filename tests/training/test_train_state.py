"""What a checkpoint holds keeps its names on disk, whatever the fields are called."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.train_step import TrainCarry


class EarlierState(flax.struct.PyTreeNode):
    """The fields as they were named when the first checkpoints were written."""

    step: jax.Array
    params: object
    batch_stats: object
    opt_state: object
    average: object = None
    plateau: object = None
    frozen: object = None


def test_a_checkpoint_under_the_earlier_names_is_read(tiny, tmp_path):
    tiny.average_decay, tiny.schedule.name, tiny.schedule.gamma = 0.9, "plateau", 0.5
    experiment = make_experiment(tiny)
    carry = experiment.compiled.init()
    state = carry.state.replace(step=jnp.int32(7))
    earlier = EarlierState(
        step=state.step,
        params=state.params,
        batch_stats=state.batch_stats,
        opt_state=state.opt_state,
        average=jax.tree.map(lambda x: x + 1, state.ema_variables),
        plateau=state.lr_plateau_state,
        frozen=state.frozen,
    )
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(7, (earlier, carry.metrics), {}, best=7)
    checkpoints.wait()
    saved = checkpoints.restore(7, experiment.compiled.abstract.as_saved()).tree
    checkpoints.close()
    restored = TrainCarry.from_saved(saved)
    assert int(restored.state.step) == 7
    jax.tree.map(np.testing.assert_array_equal, restored.state.ema_variables, earlier.average)
    jax.tree.map(np.testing.assert_array_equal, restored.state.params, state.params)
    jax.tree.map(np.testing.assert_array_equal, restored.metrics, carry.metrics)
