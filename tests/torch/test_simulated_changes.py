"""The next PyTorch changes a private thing: the gradient of a checkpoint is right, or an error says why not.

Each change is made in PyTorch itself, in a forked process, before the package is imported.
"""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import torch, torch._C._autograd
from torch.utils import checkpoint as module
from torch.utils import _python_dispatch
from torch.autograd import forward_ad

def put(owner, name, value):
    setattr(owner, name, value)

def renamed_hooks():
    for name in ("_checkpoint_hook", "_recomputation_hook"):
        getattr(module, name).__init__.__qualname__ = "Other.__init__"
        source = getattr(module, name)
        init = source.__init__
        def changed(self, *arguments, init=init):
            init(self, *arguments)
            self.pack_hook.__qualname__ = self.unpack_hook.__qualname__ = "renamed"
        source.__init__ = changed

def moved():
    code = module.CheckpointFunction.backward.__code__.replace(co_filename="elsewhere.py")
    return staticmethod(type(moved)(code, module.__dict__))

CHANGES = {
    "none": lambda: None,
    "task number always -1": lambda: put(torch._C, "_current_graph_task_id", lambda: -1),
    "task number always 7": lambda: put(torch._C, "_current_graph_task_id", lambda: 7),
    "task number gone": lambda: delattr(torch._C, "_current_graph_task_id"),
    "forward AD always on": lambda: put(torch._C, "_is_fwd_grad_enabled", lambda: True),
    "forward AD always off": lambda: put(torch._C, "_is_fwd_grad_enabled", lambda: False),
    "hooks are not shown": lambda: put(
        torch._C._autograd, "_top_saved_tensors_default_hooks", lambda ignore: None
    ),
    "hooks gone": lambda: delattr(torch._C._autograd, "_top_saved_tensors_default_hooks"),
    "hooks renamed": renamed_hooks,
    "contexts of another class": lambda: put(torch._C, "_FunctionBase", type("Other", (), {})),
    "dispatch keys constant": lambda: put(
        torch._C, "_dispatch_keys", lambda x, f=torch._C._dispatch_keys, y=torch.zeros(1): f(y)
    ),
    "modes not counted": lambda: put(torch._C, "_len_torch_dispatch_stack", lambda: 0),
    "transforms not seen": lambda: put(torch._C, "_are_functorch_transforms_active", lambda: False),
    "levels not seen": lambda: put(forward_ad, "_current_level", -1),
    "the checkpoint's file is another": lambda: put(module.CheckpointFunction, "backward", moved()),
}

def cells():
    import rrelu_compat, rrelu_compat.torch as rt
    for own in (False, True):
        for reentrant in (False, True):
            net = torch.nn.Sequential(
                torch.nn.Linear(4, 64),
                rt.RReLU(0.0, 1.0, generator=rrelu_compat.Generator(5) if own else None),
                torch.nn.Linear(64, 4),
            )
            x = torch.randn(2000, 4)
            def run(repeated):
                if own:
                    net[1].generator = rrelu_compat.Generator(5)
                torch.manual_seed(1)
                leaf = x.clone().requires_grad_()
                y = module.checkpoint(net, leaf, use_reentrant=reentrant) if repeated else net(leaf)
                y.sum().backward()
                return leaf.grad
            try:
                expected = run(False)
                verdict = "right" if torch.equal(run(True), expected) else "SILENTLY WRONG"
            except Exception as error:
                verdict = f"{type(error).__name__}: {error}"
            yield f"{'own' if own else 'default'} {'reentrant' if reentrant else 'non-reentrant'}", verdict

for name, change in CHANGES.items():
    read, write = os.pipe()
    if os.fork() == 0:
        found = {}
        try:
            change()
            found = dict(cells())
        except BaseException as error:
            found = {"import": f"{type(error).__name__}: {error}"}
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        print(json.dumps([name, json.loads(answer.read() or '{"import": "died"}')]), flush=True)
    os.wait()
"""


@pytest.fixture(scope="module")
def found():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_without_a_change_all_is_right(found):
    assert set(found["none"].values()) == {"right"}
    assert len(found["none"]) == 4
    assert len(found) == 15


def test_no_change_is_silent(found):
    silent = {
        f"{name}: {cell}": verdict
        for name, cells in found.items()
        for cell, verdict in cells.items()
        if "SILENTLY" in verdict or verdict == "died"
    }
    assert silent == {}
