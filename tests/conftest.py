"""What all tests need of their process."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# a shell that starts tests in the background lets them ignore Ctrl-C, and all that they start with them
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how long an example takes, or is made for, says how busy the machine is, and nothing of what is tested
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
