"""The settings of a layer that decide what it computes, named alike for both frameworks."""

from __future__ import annotations

from typing import Any

# PyTorch's name of a setting: the names under which Paddle's layers keep it.
_NAMES = {
    "stride": ("_stride", "stride"),
    "padding": ("_padding", "padding"),
    "dilation": ("_dilation", "dilation"),
    "groups": ("_groups",),
    "padding_mode": ("_padding_mode",),
    "kernel_size": ("_kernel_size", "ksize", "kernel_size"),
    "eps": ("_epsilon",),
    "num_groups": ("_num_groups",),
    "ceil_mode": ("ceil_mode",),
    "dim": ("_axis",),
    "negative_slope": ("_negative_slope",),
    "alpha": ("_alpha", "alpha"),
    "beta": ("_beta", "beta"),
    "threshold": ("_threshold",),
    "p": ("p",),
    "start_dim": ("start_axis",),
    "end_dim": ("stop_axis",),
    "output_size": ("_output_size",),
    "upscale_factor": ("_upscale_factor",),
    "size": ("size",),
    "k": ("k",),
    "scale_factor": ("scale_factor",),
    "mode": ("mode", "_mode"),
    "align_corners": ("align_corners",),
    "min_val": ("_min",),
    "max_val": ("_max",),
}
# Settings that only Paddle's layers have: the value that does what PyTorch does.
_PADDLE_ONLY = {("Upsample", "align_mode"): 0, ("Dropout", "mode"): "upscale_in_train"}


def settings_that_differ(torch_layer: Any, paddle_layer: Any) -> list[str]:
    """Return "padding (1, 1) in torch, (0, 0) in Paddle" and the like for a pair of layers.

    A difference beyond the rounding of float32, in which Paddle keeps some of them.
    """
    found = []
    for name, ours, theirs in _both(torch_layer, paddle_layer):
        if not _same(ours, theirs):
            found.append(f"{name} {ours} in torch, {theirs} in Paddle")
    return found


def _both(torch_layer: Any, paddle_layer: Any) -> list[tuple[str, Any, Any]]:
    mine, own = vars(torch_layer), vars(paddle_layer)
    pairs = []
    for name, names in _NAMES.items():
        other = next((candidate for candidate in names if candidate in own), None)
        if name in mine and other is not None:
            pairs.append((name, _plain(mine[name]), _plain(own[other])))
    if "momentum" in mine and "_momentum" in own and mine["momentum"] is not None:
        pairs.append(("momentum", mine["momentum"], 1 - own["_momentum"]))
    if "approximate" in mine and "_approximate" in own:
        pairs.append(("approximate", mine["approximate"] == "tanh", bool(own["_approximate"])))
    if "count_include_pad" in mine and "exclusive" in own:
        pairs.append(("count_include_pad", mine["count_include_pad"], not own["exclusive"]))
    if "padding_idx" in mine and "_padding_idx" in own:
        count = mine["num_embeddings"]
        one, other = (
            "none" if index is None else index % count
            for index in (mine["padding_idx"], own["_padding_idx"])
        )
        pairs.append(("padding_idx", one, other))
    if "track_running_stats" in mine and own.get("_use_global_stats"):
        pairs.append(("use_global_stats", False, True))
    for (kind, name), value in _PADDLE_ONLY.items():
        if kind == type(torch_layer).__name__ and name in own:
            pairs.append((name, value, own[name]))
    return pairs


def _plain(value: Any) -> Any:
    """Return sizes as a tuple or, if all are the same, as one number: (1, 1) and 1 are one setting."""
    if isinstance(value, (list, tuple)):
        return value[0] if len(set(value)) == 1 else tuple(value)
    return value.lower() if isinstance(value, str) else value


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return True  # "not given": Paddle's stride=None is its kernel size
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-6 * max(abs(one), abs(other))
    if isinstance(one, tuple) and isinstance(other, tuple) and len(other) == 2 * len(one):
        return other in (tuple(size for size in one for _ in range(2)), one + one)
    return bool(one == other)
