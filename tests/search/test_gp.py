"""The contract for `gp`, where its library is installed."""

from __future__ import annotations

import pytest

from ..contracts.samplers import SamplerContract

pytest.importorskip("torch")


class TestGp(SamplerContract):
    """A Gaussian process."""

    kind = "gp"

    def differs_with_history(self) -> bool:
        """It models the values."""
        return True
