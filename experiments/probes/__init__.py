"""What claims measure beside the figures of training: `function(config, folder)` -> numbers."""
