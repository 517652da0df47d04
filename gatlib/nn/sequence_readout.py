"""A sequence read from each graph, as long as the model decides: a transformer decoder over the graph's nodes."""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

from gatlib.kernels.exact_gradients import exact_gradients
from gatlib.kernels.one_node import one_node
from gatlib.nn.checks import check_nodes, describe
from gatlib.nn.encodings.position import sinusoidal_encoding

# What a decoder layer keeps from one token to the next is held per graph (G), for all of its beams (W) at once.


class Beams(NamedTuple):
    """The likeliest sequences of one graph, best first, and their log probabilities ``[len(sequences)]``."""

    sequences: list[Tensor]
    log_probs: Tensor


class _Past(NamedTuple):
    """Keys and values that one layer has computed: of the nodes once, of the tokens so far one after the other."""

    node_keys: Tensor  # [G, H, N, C / H]
    node_values: Tensor
    keys: Tensor  # [G, W, H, tokens, C / H]
    values: Tensor


class SequenceReadout(nn.Module):
    r"""The decoder of `"Attention Is All You Need" <https://arxiv.org/abs/1706.03762>`_ over the nodes of each graph.

    .. math::
        p(\mathbf{s} \mid \mathcal{G}) = \prod_t p(s_t \mid s_1, \ldots, s_{t-1}, \mathcal{G}), \qquad
        p(s_t \mid \ldots) = \mathrm{softmax}(\mathbf{W} \, \mathrm{LayerNorm}(\mathbf{h}_t) + \mathbf{b})

    where :math:`\mathbf{h}_t` comes from the embedding of :math:`s_{t-1}` (:math:`s_0` is the start token) and its
    position, sines and cosines of wavelengths from :math:`2 \pi` to :math:`20000 \pi`, through layers that each add

    .. math::
        \mathrm{Attention}(\mathbf{h}_t; \mathbf{h}_1, \ldots, \mathbf{h}_t), \qquad
        \mathrm{Attention}(\mathbf{h}_t; \mathbf{x}_i, i \in \mathcal{G}), \qquad \mathrm{FFN}(\mathbf{h}_t),

    normalised first (`Xiong et al. <https://arxiv.org/abs/2002.04745>`_). These are PyTorch's own
    `torch.nn.TransformerDecoderLayer`. The order of the nodes does not matter. A graph without nodes is attended
    to with a context of zeros, which leaves the model of sequences alone.

    A sequence is given and returned without the start token and with the end token: ``tokens[:, t]`` is what
    ``logits[:, t]`` predicts. Padding follows the end.

    Args:
        channels: Features per node, and width of the decoder.
        num_tokens: Size of the vocabulary, with the three tokens below.
        heads: Number of attention heads. Default: 4.
        num_layers: Number of decoder layers. Default: 2.
        feed_forward: Width of the feed-forward part, in `channels`. Default: 4.
        dropout: Probability of dropping an attention weight or a feature in training. Default: 0.
        max_length: Tokens after which decoding is cut off, the end token included. Default: 200.
        start, end, pad: Numbers of the three tokens. Neither `start` nor `pad` is ever decoded. Default: 1, 2, 0.

    Shapes:
        - **x:** :math:`(N, C)`, **batch:** :math:`(N)` int64, sorted
        - **tokens:** :math:`(G, T)` int64, **logits:** :math:`(G, T, V)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(
        self,
        channels: int,
        num_tokens: int,
        *,
        heads: int = 4,
        num_layers: int = 2,
        feed_forward: int = 4,
        dropout: float = 0.0,
        max_length: int = 200,
        start: int = 1,
        end: int = 2,
        pad: int = 0,
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads or channels % 2:
            raise ValueError(f"channels must be even and a multiple of heads={heads}; found {channels}.")
        if len({start, end, pad}) < 3 or not all(0 <= token < num_tokens for token in (start, end, pad)):
            raise ValueError(
                f"start, end and pad must be three different tokens from 0 to num_tokens - 1 = {num_tokens - 1}; "
                f"found {start}, {end} and {pad}."
            )
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1; found {max_length}.")
        self.channels, self.num_tokens, self.max_length = channels, num_tokens, max_length
        self.start, self.end, self.pad = start, end, pad
        self.embedding = nn.Embedding(num_tokens, channels)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                channels, heads, feed_forward * channels, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, num_tokens)

    def forward(self, x: Tensor, batch: Tensor, tokens: Tensor) -> Tensor:
        """Logits of every token given the ones before it (teacher forcing).

        Args:
            x: Node vectors.
            batch: The graph of every node.
            tokens: A sequence for each graph, padded; their number is the number of graphs.
        """
        return self.output(self.hidden_states(x, batch, tokens))

    def hidden_states(self, x: Tensor, batch: Tensor, tokens: Tensor) -> Tensor:
        """What :meth:`forward` reads its logits from, [G, T, C]."""
        self._check_tokens(tokens)
        memory, is_node = self._memory(x, batch, tokens.size(0))
        previous = F.pad(tokens, (1, 0), value=self.start)[:, :-1]
        length = tokens.size(1)
        h = self._embed(previous, torch.arange(length, device=x.device))
        causal = nn.Transformer.generate_square_subsequent_mask(length, x.device, h.dtype)
        for layer in self._layers():
            with exact_gradients(h):
                h = layer(h, memory, tgt_mask=causal, memory_key_padding_mask=~is_node, tgt_is_causal=True)
        return self.norm(h)

    def loss(self, x: Tensor, batch: Tensor, tokens: Tensor) -> Tensor:
        """Mean negative log likelihood per token, padding left out; zero when there is nothing else."""
        logits = self(x, batch, tokens)
        total = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), ignore_index=self.pad, reduction="sum")
        return total / (tokens != self.pad).sum().clamp(min=1)

    @torch.no_grad()
    def greedy(self, x: Tensor, batch: Tensor, batch_size: int | None = None) -> list[Tensor]:
        """The sequence of each graph in which every token is the likeliest after those before it, without dropout.

        A sequence ends with the end token, unless it was cut at `max_length` tokens.

        Args:
            x: Node vectors.
            batch: The graph of every node.
            batch_size: Number of graphs, where the last ones may have no nodes. Default: the last of `batch` and one.
        """
        pasts, is_node = self._begin(x, batch, batch_size, width=1)
        graphs = torch.arange(is_node.size(0), device=x.device)  # those that are not finished yet
        sequences = torch.full((is_node.size(0), self.max_length), self.pad, device=x.device)
        last = torch.full_like(sequences[:, :1], self.start)
        for position in range(self.max_length):
            if not len(graphs):
                break
            log_probs, pasts = self._next(last, position, pasts, is_node)
            last = log_probs.argmax(dim=-1)
            sequences[graphs, position] = last.squeeze(1)
            going = last.squeeze(1) != self.end
            graphs, last, is_node = graphs[going], last[going], is_node[going]
            pasts = [_of_graphs(past, going) for past in pasts]
        return [self._without_padding(sequence) for sequence in sequences]

    @torch.no_grad()
    def beam(self, x: Tensor, batch: Tensor, width: int, batch_size: int | None = None) -> list[Beams]:
        """The `width` likeliest sequences that a beam search finds for each graph, without dropout.

        After every token the `width` best sequences are kept, finished or not, by the sum of their log
        probabilities; what is finished keeps its place until something better comes. There are fewer only where
        no more sequences exist.

        Args:
            x: Node vectors.
            batch: The graph of every node.
            width: Number of sequences.
            batch_size: Number of graphs, where the last ones may have no nodes. Default: the last of `batch` and one.
        """
        if width < 1:
            raise ValueError(f"width must be at least 1; found {width}.")
        pasts, is_node = self._begin(x, batch, batch_size, width)
        num_graphs = is_node.size(0)
        found: list[Beams] = [Beams([], x.new_empty(0))] * num_graphs
        graphs = torch.arange(num_graphs, device=x.device)
        tokens = torch.empty(num_graphs, width, 0, dtype=torch.int64, device=x.device)
        last = torch.full((num_graphs, width), self.start, device=x.device)
        # In the beginning there is one sequence, the empty one.
        scores = x.new_full((num_graphs, width), -math.inf)
        scores[:, 0] = 0
        ended = torch.zeros_like(last, dtype=torch.bool)
        goes_on_as_it_is = x.new_full((self.num_tokens,), -math.inf)
        goes_on_as_it_is[self.pad] = 0
        for position in range(self.max_length):
            if not len(graphs):
                break
            log_probs, pasts = self._next(last, position, pasts, is_node)
            log_probs[ended] = goes_on_as_it_is
            scores, best = (scores.unsqueeze(-1) + log_probs).flatten(1).topk(width)
            parent, last = best // self.num_tokens, best % self.num_tokens
            tokens = torch.cat([tokens.take_along_dim(parent.unsqueeze(-1), dim=1), last.unsqueeze(-1)], dim=-1)
            ended = ended.take_along_dim(parent, dim=1) | (last == self.end)
            exists = scores > -math.inf
            going = (exists & ~ended).any(dim=1) & (position + 1 < self.max_length)
            for row in (~going).nonzero().flatten().tolist():
                sequences = [self._without_padding(sequence) for sequence in tokens[row, exists[row]]]
                found[graphs[row]] = Beams(sequences, scores[row, exists[row]])
            graphs, tokens, last, scores = graphs[going], tokens[going], last[going], scores[going]
            ended, is_node = ended[going], is_node[going]
            pasts = [_of_graphs(_of_parents(past, parent), going) for past in pasts]
        return found

    def _layers(self) -> list[nn.TransformerDecoderLayer]:
        return cast(list[nn.TransformerDecoderLayer], list(self.layers))

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Tokens [..., T] at positions [T] or [1] as vectors [..., T, C]."""
        embedded = self.embedding(tokens)
        return embedded + sinusoidal_encoding(positions, self.channels).to(embedded.dtype)

    def _memory(self, x: Tensor, batch: Tensor, num_graphs: int) -> tuple[Tensor, Tensor]:
        """Node vectors [G, N, C], padded to the largest graph, and where there is a node [G, N]."""
        check_nodes(x, self.channels)
        if batch.dtype != torch.int64 or list(batch.shape) != [x.size(0)]:
            raise ValueError(f"batch must be int64 of shape [{x.size(0)}], a graph per node; found {describe(batch)}.")
        places = _nodes_of_graphs(batch, num_graphs)
        rows = F.pad(x, (0, 0, 0, 1)).index_select(0, places.flatten())  # the last row is for where there is no node
        return rows.view(*places.shape, self.channels), places < x.size(0)

    def _check_tokens(self, tokens: Tensor) -> None:
        if tokens.dtype != torch.int64 or tokens.dim() != 2:
            raise ValueError(f"tokens must be int64 of shape [graphs, length]; found {describe(tokens)}.")
        # What the tokens are is data, which a graph compiler cannot look at.
        if (
            not torch.compiler.is_compiling()
            and tokens.numel()
            and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.num_tokens
        ):
            raise ValueError(
                f"tokens must be from 0 to num_tokens - 1 = {self.num_tokens - 1}; "
                f"found {int(tokens.min())} to {int(tokens.max())}."
            )

    def _begin(self, x: Tensor, batch: Tensor, batch_size: int | None, width: int) -> tuple[list[_Past], Tensor]:
        """The past of every layer before the first token, and where there is a node [G, N]."""
        if batch_size is None:
            batch_size = int(batch.max()) + 1 if batch.numel() else 0
        memory, is_node = self._memory(x, batch, batch_size)
        return [_nodes_only(layer, memory, width) for layer in self._layers()], is_node

    def _next(self, last: Tensor, position: int, pasts: list[_Past], is_node: Tensor) -> tuple[Tensor, list[_Past]]:
        """Log probabilities [G, W, V] of what follows the last token [G, W] of every beam."""
        h = self._embed(last, torch.tensor([position], device=last.device))
        advanced = []
        for layer, past in zip(self._layers(), pasts, strict=True):
            h, past = _advance(layer, h, past, is_node)
            advanced.append(past)
        log_probs = self.output(self.norm(h)).log_softmax(dim=-1)
        log_probs[..., [self.start, self.pad]] = -math.inf
        return log_probs, advanced

    def _without_padding(self, sequence: Tensor) -> Tensor:
        return sequence[sequence != self.pad]


