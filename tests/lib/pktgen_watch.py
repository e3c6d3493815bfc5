#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts by their sequence numbers the packets that the kernel's pktgen sends to an interface here.

    pktgen_watch.py DEVICE        until SIGINT or SIGTERM; then prints one JSON object

received, lost (numbers that never came), doubled, late (came after a higher number), gap_ms (the
longest time without a packet), gap_lost (the most numbers that were lost in one place).
"""
import json
import signal
import socket
import struct
import sys
import time

MAGIC = 0xbe9be955
UDP_PAYLOAD = 14 + 20 + 8


def main(device):
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    listener.bind((device, 0))
    listener.settimeout(0.2)
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    seen = set()
    doubled = late = 0
    gap = 0.0
    last = None
    highest = -1
    print("ready", flush=True)
    while not stopped:
        try:
            frame = listener.recv(2048)
        except TimeoutError:
            continue
        if len(frame) < UDP_PAYLOAD + 8:
            continue
        magic, number = struct.unpack_from("!II", frame, UDP_PAYLOAD)
        if magic != MAGIC:
            continue
        now = time.monotonic()
        if last is not None:
            gap = max(gap, now - last)
        last = now
        if number in seen:
            doubled += 1
        elif number < highest:
            late += 1
        seen.add(number)
        highest = max(highest, number)
    numbers = sorted(seen)
    steps = [b - a - 1 for a, b in zip(numbers, numbers[1:])]
    print(json.dumps({"received": len(seen) + doubled, "lost": sum(steps), "doubled": doubled,
                      "late": late, "gap_ms": round(gap * 1000), "gap_lost": max(steps, default=0)}))


if __name__ == "__main__":
    main(sys.argv[1])
