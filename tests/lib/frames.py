#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends frames into one interface and compares what comes out of another, byte for byte.

    frames.py FROM TO [OPTION...]     FROM and TO are NAMESPACE:DEVICE

  --sizes 60-1514   lengths without a tag: a range, or a list with commas
  --count N         so many frames of each size (1)
  --src MAC --dst MAC
  --tag VID         send them with this VLAN tag
  --expect-tag VID  they must arrive with this tag; without the option, without any
  --only-send       do not look whether they arrive
  --none            none may arrive: a marker frame after them, from --marker-src, must
  --marker FROM     NAMESPACE:DEVICE that sends the marker (default: none, then wait a second)

Ends with 0 if every frame arrived once, in order, unaltered; says what was wrong otherwise. At most
32 frames are on their way at once, so that no ring can overflow.
"""
import argparse
import ctypes
import os
import random
import socket
import struct
import sys
import time

ETHERTYPE = 0x88B5  # local experiments
SOL_PACKET = 263
PACKET_AUXDATA = 8
TP_STATUS_VLAN_VALID = 1 << 4
WINDOW = 32
LIBC = ctypes.CDLL(None, use_errno=True)


def open_socket(place, receive):
    """A packet socket on DEVICE in NAMESPACE: this process goes there for a moment."""
    namespace, device = place.split(":")
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if LIBC.setns(there, 0):
            raise OSError(ctypes.get_errno(), "setns")
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((device, 0x0003 if receive else 0))
        return sock
    finally:
        LIBC.setns(home, 0)
        os.close(there)
        os.close(home)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def receive(sock, until):
    """The next frame of ours, its VLAN tag put back where the kernel took it from; None: too late."""
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, ancillary, _, address = sock.recvmsg(65536, 64)
        except TimeoutError:
            return None
        if address[2] == socket.PACKET_OUTGOING:
            continue
        for level, kind, value in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
                if status & TP_STATUS_VLAN_VALID:
                    data = data[:12] + struct.pack("!HH", tpid or 0x8100, tci) + data[12:]
        if ETHERTYPE in struct.unpack_from("!H2xH", data, 12):
            return data
    return None


def tagged(head, vid):
    return head if vid is None else head + struct.pack("!HH", 0x8100, vid)


def make(options, randomness):
    """Pairs of what is sent and what must arrive."""
    head = mac(options.dst) + mac(options.src)
    number = 0
    for size in options.sizes:
        for _ in range(options.count):
            body = struct.pack("!HI", ETHERTYPE, number) + randomness.randbytes(size - 18)
            yield tagged(head, options.tag) + body, tagged(head, options.expect_tag) + body
            number += 1


def difference(got, want):
    if len(got) != len(want):
        return f"{len(got)} bytes instead of {len(want)}: {got[:32].hex()}"
    at = next(i for i in range(len(want)) if got[i] != want[i])
    return f"byte {at} of {len(want)} is {got[at]:#04x}, not {want[at]:#04x}"


def exchange(options, pairs):
    out, into = open_socket(options.source, False), open_socket(options.to, True)
    waiting = []
    sent = 0
    for data, want in pairs + [(None, None)] * WINDOW:
        if data is not None:
            out.send(data)
            waiting.append(want)
            sent += 1
        while waiting and (data is None or len(waiting) >= WINDOW):
            got = receive(into, time.monotonic() + 20)
            if got is None:
                return f"{len(waiting)} of {sent} frames did not arrive; the first has {len(waiting[0])} bytes"
            if got != waiting[0]:
                return f"frame {sent - len(waiting)}: {difference(got, waiting[0])}"
            waiting.pop(0)
    extra = receive(into, time.monotonic() + 0.1)
    return f"a frame more than was sent: {extra[:32].hex()}" if extra else None


def nothing(options, pairs):
    """None of the frames may arrive; the marker, sent after them, tells when that is certain."""
    out, into = open_socket(options.source, False), open_socket(options.to, True)
    for data, _ in pairs:
        out.send(data)
    until = time.monotonic() + 1
    mark = b"\xff" * 6 + mac("02:00:00:00:00:ee") + struct.pack("!H", ETHERTYPE) + b"marker" + bytes(40)
    if options.marker:
        time.sleep(0.1)
        open_socket(options.marker, False).send(mark)
        until += 19
    while got := receive(into, until):
        if options.marker and b"marker" in got:
            return None
        if options.marker is None or b"marker" not in got:
            return f"a frame came through: {got[:32].hex()}"
    return "the marker did not arrive" if options.marker else None


def sizes(text):
    if "-" in text:
        first, last = text.split("-")
        return range(int(first), int(last) + 1)
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("source")
    parser.add_argument("to")
    parser.add_argument("--sizes", type=sizes, default=range(60, 1515))
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--src", default="02:00:00:00:00:01")
    parser.add_argument("--dst", default="02:00:00:00:00:02")
    parser.add_argument("--tag", type=int)
    parser.add_argument("--expect-tag", type=int)
    parser.add_argument("--only-send", action="store_true")
    parser.add_argument("--none", action="store_true")
    parser.add_argument("--marker")
    options = parser.parse_args()
    pairs = list(make(options, random.Random(1)))
    if options.only_send:
        sock = open_socket(options.source, False)
        for data, _ in pairs:
            sock.send(data)
        return 0
    wrong = nothing(options, pairs) if options.none else exchange(options, pairs)
    if wrong:
        print(f"frames: {options.source} to {options.to}: {wrong}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
