"""Benchmarks are run by hand; here they only start."""

from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["features", "heads", "heatmaps", "own_images", "pipeline", "scale"])
def test_a_benchmark_explains_itself(name, monkeypatch, capsys):
    module = import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert f"python -m benchmarks.{name}" in capsys.readouterr().out
