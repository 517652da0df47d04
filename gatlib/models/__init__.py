"""Whole networks, built from the layers of :mod:`gatlib.nn`."""

from gatlib.models.architecture import Architecture
from gatlib.models.graph_attention_network import GraphAttentionNetwork
from gatlib.models.link_attention_network import LinkAttentionNetwork
from gatlib.models.node_architecture import NodeArchitecture
from gatlib.models.node_attention_network import NodeAttentionNetwork

__all__ = [
    "Architecture",
    "GraphAttentionNetwork",
    "LinkAttentionNetwork",
    "NodeArchitecture",
    "NodeAttentionNetwork",
]
