"""`python -m edgepose`: the command line."""

from __future__ import annotations

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # while it loads, Ctrl-C ends it without a word
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edgepose.commands.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
else:
    from edgepose.commands.cli import main

sys.exit(main())
