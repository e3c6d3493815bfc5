#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds the frames that a guest handed to the switch against those that another was given.

    offload_frames.py LEFT.pcap ARRIVED.pcap

Looks at UDP, and at TCP with payload. Prints one JSON object: for `left` and `arrived` how many frames there
are, how long the longest is, how many have a checksum that is only begun (the sum of the pseudo header), how
many a complete one, and how many of each protocol; and in `same` whether each frame that arrived is one that
left, byte for byte and in order.
"""
import json
import struct
import sys


def frames(path):
    data = open(path, "rb").read()
    (magic,) = struct.unpack_from("<I", data)
    if magic != 0xA1B2C3D4:
        raise SystemExit(f"{path}: not a capture")
    at = 24
    while at < len(data):
        _, _, kept, length = struct.unpack_from("<4I", data, at)
        if kept != length:
            raise SystemExit(f"{path}: a frame of {length} bytes is not all there")
        yield data[at + 16:at + 16 + kept]
        at += 16 + kept


def total(data):
    """The sum of its 16-bit words, as far as ones' complement tells sums apart."""
    return int.from_bytes(data + bytes(len(data) % 2), "big") % 65535


def transport(frame):
    """The protocol ("tcp4"), the pseudo header, the transport header and what follows; None for other frames."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        at, version, number = 14 + (frame[14] & 15) * 4, "4", frame[23]
        end, addresses = 14 + struct.unpack_from("!H", frame, 16)[0], frame[26:34]
    elif kind == 0x86DD:
        at, version, number = 54, "6", frame[20]
        end, addresses = 54 + struct.unpack_from("!H", frame, 18)[0], frame[22:54]
    else:
        return None
    if number not in (6, 17) or end > len(frame):
        return None
    if number == 6 and end == at + (frame[at + 12] >> 4) * 4:
        return None
    pseudo = addresses + struct.pack("!II", end - at, number)
    return ("tcp" if number == 6 else "udp") + version, pseudo, frame[at:end]


def look(path):
    found = []
    sums = {"frames": 0, "longest": 0, "begun": 0, "complete": 0, "tcp4": 0, "tcp6": 0, "udp4": 0, "udp6": 0}
    for frame in frames(path):
        parts = transport(frame)
        if parts is None:
            continue
        protocol, pseudo, rest = parts
        (field,) = struct.unpack_from("!H", rest, 16 if protocol.startswith("tcp") else 6)
        found.append(frame)
        sums["frames"] += 1
        sums["longest"] = max(sums["longest"], len(frame))
        sums["begun"] += field % 65535 == total(pseudo)
        sums["complete"] += (total(pseudo) + total(rest)) % 65535 == 0
        sums[protocol] += 1
    return found, sums


def main(left_path, arrived_path):
    left, left_sums = look(left_path)
    arrived, arrived_sums = look(arrived_path)
    rest = iter(left)
    same = all(any(frame == one for one in rest) for frame in arrived)
    print(json.dumps({"left": left_sums, "arrived": arrived_sums, "same": same}))


if __name__ == "__main__":
    main(*sys.argv[1:])
