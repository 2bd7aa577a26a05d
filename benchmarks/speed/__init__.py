"""Training, inference and single operations, by themselves and beside PyTorch."""
