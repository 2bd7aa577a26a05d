"""Weights from elsewhere: their names, their layouts, and the proof that they compute the same."""
