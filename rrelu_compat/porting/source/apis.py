"""The names under which PyTorch, Paddle and this package offer RReLU, and their signatures."""

from __future__ import annotations

from dataclasses import dataclass, replace

TARGETS = ("torch", "paddle", "neutral")
MODULE = {
    "torch": "rrelu_compat.torch",
    "paddle": "rrelu_compat.paddle",
    "neutral": "rrelu_compat",
}
# The first parameter's name in each target's functional.
INPUT = {"torch": "input", "paddle": "x", "neutral": "x"}


@dataclass(frozen=True)
class Api:
    """One thing that a qualified name stands for.

    Attributes
    ----------
    framework : str
        Whose tensors it takes: "torch", "paddle" or "neutral".
    name : str
        What it is: "RReLU", "rrelu" or "rrelu_".
    native : bool
        The framework's own (True) or one of this package (False).
    parameters : tuple of str
        Positional parameters, in order; the first of a functional is called "input" here.
    input_names : tuple of str
        Keywords that mean the first parameter.
    obstacle : str
        Why no use of it can be rewritten, or "".
    plain : bool
        An ordinary function or class; an operator object of ``torch.ops`` is not.
    signature : str
        Whose signature and defaults it has, "" where they are those of `framework`.
    """

    framework: str
    name: str
    native: bool
    parameters: tuple[str, ...]
    input_names: tuple[str, ...] = ()
    obstacle: str = ""
    plain: bool = True
    signature: str = ""

    @property
    def speaks(self) -> str:
        """Whose signature and defaults it has."""
        return self.signature or self.framework

    @property
    def is_class(self) -> bool:
        """Whether it is the layer."""
        return self.name == "RReLU"

    @property
    def training_default(self) -> str:
        """The functional's default of `training`, as source text."""
        return "False" if self.speaks == "torch" else "True"

    def shim(self, target: str) -> str:
        """Return the name that means the same in the target's drop-in module."""
        if self.is_class or self.speaks == target:
            return self.name
        return f"{self.speaks}_{self.name}"


_BOUNDS = ("input", "lower", "upper")
_EITHER = "inplace or name"  # a bool or a str, told apart at run time

_TORCH_LAYER = Api("torch", "RReLU", True, ("lower", "upper", "inplace"))
_TORCH_F = Api("torch", "rrelu", True, (*_BOUNDS, "training", "inplace"), ("input",))
_TORCH_BUILTIN = Api(
    "torch", "rrelu", True, (*_BOUNDS, "training", "generator"), ("input", "x", "a", "x1")
)
_TORCH_OP = replace(_TORCH_BUILTIN, input_names=("self",), plain=False)
_NOISE = Api(
    "torch",
    "rrelu",
    True,
    (),
    obstacle="rrelu_with_noise gives the noise back through an argument; nothing in the target does. "
    "If the noise is not used, call rrelu",
)
_PADDLE_LAYER = Api("paddle", "RReLU", True, ("lower", "upper", "name"))
_PADDLE_F = Api("paddle", "rrelu", True, (*_BOUNDS, "training", "name"), ("x",))
_PADDLE_OP = Api(
    "paddle",
    "rrelu",
    True,
    (),
    obstacle="Paddle's operator takes is_test instead of training and may return the noise: "
    "call paddle.nn.functional.rrelu instead",
)
_PADDLE_FUTURE = Api(
    "paddle",
    "rrelu_",
    True,
    (),
    obstacle="Paddle 3.3 has no rrelu_, and how a later one behaves is not known here",
)
_SHIM_LAYER = Api("torch", "RReLU", False, ("lower", "upper", _EITHER, "inplace or name again"))
_SHIM_TORCH = Api("torch", "rrelu", False, (*_BOUNDS, "training", _EITHER), ("input",))
_SHIM_PADDLE = Api("paddle", "rrelu", False, (*_BOUNDS, "training", _EITHER), ("x",))
_SHIM_NEUTRAL = Api("neutral", "rrelu", False, _BOUNDS, ("x",))

_LAYERS = {
    "torch": ("torch.nn", "torch.nn.modules", "torch.nn.modules.activation"),
    "paddle": ("paddle.nn", "paddle.nn.layer", "paddle.nn.layer.activation"),
}
_BUILTINS = ("torch", "torch._VF", "torch._C._VariableFunctions", "torch.nn.functional._VF")
_PADDLE_OPS = (
    "paddle._C_ops",
    "paddle._legacy_C_ops",
    "paddle._pir_ops",
    "paddle.base.libpaddle.eager.ops",
    "paddle.base.libpaddle.eager.ops.legacy",
    "paddle.base.libpaddle.pir.ops",
)


