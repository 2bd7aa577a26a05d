"""Trained weights: imported with proof, begun with, frozen in part, and read stage by stage."""
