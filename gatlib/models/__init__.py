"""Whole networks, built from the layers of :mod:`gatlib.nn`."""

from gatlib.models.architecture import Architecture
from gatlib.models.graph_attention_network import GraphAttentionNetwork

__all__ = ["Architecture", "GraphAttentionNetwork"]
