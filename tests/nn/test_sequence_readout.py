"""Sequences read from graphs: the cached decoder against the plain one, beam search against all sequences there are."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlib.nn.sequence_readout import SequenceReadout

CHANNELS, NUM_TOKENS, PAD, START, END = 8, 6, 0, 1, 2
few = settings(max_examples=20, deadline=None, derandomize=True)
sizes_of_graphs = st.lists(st.integers(0, 5), min_size=1, max_size=4)


def make(dtype: torch.dtype = torch.float64, **options: Any) -> SequenceReadout:
    """A readout with lively biases and pointed probabilities, so that no two sequences are equally likely."""
    torch.manual_seed(0)
    readout = SequenceReadout(CHANNELS, NUM_TOKENS, **({"heads": 2, "max_length": 7} | options)).to(dtype)
    for name, parameter in readout.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.normal_(readout.output.weight)
    return readout.eval()


def random_nodes(sizes: list[int], seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), CHANNELS, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


def random_tokens(num_graphs: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(END, NUM_TOKENS, (num_graphs, length), generator=torch.Generator().manual_seed(seed))


def log_prob(readout: SequenceReadout, x: Tensor, sequence: Tensor) -> Tensor:
    """Of one sequence for one graph, from the plain decoder."""
    log_probs = readout(x, torch.zeros(len(x), dtype=torch.long), sequence.unsqueeze(0)).log_softmax(dim=-1)
    return log_probs[0].gather(1, sequence.unsqueeze(1)).sum()


# The next tokens are 3 with probability 0.5, the end with 0.3 and 4 with 0.2, whatever came before.
def same_everywhere() -> SequenceReadout:
    readout = make(max_length=2)
    with torch.no_grad():
        readout.output.weight.zero_()
        readout.output.bias.copy_(torch.tensor([0, 0, 0.3, 0.5, 0.2, 0], dtype=torch.float64).log())
    return readout


def test_answers_worked_by_hand() -> None:
    readout, (x, batch) = same_everywhere(), random_nodes([3])
    tokens = torch.tensor([[3, 4, END, PAD, PAD]])
    assert math.isclose(readout.loss(x, batch, tokens).item(), -math.log(0.5 * 0.2 * 0.3) / 3)
    assert readout.greedy(x, batch)[0].tolist() == [3, 3]
    (best,) = readout.beam(x, batch, 3)
    assert [sequence.tolist() for sequence in best.sequences] == [[END], [3, 3], [3, END]]
    torch.testing.assert_close(best.log_probs, torch.tensor([0.3, 0.25, 0.15], dtype=torch.float64).log())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_the_cached_decoder_is_the_plain_one(dtype: torch.dtype, tolerance: float) -> None:
    readout, sizes, length, width = make(dtype, num_layers=3), [3, 0, 1, 9], 6, 2
    x, batch = random_nodes(sizes, dtype=dtype)
    tokens = torch.stack([random_tokens(len(sizes), length, seed) for seed in range(width)], dim=1)
    expected = torch.stack([readout(x, batch, tokens[:, beam]) for beam in range(width)], dim=1).log_softmax(dim=-1)
    pasts, is_node = readout._begin(x, batch, None, width)
    last = torch.full_like(tokens[..., 0], START)
    with torch.no_grad():
        for position in range(length):
            found, pasts = readout._next(last, position, pasts, is_node)
            allowed = found > -math.inf
            assert allowed.sum() == len(sizes) * width * (NUM_TOKENS - 2)
            difference = (found - expected[:, :, position])[allowed]
            assert difference.abs().max() < tolerance
            last = tokens[..., position]


@few
@given(sizes=sizes_of_graphs, seed=st.integers(0, 99))
def test_every_greedy_token_is_the_likeliest(sizes: list[int], seed: int) -> None:
    readout, (x, batch) = make(), random_nodes(sizes, seed)
    sequences = readout.greedy(x, batch, len(sizes))
    tokens = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=PAD)
    logits = readout(x, batch, tokens)
    logits[..., [START, PAD]] = -math.inf
    assert (logits.argmax(dim=-1) == tokens)[tokens != PAD].all()
    for sequence in sequences:
        assert len(sequence) == readout.max_length or sequence[-1] == END
        assert END not in sequence[:-1]


@few
@given(sizes=sizes_of_graphs, seed=st.integers(0, 99))
def test_a_beam_of_one_is_greedy(sizes: list[int], seed: int) -> None:
    readout, (x, batch) = make(), random_nodes(sizes, seed)
    greedy, beams = readout.greedy(x, batch, len(sizes)), readout.beam(x, batch, 1, len(sizes))
    assert [sequence.tolist() for sequence in greedy] == [beam.sequences[0].tolist() for beam in beams]


@few
@given(sizes=sizes_of_graphs, seed=st.integers(0, 99))
def test_log_probabilities_of_a_beam_are_those_of_its_sequences(sizes: list[int], seed: int) -> None:
    readout, (x, batch) = make(), random_nodes(sizes, seed)
    for graph, beams in enumerate(readout.beam(x, batch, 4, len(sizes))):
        assert len(beams.sequences) == 4
        assert len({tuple(sequence.tolist()) for sequence in beams.sequences}) == 4
        expected = torch.stack([log_prob(readout, x[batch == graph], sequence) for sequence in beams.sequences])
        torch.testing.assert_close(beams.log_probs, expected)
        assert (beams.log_probs.diff() <= 0).all()


@pytest.mark.parametrize("size", [0, 1, 4])
def test_a_beam_of_everything_is_exhaustive_search(size: int) -> None:
    readout, (x, batch) = make(max_length=3), random_nodes([2, size])
    letters = [token for token in range(NUM_TOKENS) if token not in (START, END, PAD)]
    everything = [
        [*prefix, last]
        for length in (1, 2, 3)
        for prefix in itertools.product(letters, repeat=length - 1)
        for last in [END, *(letters if length == 3 else [])]
    ]
    graph = x[batch == 1]
    expected = {tuple(sequence): log_prob(readout, graph, torch.tensor(sequence)).item() for sequence in everything}
    beams = readout.beam(x, batch, 2 * len(everything), batch_size=2)[1]
    found = [tuple(sequence.tolist()) for sequence in beams.sequences]
    assert found == sorted(expected, key=lambda sequence: -expected[sequence])
    torch.testing.assert_close(beams.log_probs.tolist(), [expected[sequence] for sequence in found])


@few
@given(sizes=sizes_of_graphs, seed=st.integers(0, 99))
def test_batching_changes_nothing(sizes: list[int], seed: int) -> None:
    readout, (x, batch) = make(), random_nodes(sizes, seed)
    tokens = random_tokens(len(sizes), 5, seed)
    together = readout(x, batch, tokens)
    greedy, beams = readout.greedy(x, batch, len(sizes)), readout.beam(x, batch, 3, len(sizes))
    for graph, size in enumerate(sizes):
        alone = x[batch == graph], torch.zeros(size, dtype=torch.long)
        torch.testing.assert_close(readout(*alone, tokens[[graph]])[0], together[graph])
        assert readout.greedy(*alone, 1)[0].tolist() == greedy[graph].tolist()
        (expected,) = readout.beam(*alone, 3, 1)
        torch.testing.assert_close(beams[graph].log_probs, expected.log_probs)
        for found, sequence in zip(beams[graph].sequences, expected.sequences, strict=True):
            assert found.tolist() == sequence.tolist()


def test_batching_changes_nothing_in_single_precision() -> None:
    readout, sizes = make(torch.float32), [1, 500, 20, 0, 77]
    x, batch = random_nodes(sizes, dtype=torch.float32)
    tokens = random_tokens(len(sizes), 30)
    together = readout.hidden_states(x, batch, tokens)
    for graph, size in enumerate(sizes):
        alone = readout.hidden_states(x[batch == graph], torch.zeros(size, dtype=torch.long), tokens[[graph]])
        torch.testing.assert_close(alone[0], together[graph], rtol=1e-5, atol=1e-5)


@few
@given(sizes=sizes_of_graphs, seed=st.integers(0, 99))
def test_the_order_of_the_nodes_does_not_matter(sizes: list[int], seed: int) -> None:
    readout, (x, batch) = make(), random_nodes(sizes, seed)
    tokens = random_tokens(len(sizes), 5, seed)
    shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    order = shuffled[batch[shuffled].argsort(stable=True)]  # within each graph
    torch.testing.assert_close(readout(x[order], batch, tokens), readout(x, batch, tokens))


def test_a_graph_without_nodes_gives_a_context_of_zeros() -> None:
    readout, tokens = make(), random_tokens(3, 5)
    x, batch = random_nodes([2, 0, 3])
    of_empty_graph = readout(x, batch, tokens)[1]
    without_values = make()  # whatever it attends to says nothing
    with torch.no_grad():
        for layer in without_values.layers:
            layer.multihead_attn.in_proj_weight[2 * CHANNELS :] = 0
            layer.multihead_attn.in_proj_bias[2 * CHANNELS :] = 0
    torch.testing.assert_close(of_empty_graph, without_values(x, batch, tokens)[1])
    torch.testing.assert_close(of_empty_graph, without_values(x, torch.tensor([0, 1, 1, 1, 2]), tokens)[1])
    nothing = random_nodes([0, 0, 0])
    torch.testing.assert_close(readout(*nothing, tokens)[1], of_empty_graph)
    assert len(readout.greedy(*nothing, 3)) == 3
    assert readout.greedy(*nothing) == readout.beam(*nothing, 2) == []


def test_the_nodes_of_a_graph_matter_to_it_alone() -> None:
    readout, (x, batch), tokens = make(), random_nodes([2, 3]), random_tokens(2, 4)
    before = readout(x, batch, tokens)
    x[0] += 1
    after = readout(x, batch, tokens)
    assert (after[0] != before[0]).any(dim=-1).all()
    assert torch.equal(after[1], before[1])


def test_padding_the_target_changes_nothing() -> None:
    readout, (x, batch) = make(), random_nodes([2, 0, 4])
    tokens = random_tokens(3, 5)
    tokens[0, 3:] = PAD
    padded = torch.nn.functional.pad(tokens, (0, 4), value=PAD)
    torch.testing.assert_close(readout(x, batch, padded)[:, :5], readout(x, batch, tokens))
    torch.testing.assert_close(readout.loss(x, batch, padded), readout.loss(x, batch, tokens))


def test_a_token_matters_to_what_comes_after_it_alone() -> None:
    readout, (x, batch), length = make(), random_nodes([3]), 6
    tokens = random_tokens(1, length)
    logits = readout(x, batch, tokens)
    for position in range(length):
        changed = tokens.clone()
        changed[0, position] = 3 if tokens[0, position] != 3 else 4
        differs = (readout(x, batch, changed) != logits).any(dim=-1)[0]
        assert differs.tolist() == [False] * (position + 1) + [True] * (length - position - 1)


def test_the_same_token_means_another_thing_elsewhere() -> None:
    readout, (x, batch) = make(), random_nodes([3])
    logits = readout(x, batch, torch.full((1, 5), 3))[0, 1:]  # always after a 3
    assert torch.cdist(logits, logits).fill_diagonal_(1).min() > 1e-3


def test_the_loss_leaves_padding_out() -> None:
    readout, (x, batch) = make(), random_nodes([2, 3])
    tokens = torch.tensor([[3, 5, END, PAD], [4, END, PAD, PAD]])
    expected = -sum(log_prob(readout, x[batch == graph], tokens[graph][tokens[graph] != PAD]) for graph in range(2))
    torch.testing.assert_close(readout.loss(x, batch, tokens), expected / 5)
    assert readout.loss(x, batch, torch.full((2, 3), PAD)) == 0
    assert readout(x, batch, torch.empty(2, 0, dtype=torch.long)).shape == (2, 0, NUM_TOKENS)


def test_gradients() -> None:
    readout, (x, batch) = make(num_layers=1), random_nodes([2, 0, 1])
    tokens = torch.tensor([[3, 5, END], [4, END, PAD], [END, PAD, PAD]])
    assert torch.autograd.gradcheck(lambda x: readout.loss(x, batch, tokens), [x.requires_grad_()])
    readout.loss(x, batch, tokens).backward()
    assert all(parameter.grad.isfinite().all() for parameter in readout.parameters())


def test_decoding_knows_no_dropout_and_no_gradients() -> None:
    readout, (x, batch) = make(dropout=0.5), random_nodes([2, 3])
    x.requires_grad_()
    expected = readout.beam(x, batch, 2)
    readout.train()
    for found, beams in zip(readout.beam(x, batch, 2), expected, strict=True):
        assert torch.equal(found.log_probs, beams.log_probs)
        assert not found.log_probs.requires_grad
    tokens = random_tokens(2, 5)
    assert not torch.equal(readout(x, batch, tokens), readout(x, batch, tokens))


NODES, BATCH, TOKENS = torch.zeros(3, CHANNELS, dtype=torch.float64), torch.tensor([0, 0, 1]), torch.full((2, 4), 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": NODES[:, :5]}, r"x must be floating point of shape \[nodes, 8\]; found float64 of shape \[3, 5\]"),
        ({"batch": BATCH[:2]}, r"batch must be int64 of shape \[3\], a graph per node; found int64 of shape \[2\]"),
        ({"batch": torch.tensor([1, 0, 1])}, "batch must be sorted"),
        ({"batch": torch.tensor([0, 0, 2])}, "batch must hold graphs from 0 to 1; found 0 to 2"),
        ({"batch": torch.tensor([-1, 0, 1])}, "batch must hold graphs from 0 to 1; found -1 to 1"),
        ({"tokens": TOKENS[0]}, r"tokens must be int64 of shape \[graphs, length\]; found int64 of shape \[4\]"),
        ({"tokens": TOKENS + 3}, "tokens must be from 0 to num_tokens - 1 = 5; found 6 to 6"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(**({"x": NODES, "batch": BATCH, "tokens": TOKENS} | changes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "channels must be even and a multiple of heads=3; found 8"),
        ({"start": END}, "start, end and pad must be three different tokens from 0 to num_tokens - 1 = 5; found 2, 2"),
        ({"pad": NUM_TOKENS}, "start, end and pad must be three different tokens"),
        ({"max_length": 0}, "max_length must be at least 1; found 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_beam_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 1; found 0"):
        make().beam(NODES, BATCH, 0)