def _table() -> dict[str, Api]:
    table = {f"{module}.RReLU": _TORCH_LAYER for module in _LAYERS["torch"]}
    table |= {f"{module}.RReLU": _PADDLE_LAYER for module in _LAYERS["paddle"]}
    table["torch.nn.functional.rrelu"] = _TORCH_F
    for module in ("torch.nn.functional", *_BUILTINS):
        # F.rrelu_ is the built-in torch.rrelu_, also in what it takes.
        table[f"{module}.rrelu_"] = replace(_TORCH_BUILTIN, name="rrelu_")
    table |= {f"{module}.rrelu": _TORCH_BUILTIN for module in _BUILTINS}
    for overload in ("", ".default"):
        table[f"torch.ops.aten.rrelu{overload}"] = _TORCH_OP
        table[f"torch.ops.aten.rrelu_{overload}"] = replace(_TORCH_OP, name="rrelu_")
    for module in ("torch.ops.aten", "torch._C._nn", "torch._C._VariableFunctions", "torch._VF"):
        for name in ("rrelu_with_noise", "rrelu_with_noise_"):
            table[f"{module}.{name}"] = _NOISE
    for module in ("paddle.nn.functional", "paddle.nn.functional.activation"):
        table[f"{module}.rrelu"] = _PADDLE_F
    for module in ("paddle", "paddle.nn.functional", "paddle.nn.functional.activation"):
        table[f"{module}.rrelu_"] = _PADDLE_FUTURE
    table |= {f"{module}.rrelu": _PADDLE_OP for module in _PADDLE_OPS}
    table |= {f"{module}.rrelu_": _PADDLE_FUTURE for module in _PADDLE_OPS}
    for framework, function in (("torch", _SHIM_TORCH), ("paddle", _SHIM_PADDLE)):
        module = MODULE[framework]
        table[f"{module}.RReLU"] = replace(_SHIM_LAYER, framework=framework)
        table[f"{module}.rrelu"] = function
        last = ("name",) if framework == "paddle" else ()
        table[f"{module}.rrelu_"] = replace(
            function, name="rrelu_", parameters=(*function.parameters[:4], *last)
        )
    for module in ("rrelu_compat", "rrelu_compat.neutral"):
        table[f"{module}.RReLU"] = replace(_SHIM_LAYER, framework="neutral")
        table[f"{module}.rrelu"] = _SHIM_NEUTRAL
    for speaks in ("torch", "paddle"):
        for framework in set(TARGETS) - {speaks}:
            for name in ("rrelu", "rrelu_"):
                table[f"{MODULE[framework]}.{speaks}_{name}"] = replace(
                    table[f"{MODULE[speaks]}.{name}"], framework=framework, signature=speaks
                )
    return table


_APIS = _table()
# The same module object under another path: an attribute that is itself a module.
_MODULES = {
    "torch.nn.modules.activation.F": "torch.nn.functional",
    "torch.functional.F": "torch.nn.functional",
    "paddle.nn.layer.activation.F": "paddle.nn.functional",
    "torch.nn.functional.torch": "torch",
}
# What `from MODULE import *` brings, as far as it matters here.
STARS: dict[str, dict[str, str]] = {
    "torch": {"rrelu": "torch.rrelu", "rrelu_": "torch.rrelu_"},
    "torch.nn": {
        "RReLU": "torch.nn.RReLU",
        "functional": "torch.nn.functional",
        "modules": "torch.nn.modules",
    },
    "torch.nn.modules": {"RReLU": "torch.nn.RReLU"},
    "torch.nn.modules.activation": {"RReLU": "torch.nn.RReLU"},
    "torch.nn.functional": {
        "rrelu": "torch.nn.functional.rrelu",
        "rrelu_": "torch.nn.functional.rrelu_",
    },
    "paddle.nn": {"RReLU": "paddle.nn.RReLU"},
    "paddle.nn.functional": {"rrelu": "paddle.nn.functional.rrelu"},
    **{
        module: {
            path.rpartition(".")[2]: path
            for path, api in _APIS.items()
            if path.rpartition(".")[0] == module and not api.native
        }
        for module in MODULE.values()
    },
}


def canonical(qualified: str) -> str:
    """Return the qualified name with known second paths of a module replaced."""
    for path, module in _MODULES.items():
        if qualified == path or qualified.startswith(path + "."):
            return module + qualified[len(path) :]
    return qualified


def lookup(qualified: str) -> Api | None:
    """Return what a qualified name stands for, or None if it is no RReLU that is known here.

    Examples
    --------
    >>> lookup("torch.nn.functional.rrelu").training_default
    'False'
    """
    return _APIS.get(canonical(qualified))


def origin(qualified: str) -> str:
    """Return the framework of a qualified name, or ""."""
    root = qualified.split(".", 1)[0]
    return root if root in ("torch", "paddle") else ""


def join(module: str, name: str) -> str:
    """Append a name to a module's, which may be dots alone."""
    return f"{module}{name}" if module.endswith(".") else f"{module}.{name}"


def is_framework(qualified: str) -> bool:
    """Whether a qualified name lies in PyTorch, Paddle or this package."""
    return qualified.split(".", 1)[0] in ("torch", "paddle", "rrelu_compat")
