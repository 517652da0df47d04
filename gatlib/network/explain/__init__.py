"""Why a node of a network gets its class: which neighbours and attributes mattered, and the attention weights."""

from gatlib.network.explain.explanation import NodeExplanation
from gatlib.network.explain.node import explain_node

__all__ = ["NodeExplanation", "explain_node"]
