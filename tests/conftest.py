"""Fixtures of real parts, shared by every suite."""

pytest_plugins = (
    "tests.plugins.chart",
    "tests.plugins.controlplane",
    "tests.plugins.mosquitto",
    "tests.plugins.postgres",
    "tests.plugins.prometheus",
    "tests.plugins.solace",
)
