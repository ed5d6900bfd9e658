"""Gives pytest the options and tests of the suite where the package is not installed.

An installed package does it by its entry point, which pytest reads before it looks for this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.conformance import pytest_plugin

if TYPE_CHECKING:
    import pytest


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the plugin, once."""
    if pytest_plugin not in pluginmanager.get_plugins():
        pluginmanager.register(pytest_plugin, "rrelu_compat")
