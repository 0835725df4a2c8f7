"""`python -m edgepose`: the command line."""

from __future__ import annotations

import sys

from edgepose.commands.cli import main

sys.exit(main())
