"""meshproxy with its guarding time-outs cut to a second or less, so that tests can wait for them.

Run as a program, its arguments are meshproxy's. The time-outs have no flags: nobody needs them but tests.
"""

import sys
from pathlib import Path

from meshproxy.__main__ import main
from meshproxy.proxy.options import Options

TIMEOUTS = {"header_timeout": 0.6, "idle_timeout": 0.9, "stream_idle_timeout": 1.2, "sweep_interval": 0.05}
PROGRAM = (str(Path(__file__)),)


def hurry() -> None:
    defaults = Options.__init__.__kwdefaults__
    assert defaults is not None
    assert set(TIMEOUTS) <= set(defaults)
    defaults.update(TIMEOUTS)


if __name__ == "__main__":
    hurry()
    sys.exit(main())
