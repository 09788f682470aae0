"""Every fact about additive attention is held on both paths of the CPU."""

import pytest

from heedful.kernels.additive import backend, chunked, cpu


@pytest.fixture(params=["numba", "chunked"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the compiled kernels, or the plain PyTorch that stands in where they cannot run."""
    module = {"numba": cpu, "chunked": chunked}[request.param]
    monkeypatch.setattr(backend, "_module", lambda device: module)
    monkeypatch.setattr(backend, "choice", lambda device: (request.param, "a test chose it"))
    return request.param
