# SPDX-License-Identifier: Apache-2.0
"""load: processes that use a mount at the same time, what they count together, and values that can be checked."""
import hashlib
import mmap
import os
import struct

SHARED = 4096
PARENT = os.getpid()  # the load ends with this process


class Counters:
    """Numbers by name, shared with the children of this process."""

    def __init__(self):
        self.memory = mmap.mmap(-1, SHARED)
        self.slots = {}

    def slot(self, name):
        return self.slots.setdefault(name, 8 * len(self.slots))

    def get(self, name):
        return struct.unpack_from("q", self.memory, self.slots[name])[0]

    def set(self, name, value):
        struct.pack_into("q", self.memory, self.slots[name], value)

    def add(self, name, by=1):
        self.set(name, self.get(name) + by)


def stamped(number, size=900):
    """A value that says which it is, and can be checked."""
    body = b"%d " % number + bytes([65 + number % 26]) * (size * (1 + number % 5))
    return body + b" " + hashlib.sha256(body).hexdigest().encode()


def number_of(value):
    body, _, digest = value.rpartition(b" ")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(f"half a value, of {len(value)} bytes")
    return int(body.split(b" ")[0])


def until_told(counters, who, step):
    """Run @step(number) again and again. Any exception is a failure, which the parent counts and this shows."""
    number = 0
    while not counters.get("stop") and os.getppid() == PARENT and counters.get(f"{who}.failed") < 5:
        number += 1
        try:
            step(number)
            counters.add(f"{who}.done")
        except Exception as error:
            counters.add(f"{who}.failed")
            os.write(1, f"# {who}: {type(error).__name__}: {error}\n".encode())
