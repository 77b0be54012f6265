"""`meshproxy` under cProfile: `python -m benchmarks.profiled OUT run …` writes the statistics to OUT when it ends."""

import cProfile
import sys

from meshproxy.cli.main import main

if __name__ == "__main__":
    out, *arguments = sys.argv[1:]
    profile = cProfile.Profile()
    try:
        code = profile.runcall(main, arguments)
    finally:
        profile.dump_stats(out)
    sys.exit(code)
