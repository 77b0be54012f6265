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


_VERSION = 0x4 << 76 | 0x2 << 62
_RANDOM = ~(0xF << 76 | 0x3 << 62)


def request_id() -> bytes:
    """A random UUID (version 4, RFC 9562) as 36 ASCII bytes."""
    digits = (bits(128) & _RANDOM | _VERSION).to_bytes(16, "big").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()
