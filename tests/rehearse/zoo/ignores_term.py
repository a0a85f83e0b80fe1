"""Goes on whatever it is told."""

import signal

from common import Training, run

signal.signal(signal.SIGTERM, signal.SIG_IGN)
run(Training())
