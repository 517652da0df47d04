"""Whole networks, built from the layers of :mod:`gatlib.nn`."""

from gatlib.models.graph_attention_network import Architecture, GraphAttentionNetwork

__all__ = ["Architecture", "GraphAttentionNetwork"]
