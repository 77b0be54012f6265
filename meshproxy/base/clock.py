"""Time and chance, read here and nowhere else, so that tests can replace both.

`monotonic` seconds for every deadline and duration; `wall` (Unix seconds) only for logs, Date and certificates.
`draw` gives a float in [0, 1), `bits(n)` an int of n random bits.
"""

import random
import time

monotonic = time.monotonic
wall = time.time
draw = random.random
bits = random.getrandbits


def request_id() -> bytes:
    """A random UUID (version 4, RFC 9562) as 36 ASCII bytes."""
    digits = b"%032x" % (bits(128) & ~(0xF << 76 | 0x3 << 62) | (0x4 << 76 | 0x2 << 62))
    return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
