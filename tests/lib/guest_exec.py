#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs one shell command in a test guest, over the unix socket of its second serial port.

    guest_exec.py SOCKET SECONDS COMMAND     prints its output, ends with its status
    guest_exec.py --wait SOCKET SECONDS      waits until the guest runs commands

A command that has no answer in time ends with 124, as with timeout(1); a guest that cannot be
reached with 125.
"""
import base64
import os
import signal
import socket
import sys
import time


class Guest:
    """The guest's control port. The guest answers `run ID SECONDS BASE64` with the lines
    `begin ID`, the output in base64, `end ID STATUS`; all other lines are none of ours."""

    def __init__(self, path, seconds):
        self.deadline = time.monotonic() + seconds
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                self.socket.connect(path)
                self.socket.settimeout(seconds)
                return
            except OSError as error:
                if time.monotonic() > self.deadline:
                    raise SystemExit(f"guest: {path}: {error.strerror}") from error
                time.sleep(0.1)

    def lines(self, until):
        """The lines that come until then; the last word is None if time was up."""
        pending = b""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return
            if not data:
                raise SystemExit("guest: it is gone")
            pending += data
            *complete, pending = pending.split(b"\n")
            for line in complete:
                yield line.decode("ascii", "replace").strip()

    def run(self, command, seconds, ident):
        """One attempt: (status, output), or None without an answer within that time."""
        code = base64.b64encode(command.encode()).decode()
        if len(code) > 3500:
            raise SystemExit("guest: the command is too long for one line of a terminal")
        limit = max(1, int(self.deadline - time.monotonic()) + 1)
        try:
            self.socket.sendall(f"\nrun {ident} {limit} {code}\n".encode())
        except TimeoutError:
            return None
        output = None
        for line in self.lines(time.monotonic() + seconds):
            if line == f"begin {ident}":
                output = []
            elif output is not None and line.startswith(f"end {ident} "):
                return int(line.split()[2]), base64.b64decode("".join(output))
            elif output is not None:
                output.append(line)
        return None


def main(arguments):
    if arguments[0] == "--wait":
        guest = Guest(arguments[1], float(arguments[2]))
        attempt = 0
        while time.monotonic() < guest.deadline:
            attempt += 1
            if guest.run("true", 0.4, f"w{os.getpid()}.{attempt}"):
                return 0
        print("guest: it does not run commands", file=sys.stderr)
        return 124
    path, seconds, command = arguments
    guest = Guest(path, float(seconds))
    answer = guest.run(command, float(seconds) + 2, f"c{os.getpid()}.{time.monotonic_ns()}")
    if answer is None:
        print(f"guest: no answer within {seconds} s to: {command}", file=sys.stderr)
        return 124
    status, output = answer
    sys.stdout.buffer.write(output)
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
