"""A run resumed from a checkpoint, workers, ranks, forks and threads, in both frameworks."""

import copy
import pickle
import threading

import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import Generator, slopes

STEPS, STOP = 8, 3


@pytest.fixture(autouse=True)
def _process_stream_off():
    yield
    rrelu_compat.manual_seed(None)


class Torch:
    """A small training run in PyTorch."""

    def __init__(self, generator):
        import torch

        from rrelu_compat.torch import RReLU

        self.torch = torch
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), RReLU(generator=generator), torch.nn.Linear(8, 1)
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.05)

    def step(self, number):
        x = self.torch.tensor(
            np.random.default_rng(number).normal(size=(16, 4)), dtype=self.torch.float32
        )
        loss = ((self.model(x) - x.sum(1, keepdim=True)) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def save(self):
        return pickle.dumps((self.model.state_dict(), self.optimizer.state_dict()))

    def load(self, saved):
        model, optimizer = pickle.loads(saved)
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)


class Paddle:
    """The same in Paddle."""

    def __init__(self, generator):
        import paddle

        from rrelu_compat.paddle import RReLU

        self.paddle = paddle
        paddle.seed(0)
        # Names are part of Paddle's optimizer state.
        with paddle.utils.unique_name.guard():
            self.model = paddle.nn.Sequential(
                paddle.nn.Linear(4, 8), RReLU(generator=generator), paddle.nn.Linear(8, 1)
            )
            self.optimizer = paddle.optimizer.Adam(0.05, parameters=self.model.parameters())

    def step(self, number):
        x = self.paddle.to_tensor(np.random.default_rng(number).normal(size=(16, 4)), "float32")
        loss = ((self.model(x) - x.sum(1, keepdim=True)) ** 2).mean()
        loss.backward()
        with self.paddle.utils.unique_name.guard():  # the first step names the optimizer's state
            self.optimizer.step()
        self.optimizer.clear_grad()
        return loss.item()

    def save(self):
        def numbers(state):
            return {
                key: value.numpy() if isinstance(value, self.paddle.Tensor) else value
                for key, value in state.items()
            }

        return pickle.dumps(
            (numbers(self.model.state_dict()), numbers(self.optimizer.state_dict()))
        )

    def load(self, saved):
        model, optimizer = pickle.loads(saved)
        self.model.set_state_dict(model)
        with self.paddle.utils.unique_name.guard():
            self.optimizer.set_state_dict(optimizer)


@pytest.mark.parametrize("framework", [Torch, Paddle])
@pytest.mark.parametrize("source", ["own", "process"])
def test_a_resumed_run_has_the_bits_of_the_run_that_did_not_stop(framework, source):
    def start(seed):
        if source == "own":
            generator = Generator(seed)
            return framework(generator), generator
        return framework(None), rrelu_compat.manual_seed(seed)

    run, _ = start(5)
    whole = [run.step(k) for k in range(STEPS)]

    run, generator = start(5)
    first = [run.step(k) for k in range(STOP)]
    saved, state = run.save(), generator.state_dict()

    run, generator = start(99)  # another process would start anew
    run.load(saved)
    generator.load_state_dict(state)
    rest = [run.step(k) for k in range(STOP, STEPS)]
    assert first + rest == whole

    run, _ = start(99)
    run.load(saved)
    assert [run.step(k) for k in range(STOP, STEPS)] != whole[STOP:]


@pytest.mark.parametrize("framework", [Torch, Paddle])
def test_a_deep_copy_of_a_model_draws_on_from_the_same_stream(framework):
    generator = Generator(5)
    run = framework(generator)
    twin = copy.deepcopy(run.model)
    assert twin[1].generator is generator
    before = generator.call
    run.step(0)
    run.model = twin
    run.step(0)
    assert generator.call == before + 2


@pytest.mark.parametrize("framework", [Torch, Paddle])
def test_ranks_and_layers_take_streams_of_their_own_by_fold_in(framework):
    losses = {framework(Generator(5).fold_in(rank)).step(0) for rank in range(4)}
    assert len(losses) == 4
    assert framework(Generator(5).fold_in(2)).step(0) in losses


def test_data_loader_workers_draw_alike_unless_each_folds_its_number_in():
    import torch

    class Noise(torch.utils.data.Dataset):
        """Each item is what one augmentation with random slopes makes."""

        def __init__(self, fold):
            self.generator, self.fold = Generator(3), fold

        def __len__(self):
            return 2

        def __getitem__(self, index):
            info = torch.utils.data.get_worker_info()
            generator = self.generator.fold_in(info.id) if self.fold else self.generator
            return rrelu_compat.rrelu(np.full(4, -1.0), training=True, generator=generator)

    def items(fold):
        loader = torch.utils.data.DataLoader(
            Noise(fold), batch_size=1, num_workers=2, multiprocessing_context="fork"
        )
        return [item.numpy() for item in loader]

    first, second = items(fold=False)
    assert (first == second).all()
    assert (first == -slopes(4, seed=3, dtype="float64")).all()
    first, second = items(fold=True)
    assert (first != second).all()


@pytest.mark.parametrize("backend", ["numpy", "torch", "paddle"])
def test_threads_share_a_generator_and_each_call_has_its_own_slopes(backend):
    import paddle
    import torch

    make = {"numpy": np.asarray, "torch": torch.tensor, "paddle": paddle.to_tensor}[backend]
    generator = Generator(7)
    layer = rrelu_compat.RReLU(0.0, 1.0, backend=backend, generator=generator)
    threads, calls, found = 8, 25, []

    def work():
        for _ in range(calls):
            y = layer(make(np.full(6, -1.0, np.float32)))
            found.append((-np.asarray(y)).tobytes())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = {slopes(6, 0.0, 1.0, seed=7, call=k).tobytes() for k in range(threads * calls)}
    assert generator.call == threads * calls
    assert set(found) == expected
