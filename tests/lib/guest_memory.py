#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares the memory of a guest that has been migrated, while neither QEMU runs it.

    guest_memory.py OLD-PID NEW-PID ACCELERATOR MEMORY-START RECEIVE-QUEUE TRANSMIT-QUEUE

The queues are what QEMU's x-query-virtio-queue-status says of them. All that the switch wrote must have arrived:
the used rings, and the frames that the guest has not taken from its buffers.

QEMU before 9.0 loses writes of emulated CPUs, with a network card or without: it clears the bits of pages that were
written and leaves the CPU its fast way to them, on which none is set ("system/physmem: Fix migration dirty bitmap
coherency with TCG memory access"). A guest that finds such a page may hang, as a Linux driver does whose queue has
forgotten what it sent. So under emulation those pages are copied.
"""
import json
import mmap
import os
import struct
import sys

PAGE = 4096
CHUNK = 256 * PAGE


def memory_of(pid):
    """The guest's memory, as a file that is mapped."""
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        if "memfd:memory-backend" in os.readlink(f"{folder}/{name}"):
            fd = os.open(f"{folder}/{name}", os.O_RDWR)
            return mmap.mmap(fd, os.fstat(fd).st_size)
    raise SystemExit(f"the process {pid} has no guest memory")


def differing_pages(old, new):
    for chunk in range(0, len(old), CHUNK):
        if old[chunk:chunk + CHUNK] != new[chunk:chunk + CHUNK]:
            for page in range(chunk, min(chunk + CHUNK, len(old)), PAGE):
                if old[page:page + PAGE] != new[page:page + PAGE]:
                    yield page


class Queue:
    def __init__(self, memory, start, status):
        status = json.loads(status)
        self.memory, self.start, self.size = memory, start, status["vring-num"]
        self.desc, self.avail, self.used = (status[f"vring-{area}"] - start for area in ("desc", "avail", "used"))
        self.avail_idx, = struct.unpack_from("<H", memory, self.avail + 2)
        self.used_idx, = struct.unpack_from("<H", memory, self.used + 2)

    def used_ring(self):
        return self.used, 4 + 8 * self.size + 2

    def frames(self):
        """Where the switch wrote what the guest may not have taken yet: its buffers were not offered again."""
        offered = {struct.unpack_from("<H", self.memory, self.avail + 4 + 2 * (at % self.size))[0]
                   for at in range(self.used_idx, self.used_idx + (self.avail_idx - self.used_idx) % 65536)}
        for slot in range(self.size):
            head, written = struct.unpack_from("<II", self.memory, self.used + 4 + 8 * slot)
            if head < self.size and head not in offered:
                address, length = struct.unpack_from("<QI", self.memory, self.desc + 16 * head)
                if self.start <= address < self.start + len(self.memory):
                    yield address - self.start, min(length, written)


def main(old_pid, new_pid, accelerator, start, receive, transmit):
    old, new = memory_of(old_pid), memory_of(new_pid)
    if len(old) != len(new):
        raise SystemExit("the guests have memory of different sizes")
    pages = list(differing_pages(old, new))
    if not pages:
        print("the guest's memory arrived as it was")
        return
    queues = [Queue(old, int(start, 0), status) for status in (receive, transmit)]
    written = [queue.used_ring() for queue in queues] + list(queues[0].frames())
    lost = [f"{at:#x}, {size} bytes" for at, size in written if old[at:at + size] != new[at:at + size]]
    if lost:
        raise SystemExit(f"what the switch wrote did not arrive: {'; '.join(lost)}")
    if accelerator == "tcg":
        for page in pages:
            new[page:page + PAGE] = old[page:page + PAGE]
    some = ", ".join(hex(page) for page in pages[:8]) + (", ..." if len(pages) > 8 else "")
    print(f"pages of {accelerator}'s CPU that did not arrive: {len(pages)} ({some})")


if __name__ == "__main__":
    main(*sys.argv[1:])
