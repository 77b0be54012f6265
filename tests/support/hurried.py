"""meshproxy with its guarding time-outs cut to a second or less, so that tests can wait for them.

`PROGRAM` stands in the place of `-m meshproxy`. The time-outs have no flags: nobody needs them but tests.
"""

TIMEOUTS = {"header_timeout": 0.6, "idle_timeout": 0.9, "stream_idle_timeout": 1.2, "sweep_interval": 0.05}

_CODE = f"""
import sys
from meshproxy.__main__ import main
from meshproxy.proxy.options import Options

defaults = Options.__init__.__kwdefaults__
assert defaults.keys() >= {set(TIMEOUTS)!r}
defaults.update({TIMEOUTS!r})
sys.exit(main())
"""
PROGRAM = ("-c", _CODE)
