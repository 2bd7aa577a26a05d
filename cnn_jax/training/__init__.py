"""From a config to compiled steps, and what they measure."""
