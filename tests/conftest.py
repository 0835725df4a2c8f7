"""For all tests: nothing is compiled behind their back."""

from __future__ import annotations

import os

os.environ.setdefault("EDGEPOSE_BUILD_KERNELS", "no")
