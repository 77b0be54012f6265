"""Request ids are random UUIDs of version 4."""

import uuid

from meshproxy.base import clock


def test_a_request_id_is_a_uuid_of_version_4() -> None:
    for _ in range(1000):
        text = clock.request_id().decode()
        read = uuid.UUID(text)
        assert (str(read), read.version, read.variant) == (text, 4, uuid.RFC_4122)


def test_the_first_and_the_last_part_are_drawn_each_time() -> None:
    seen_set, seen_clear = 0, 0
    for _ in range(200):
        value = uuid.UUID(clock.request_id().decode()).int
        seen_set |= value
        seen_clear |= ~value
    assert (seen_set & seen_clear & (1 << 128) - 1).bit_count() == 32 + 48
