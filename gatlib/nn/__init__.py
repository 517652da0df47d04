"""Graph attention layers with the contract of `torch_geometric.nn`, and what graph transformers are made of."""

from gatlib.nn.edge_set import adjacent_edges
from gatlib.nn.encodings import (
    AddHeatKernelEncoding,
    AddLaplacianEncoding,
    AddRandomWalkEncoding,
    DegreeEncoding,
    LearnedEncoding,
    ShortestPathEncoding,
    SignInvariantEncoding,
    flip_signs,
    heat_kernel_encoding,
    laplacian_encoding,
    random_walk_encoding,
    sinusoidal_encoding,
)
from gatlib.nn.full_attention import FullAttention, TruncatedAttention
from gatlib.nn.functional import edge_attention
from gatlib.nn.gat_conv import GATConv
from gatlib.nn.gatv2_conv import GATv2Conv
from gatlib.nn.graph_transformer_block import GraphTransformerBlock
from gatlib.nn.linear_attention import LinearAttention
from gatlib.nn.losses import AdditiveMarginSoftmax
from gatlib.nn.pairs import all_pairs, pairs_of_edges, pairs_within, shortest_path_distances
from gatlib.nn.pooling import GatedAttentionPooling, MultiheadAttentionPooling, SetTransformerPooling
from gatlib.nn.readouts import EdgeReadout, GraphReadout, NodeReadout
from gatlib.nn.sequence_readout import SequenceReadout
from gatlib.nn.transformer_conv import TransformerConv

__all__ = [
    "AddHeatKernelEncoding",
    "AddLaplacianEncoding",
    "AddRandomWalkEncoding",
    "AdditiveMarginSoftmax",
    "DegreeEncoding",
    "EdgeReadout",
    "FullAttention",
    "GATConv",
    "GATv2Conv",
    "GatedAttentionPooling",
    "GraphReadout",
    "GraphTransformerBlock",
    "LearnedEncoding",
    "LinearAttention",
    "MultiheadAttentionPooling",
    "NodeReadout",
    "SequenceReadout",
    "SetTransformerPooling",
    "ShortestPathEncoding",
    "SignInvariantEncoding",
    "TransformerConv",
    "TruncatedAttention",
    "adjacent_edges",
    "all_pairs",
    "edge_attention",
    "flip_signs",
    "heat_kernel_encoding",
    "laplacian_encoding",
    "pairs_of_edges",
    "pairs_within",
    "random_walk_encoding",
    "shortest_path_distances",
    "sinusoidal_encoding",
]
