"""Experiments: networks and baselines on the same split, their results, tables and pictures."""
