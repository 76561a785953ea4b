"""Threads, processes and ranks."""

import copy
import os
import sys
import threading

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from conftest import network, same_bits, train, violators, weights
from torch import nn

from polarity_torch import COMPILED, FrozenAdam, Template, hold


def test_two_threads_with_an_optimizer_each_do_what_they_do_alone():
    template = Template.random(network(), 3)

    def run(seed, results):
        net = copy.deepcopy(nets[seed])
        optimizer = FrozenAdam(net, lr=0.1, signs=template)
        train(net, optimizer, 20, first=100 * seed)
        results[seed] = weights(net)

    nets = {seed: network(seed) for seed in (1, 2)}
    alone, together = {}, {}
    for seed in nets:
        run(seed, alone)
    threads = [threading.Thread(target=run, args=(seed, together)) for seed in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(alone[seed], together[seed]) for seed in nets)


@pytest.mark.skipif(not COMPILED, reason="PyTorch's own operations end the process then")
def test_weights_that_another_thread_swaps_during_a_step_are_no_crash():
    """The kernel works without the interpreter's lock: it keeps the storages, not only the parameters."""
    net = nn.Linear(1500, 1500, bias=False)
    optimizer = FrozenAdam(net, lr=0.1, signs=Template.random(net, 1))
    net.weight.grad = torch.ones_like(net.weight)
    done = threading.Event()

    def swap():
        while not done.is_set():
            net.weight.data = torch.randn(1500, 1500)
            net.weight.grad = torch.ones(1500, 1500)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(60):
            optimizer.step()
    finally:
        done.set()
        thread.join()
    optimizer.step()
    assert optimizer.violations() == 0


def in_child(queue):
    net = network()
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=0.1, signs=template)
    train(net, optimizer, 5)
    queue.put([w.numpy().tobytes() for w in weights(net)])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_steps_as_its_parent_does():
    net = network()
    optimizer = FrozenAdam(net, lr=0.1, signs=Template.random(net, 3))
    train(net, optimizer, 5)
    big = nn.Linear(900, 900)
    train(big, FrozenAdam(big, signs=Template.random(big, 3)), 2)  # more than one thread, before the fork
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    # PyTorch's own OpenMP does not survive a fork with threads: the child uses one.
    child = context.Process(target=one_thread, args=(in_child, queue))
    child.start()
    got = queue.get()
    child.join(60)
    assert child.exitcode == 0 and got == [w.numpy().tobytes() for w in weights(net)]


def one_thread(work, queue):
    torch.set_num_threads(1)
    work(queue)


def rank_main(rank, port, queue):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    # Ranks with other numbers of threads must not differ.
    torch.set_num_threads(1 + rank)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    net = network(seed=7)
    template = Template.random(net, 3)
    parallel = nn.parallel.DistributedDataParallel(net)
    assert list(Template.from_module(parallel)) == list(template)
    plain = torch.optim.SGD(parallel.parameters(), lr=0.01)
    handle = hold(plain, parallel, template)
    for optimizer in (plain, FrozenAdam(parallel, lr=0.05, signs=template)):
        for step in range(5):
            optimizer.zero_grad()
            torch.manual_seed(100 * rank + step)
            (parallel(torch.randn(4, 2, 8, 8)) - 3.0).square().sum().backward()
            optimizer.step()
    queue.put((rank, [w.numpy().tobytes() for w in weights(net)], violators(net, template), handle.counts().resets))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="this PyTorch has no processes")
def test_two_ranks_of_ddp_come_to_the_same_bits():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    ranks = [context.Process(target=rank_main, args=(rank, port, queue)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    results = dict((rank, rest) for rank, *rest in (queue.get(), queue.get()))
    for process in ranks:
        process.join(60)
    assert results[0] == results[1]
    _, wrong, resets = results[0]
    assert wrong == 0 and resets > 0


def test_a_dtensor_is_refused_with_the_reason():
    tensor = pytest.importorskip("torch.distributed.tensor" if hasattr(dist, "tensor") else "torch.distributed._tensor")
    from torch.distributed.device_mesh import init_device_mesh

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29517")
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    try:
        mesh = init_device_mesh("cpu", (1,))
        net = nn.Linear(4, 4)
        net.weight = nn.Parameter(tensor.distribute_tensor(net.weight.detach(), mesh))
        with pytest.raises(TypeError, match="weight: is a DTensor .FSDP2.*use DDP"):
            FrozenAdam(net, signs={"weight": "positive"})
        with pytest.raises(TypeError, match="weight: is a DTensor"):
            hold(torch.optim.SGD(net.parameters(), lr=0.1), net, {"weight": "positive"})
        optimizer = FrozenAdam(net)
        net.weight.grad = net.weight.detach()
        with pytest.raises(TypeError, match="weight: is a DTensor"):
            optimizer.step()
    finally:
        dist.destroy_process_group()
