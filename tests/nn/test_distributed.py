"""A model in two processes, of which each has half of the graphs, learns what one process would."""

import faulthandler
import os
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from gatlib.nn import GATv2Conv

PROCESSES, NODES, FEATURES = 2, 30, 3
LIMIT = 120  # seconds


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = GATv2Conv(FEATURES, 4, heads=4)
        self.second = GATv2Conv(16, 4, heads=4)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.second(self.first(x, edge_index).relu(), edge_index)


def loss_of(model: nn.Module, rank: int) -> Tensor:
    generator = torch.Generator().manual_seed(rank)
    edge_index = torch.randint(NODES, (2, 90), generator=generator)
    return model(torch.randn(NODES, FEATURES, generator=generator), edge_index).square().mean()


def one_step(rank: int, folder: Path) -> None:
    """Of training: leaves gradients and new parameters in a file."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    store, patience = f"file://{folder / 'store'}", timedelta(seconds=LIMIT)
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=PROCESSES, timeout=patience)
    torch.set_num_threads(2)
    model = DistributedDataParallel(TwoLayers())
    loss_of(model, rank).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    gradients = [parameter.grad for parameter in model.parameters()]
    torch.save([*gradients, *(parameter.data for parameter in model.parameters())], folder / f"{rank}.pt")
    distributed.barrier()
    # Without taking anything apart: in PyTorch 2.13 the model holds the interpreter's lock while it waits for gloo's
    # threads to end, and once in some hundred times one of them waits for that lock.
    os._exit(0)


def test_two_processes(tmp_path: Path) -> None:
    multiprocessing.spawn(one_step, (tmp_path,), nprocs=PROCESSES)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)

    model = TwoLayers()
    (sum(loss_of(model, rank) for rank in range(PROCESSES)) / PROCESSES).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(first[: len(gradients)], gradients, rtol=1e-4, atol=1e-6)
