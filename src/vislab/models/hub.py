"""The Hugging Face hub, asked only when it can answer."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reaching_the_hub() -> Iterator[None]:
    """Let only the cache be asked while the hub cannot be reached.

    Without this, its client tries for most of a minute and prints each failure.
    """
    if _reachable():
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable() -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HF_ENDPOINT")):
        return True
    try:
        socket.getaddrinfo("huggingface.co", 443)
    except OSError:
        return False
    return True
