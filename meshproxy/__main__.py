"""`python -m meshproxy` and the `meshproxy` command."""

import sys

from meshproxy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
