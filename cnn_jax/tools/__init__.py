"""Command-line tools, one verb each: `python -m cnn_jax.tools.VERB`."""
