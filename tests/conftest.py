from __future__ import annotations

import signal

# A runner that starts the tests in the background has SIGINT ignored, and every process that they start inherits that;
# the tests that press Ctrl-C need it to work.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
