"""Rows of a sparse matrix of features."""

import torch

from gatlib.nn.sparse_linear import SparseLinear, first_rows, last_columns, replace_last_columns, take_rows


def test_rows_of_a_sparse_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 5, generator=generator) * (torch.rand(9, 5, generator=generator) < 0.3)
    x[4] = 0.0
    for rows in ([8, 0, 4, 3], [4], [], list(range(9))):
        chosen = torch.tensor(rows, dtype=torch.int64)
        taken = take_rows(x.to_sparse_csr(), chosen)
        assert taken.layout == torch.sparse_csr
        assert torch.equal(taken.to_dense(), x[chosen])
        assert torch.equal(take_rows(x, chosen), x[chosen])


def test_first_rows_of_a_sparse_matrix() -> None:
    x = torch.randn(5, 4) * (torch.rand(5, 4) < 0.5)
    for number in (0, 2, 5):
        assert torch.equal(first_rows(x.to_sparse_csr(), number).to_dense(), x[:number])
        assert torch.equal(first_rows(x, number), x[:number])
    assert first_rows(x, None) is x


def test_the_last_columns_are_taken_and_replaced() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, generator=generator) * (torch.rand(6, 5, generator=generator) < 0.4)
    x[2] = 0.0
    for number in (0, 2, 5):
        columns = torch.randn(6, number, generator=generator)
        expected = torch.cat([x[:, : 5 - number], columns], dim=1)
        for given in (x, x.to_sparse_csr()):
            assert torch.equal(last_columns(given, number), x[:, 5 - number :])
            replaced = replace_last_columns(given, columns)
            assert replaced.layout == given.layout
            assert torch.equal(replaced.to_dense(), expected)
            if given.layout == torch.sparse_csr:  # in order, as PyTorch wants them
                torch.sparse_csr_tensor(
                    replaced.crow_indices(), replaced.col_indices(), replaced.values(), x.shape, check_invariants=True
                )


def test_gradients_are_those_of_the_features_of_the_forward_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, generator=generator) * (torch.rand(6, 5, generator=generator) < 0.4)
    layer = SparseLinear(5, 3)
    for _ in range(2):
        sparse = x.to_sparse_csr()
        for factor in (1.0, 2.0, 3.0):
            out = layer(sparse).sin().sum()
            sparse.values().numpy()[:] *= 2  # behind the back of PyTorch, and before the backward pass
            (found,) = torch.autograd.grad(out, [layer.weight])
            (expected,) = torch.autograd.grad(layer(2 ** (factor - 1) * x).sin().sum(), [layer.weight])
            torch.testing.assert_close(found, expected)
