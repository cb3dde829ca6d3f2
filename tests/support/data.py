"""Where the real data lies, and a skip by name where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(
    os.environ.get("DRIFTLINE_SHARED_DATA")
    or Path(__file__).resolve().parents[3] / "shared" / "data"
)

needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="needs the shared data folder beside the checkout (or DRIFTLINE_SHARED_DATA)",
)
