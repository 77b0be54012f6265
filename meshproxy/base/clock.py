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


_MIDDLE = f"-{bits(16):04x}-4{bits(12):03x}-{0x8000 | bits(14):04x}-"


def request_id() -> bytes:
    """A random UUID (version 4, RFC 9562) as 36 ASCII bytes. What stands in its middle is drawn once
    for the process: 80 bits for each request are enough to tell them apart, and cost half."""
    drawn = bits(80).to_bytes(10, "big").hex()
    return (drawn[:8] + _MIDDLE + drawn[8:]).encode()
