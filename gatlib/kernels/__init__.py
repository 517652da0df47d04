"""Implementations of edge attention; `gatlib.nn.functional` is the door to them."""
