"""Waiting for what other threads and processes do, instead of for a time."""

import time


def until(condition, timeout=30):
    """Wait until the condition holds: whether it does, which is False once `timeout` seconds have passed."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
