"""From a split to the batches of compiled steps."""