def _fake_nodes_of_graphs(batch: Tensor, num_graphs: int) -> Tensor:
    return batch.new_empty(num_graphs, torch.library.get_ctx().new_dynamic_size(min=1))


@one_node("(Tensor batch, SymInt num_graphs) -> Tensor", _fake_nodes_of_graphs)
def _nodes_of_graphs(batch: Tensor, num_graphs: int) -> Tensor:
    """The nodes of each graph, [G, at least 1], and the number of all nodes where there are no more."""
    if (batch.diff() < 0).any():
        raise ValueError("batch must be sorted, the nodes of a graph one after the other; found it unsorted.")
    if batch.numel() and (batch[0] < 0 or batch[-1] >= num_graphs):
        raise ValueError(
            f"batch must hold graphs from 0 to {num_graphs - 1}; found {int(batch[0])} to {int(batch[-1])}."
        )
    largest = max(int(batch.bincount(minlength=1).max()), 1)
    nodes = torch.arange(batch.numel(), device=batch.device)
    return to_dense_batch(nodes, batch, batch.numel(), largest, num_graphs)[0]


def _nodes_only(layer: nn.TransformerDecoderLayer, memory: Tensor, width: int) -> _Past:
    """Keys and values of the nodes, and none of tokens yet."""
    attention = layer.multihead_attn
    channels, heads = attention.embed_dim, attention.num_heads
    both = F.linear(memory, attention.in_proj_weight[channels:], attention.in_proj_bias[channels:])
    node_keys, node_values = (_split_heads(part, heads) for part in both.chunk(2, dim=-1))
    nothing = memory.new_empty(memory.size(0), width, heads, 0, channels // heads)
    return _Past(node_keys, node_values, nothing, nothing)


def _advance(layer: nn.TransformerDecoderLayer, h: Tensor, past: _Past, is_node: Tensor) -> tuple[Tensor, _Past]:
    """What the layer makes of the last token of every beam, [G, W, C], in evaluation mode."""
    attention = layer.self_attn
    channels, heads = attention.embed_dim, attention.num_heads
    projected = F.linear(layer.norm1(h), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (part.unflatten(-1, (heads, 1, -1)) for part in projected.chunk(3, dim=-1))
    past = past._replace(keys=torch.cat([past.keys, key], dim=-2), values=torch.cat([past.values, value], dim=-2))
    query, keys, values = (part.flatten(0, 1) for part in (query, past.keys, past.values))
    h = h + attention.out_proj(F.scaled_dot_product_attention(query, keys, values).reshape(h.shape))

    attention = layer.multihead_attn
    query = F.linear(layer.norm2(h), attention.in_proj_weight[:channels], attention.in_proj_bias[:channels])
    context = F.scaled_dot_product_attention(
        _split_heads(query, heads), past.node_keys, past.node_values, attn_mask=is_node[:, None, None]
    )
    h = h + attention.out_proj(context.transpose(1, 2).flatten(2))
    return h + layer.linear2(layer.activation(layer.linear1(layer.norm3(h)))), past


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """[G, L, C] to [G, H, L, C / H]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _of_parents(past: _Past, parent: Tensor) -> _Past:
    """The past of the sequences that were continued, number `parent` [G, W] of each graph."""
    graph = torch.arange(parent.size(0), device=parent.device).unsqueeze(1)
    return past._replace(keys=past.keys[graph, parent], values=past.values[graph, parent])


def _of_graphs(past: _Past, going: Tensor) -> _Past:
    return past if going.all() else _Past(*(part[going] for part in past))
