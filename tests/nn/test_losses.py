"""The additive margin softmax: by hand, against plain cross entropy, and where there is no direction."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlib.nn.losses import AdditiveMarginSoftmax

few = settings(max_examples=25, deadline=None, derandomize=True)


def two_classes(scale: float, margin: float) -> AdditiveMarginSoftmax:
    """Class 0 to the right, class 1 upwards; lengths do not count."""
    loss = AdditiveMarginSoftmax(2, 2, scale, margin)
    loss.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.1]]))
    return loss


def test_two_classes_by_hand() -> None:
    loss = two_classes(scale=10.0, margin=0.2)
    x, target = torch.tensor([[3.0, 4.0], [-5.0, 0.0]]), torch.tensor([0, 1])
    torch.testing.assert_close(loss.logits(x), torch.tensor([[6.0, 8.0], [-10.0, 0.0]]))
    # The margin leaves 10 * (0.6 - 0.2) = 4 against 8, and 10 * (0 - 0.2) = -2 against -10.
    first, second = math.log(1 + math.exp(8 - 4)), math.log(1 + math.exp(-10 + 2))
    torch.testing.assert_close(loss(x[:1], target[:1]), torch.tensor(first))
    torch.testing.assert_close(loss(x[1:], target[1:]), torch.tensor(second))
    torch.testing.assert_close(loss(x, target), torch.tensor((first + second) / 2))


@few
@given(num_examples=st.integers(1, 6), num_classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_without_margin_it_is_cross_entropy(num_examples: int, num_classes: int, seed: int) -> None:
    torch.manual_seed(seed)
    loss = AdditiveMarginSoftmax(4, num_classes, scale=7.0, margin=0.0).double()
    x = F.normalize(torch.randn(num_examples, 4, dtype=torch.float64), dim=1)
    loss.weight.data = F.normalize(loss.weight.data, dim=1)
    target = torch.randint(num_classes, (num_examples,))
    torch.testing.assert_close(loss.logits(x), 7 * x @ loss.weight.t())
    torch.testing.assert_close(loss(x, target), F.cross_entropy(7 * x @ loss.weight.t(), target))


@few
@given(num_examples=st.integers(1, 6), num_classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_the_equation(num_examples: int, num_classes: int, seed: int) -> None:
    torch.manual_seed(seed)
    loss = AdditiveMarginSoftmax(3, num_classes, scale=5.0, margin=0.3).double()
    x, target = torch.randn(num_examples, 3, dtype=torch.float64), torch.randint(num_classes, (num_examples,))
    terms = []
    for row, true in zip(x, target.tolist(), strict=True):
        cosines = [float(F.cosine_similarity(row, weight, dim=0)) for weight in loss.weight.detach()]
        own = math.exp(5.0 * (cosines[true] - 0.3))
        others = sum(math.exp(5.0 * cosine) for k, cosine in enumerate(cosines) if k != true)
        terms.append(-math.log(own / (own + others)))
    torch.testing.assert_close(loss(x, target), x.new_tensor(sum(terms) / num_examples))


def test_lengths_do_not_count_and_the_margin_does() -> None:
    torch.manual_seed(0)
    x, target = torch.randn(500, 6), torch.randint(4, (500,))
    losses = [AdditiveMarginSoftmax(6, 4, margin=margin) for margin in (0.0, 0.2, 0.35)]
    for loss in losses[1:]:
        loss.load_state_dict(losses[0].state_dict())
    values = [loss(x, target).item() for loss in losses]
    assert values == sorted(values)
    assert values[0] < values[1]
    lengths = torch.rand(500, 1) + 0.5
    torch.testing.assert_close(losses[2](lengths * x, target), losses[2](x, target))
    assert losses[2].logits(x).abs().max() <= 30 * (1 + 1e-6)


@pytest.mark.parametrize("num_examples", [1, 500])
def test_every_example_by_itself(num_examples: int) -> None:
    torch.manual_seed(0)
    loss = AdditiveMarginSoftmax(6, 4, scale=1.0)
    x, target, order = torch.randn(num_examples, 6), torch.randint(4, (num_examples,)), torch.randperm(num_examples)
    logits = loss.logits(x)
    torch.testing.assert_close(loss.logits(x[order]), logits[order], rtol=1e-5, atol=1e-5)
    alone = torch.cat([loss.logits(row) for row in x.split(1)])
    torch.testing.assert_close(alone, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss(x[order], target[order]), loss(x, target), rtol=1e-5, atol=1e-5)
    each = torch.stack([loss(row, own) for row, own in zip(x.split(1), target.split(1), strict=True)])
    torch.testing.assert_close(each.mean(), loss(x, target), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e30])
def test_vectors_without_a_length(length: float) -> None:
    loss = two_classes(scale=10.0, margin=0.2)
    x = torch.tensor([[length, 0.0], [1.0, 1.0]], requires_grad=True)
    target = torch.tensor([1, 0])
    value = loss(x, target)
    value.backward()
    assert value.isfinite()
    assert x.grad is not None
    assert loss.weight.grad is not None
    assert x.grad.isfinite().all()
    assert loss.weight.grad.isfinite().all()
    if length == 0:
        assert not loss.logits(x)[0].any()
        assert not x.grad[0].any()
    assert x.grad[1].any()


def test_class_without_a_direction() -> None:
    loss = two_classes(scale=10.0, margin=0.2)
    loss.weight.data[1] = 0
    value = loss(torch.tensor([[1.0, 1.0]]), torch.tensor([1]))
    value.backward()
    torch.testing.assert_close(value, torch.tensor(math.log(1 + math.exp(10 / math.sqrt(2) + 2))))
    assert loss.weight.grad is not None
    assert loss.weight.grad.isfinite().all()
    assert not loss.weight.grad[1].any()


def test_gradients() -> None:
    torch.manual_seed(0)
    loss = AdditiveMarginSoftmax(3, 4, scale=4.0).double()
    x, target = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.randint(4, (5,))
    assert torch.autograd.gradcheck(lambda x, _: loss(x, target), (x, loss.weight))
    assert torch.autograd.gradgradcheck(lambda x, _: loss(x, target), (x, loss.weight))


def test_it_learns_to_tell_classes_apart() -> None:
    torch.manual_seed(0)
    loss = AdditiveMarginSoftmax(4, 3)
    target = torch.arange(3).repeat(20)
    x = torch.randn(3, 4)[target] + 0.1 * torch.randn(60, 4)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss(x, target).backward()
        optimizer.step()
    assert torch.equal(loss.logits(x).argmax(dim=1), target)


@pytest.mark.parametrize(
    ("make_loss", "message"),
    [
        (lambda: AdditiveMarginSoftmax(0, 2), "channels must be 1 or more; found 0"),
        (lambda: AdditiveMarginSoftmax(2, 1), "num_classes must be 2 or more; found 1"),
        (lambda: AdditiveMarginSoftmax(2, 2, scale=0.0), "scale must be a positive number; found 0.0"),
        (lambda: AdditiveMarginSoftmax(2, 2, scale=math.nan), "scale must be a positive number; found nan"),
        (lambda: AdditiveMarginSoftmax(2, 2, margin=-0.1), "margin must be 0 or a positive number; found -0.1"),
    ],
)
def test_settings_that_do_not_fit(make_loss: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_loss()


def test_inputs_that_do_not_fit() -> None:
    loss, x, target = AdditiveMarginSoftmax(4, 3), torch.randn(2, 4), torch.tensor([0, 2])
    with pytest.raises(
        ValueError, match=r"x must be floating point of shape \[examples, 4\]; found float32 of shape \[2"
    ):
        loss(x[:, :3], target)
    with pytest.raises(ValueError, match=r"target must be int64 of shape \[2\]; found int64 of shape \[1\]"):
        loss(x, target[:1])
    with pytest.raises(ValueError, match=r"target must be int64 of shape \[2\]; found float32"):
        loss(x, target.float())
    with pytest.raises(ValueError, match=r"target must hold classes from 0 to 2; found 0 to 3"):
        loss(x, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"target must hold classes from 0 to 2; found -1 to 2"):
        loss(x, torch.tensor([-1, 2]))
    with pytest.raises(ValueError, match="x must hold at least one example"):
        loss(x[:0], target[:0])
