"""Graph attention layers with the contract of `torch_geometric.nn`: change one import line."""

from gatlib.nn.functional import edge_attention
from gatlib.nn.gat_conv import GATConv
from gatlib.nn.gatv2_conv import GATv2Conv
from gatlib.nn.transformer_conv import TransformerConv

__all__ = ["GATConv", "GATv2Conv", "TransformerConv", "edge_attention"]
