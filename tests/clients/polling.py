"""Waiting for a condition, as every client of this API has to."""

import time

TIMEOUT_SECS = 10


def until(look, is_reached, timeout_secs=TIMEOUT_SECS):
    """Looks until what is seen satisfies `is_reached`, and returns that."""
    deadline = time.monotonic() + timeout_secs
    while True:
        seen = look()
        if is_reached(seen):
            return seen
        assert time.monotonic() < deadline, f"not in {timeout_secs} s; last seen: {seen}"
        time.sleep(0.05)
