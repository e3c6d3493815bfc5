# SPDX-License-Identifier: BSD-2-Clause
"""What tests/bench/run measures: one entry a line of the table."""

from peers import Setup

ALL = ("weft", "testpmd", "ovs", "floor")


class Case:
    """kind: rate, paced, ping, first, idle, poll_cost. `who`: contestants. `gen`: its arguments. `part`: of
    its own maximum, paced. `beside`: a case that weft alone runs too, in the same rounds: what it is a part of.
    `label`: before its results, as they are told."""

    def __init__(self, name, title, kind="rate", who=ALL, gen=(), setup=None, seconds=None, group="forward",
            part=0.9):
        self.name, self.title, self.kind, self.who = name, title, kind, tuple(who)
        self.gen, self.setup, self.seconds, self.group = tuple(gen), setup or Setup(), seconds, group
        self.part, self.beside, self.label = part, None, ""

    def own_two(self):
        """What many guests are held against: two, in the same minutes."""
        self.beside = Case(f"{self.name}-two", "two guests", who=("weft",))
        self.beside.label = "two guests: "
        return self


def forward_cases():
    two, four, many = Setup(), Setup(ports=4), Setup(ports=16, addresses=10000)
    cases = [Case("64", "64 B, two guests, both directions", setup=two)]
    for size in (128, 256, 512, 1024, 1514):
        cases.append(Case(str(size), f"{size} B", gen=("--size", str(size)), setup=two))
    cases += [
        Case("imix", "IMIX (64, 570, 1514 as 7:4:1)", gen=("--size", "imix"), setup=two),
        Case("ring1024", "64 B, rings of 1024", gen=("--ring", "1024"), setup=two),
        Case("512-ring1024", "512 B, rings of 1024", gen=("--size", "512", "--ring", "1024"), setup=two),
        Case("1514-ring1024", "1514 B, rings of 1024", gen=("--size", "1514", "--ring", "1024"), setup=two),
        Case("nomrg", "64 B, without mergeable buffers", gen=("--no-mergeable",), setup=two),
        Case("paced90", "paced at 90 % of its own maximum", kind="paced", who=("weft", "testpmd", "ovs"),
            gen=("--verify",), setup=two, seconds=30),
        Case("paced90-1024", "the same, rings of 1024", kind="paced", who=("weft", "testpmd", "ovs"),
            gen=("--verify", "--ring", "1024"), setup=two, seconds=30),
        Case("paced95", "paced at 95 % of its own maximum", kind="paced", who=("weft",),
            gen=("--verify",), setup=two, seconds=30, part=0.95),
        Case("latency", "one-way latency at 1 Mpps", who=("weft", "testpmd", "ovs"),
            gen=("--rate", "1000000", "--verify"), setup=two, kind="latency"),
        Case("first", "first frame after idle (sleeping worker; floor: a thread that is woken)", kind="first",
            who=("weft", "floor"), gen=("--gap", "10000"), setup=two, seconds=10),
        Case("first-awake", "first frame after idle, cores kept from halting", kind="first", who=("weft",),
            gen=("--gap", "10000"), setup=Setup(wakeup_us=0), seconds=10),
        Case("ping", "round trip of one frame, worker polling", kind="ping", who=("weft", "testpmd", "ovs"),
            setup=Setup(poll=True)),
        Case("9000", "9000 B", gen=("--size", "9000"), who=("weft", "testpmd", "ovs"), setup=Setup(mtu=9000)),
        Case("guests4", "64 B, 4 guests, each to all others", who=("weft", "ovs"),
            gen=("--pattern", "mesh"), setup=four),
        Case("broadcast", "64 B, 4 guests, broadcast", who=("weft", "ovs"), gen=("--pattern", "broadcast"),
            setup=four),
        Case("guests16", "64 B, 16 guests, 10,000 addresses", who=("weft", "ovs"),
            gen=("--pattern", "mesh", "--addresses", "10000"), setup=many).own_two(),
        Case("guests16-mixed", "the same, every frame to another guest", who=("weft", "ovs"),
            gen=("--pattern", "mesh", "--addresses", "10000", "--train", "1"), setup=many).own_two(),
        Case("idle16", "CPU of the idle daemon, 16 guests", kind="idle", who=("weft",), setup=many, seconds=8),
    ]
    return cases


def uplink_cases():
    setup = Setup(ports=1, uplink=True)
    who = ("weft", "testpmd", "ovs")
    gen = ("--pattern", "oneway", "--verify")
    return [
        Case("nic-to-vm", "64 B, NIC (veth, AF_XDP) to VM", who=who, gen=gen, setup=setup, group="uplink"),
        Case("vm-to-nic", "64 B, VM to NIC", who=who, gen=gen, setup=setup, group="uplink"),
        Case("nic-vm-both", "64 B, both directions", who=who, gen=("--pattern", "pairs", "--verify"),
            setup=setup, group="uplink"),
        Case("nic-paced90", "both directions, paced at 90 % of its own maximum (weft: rx-ring 16384)", kind="paced",
            who=who, gen=("--pattern", "pairs", "--verify", "--ring", "1024"),
            setup=Setup(ports=1, uplink=True, rx_ring=16384), group="uplink", seconds=30),
    ]


def tso_cases():
    setup = Setup(tso=True)
    who = ("weft", "testpmd", "ovs")
    gen = ("--tso", "--ring", "1024", "--window", "16", "--min-batch", "1")
    return [
        Case("tso", "64 KiB segments, first lines touched by the guests", who=who,
            gen=gen + ("--write", "head", "--read", "head"), setup=setup, group="tso"),
        Case("tso-full", "64 KiB segments, written and read whole", who=who, gen=gen, setup=setup, group="tso"),
    ]


def scale_cases():
    cases = []
    for n in (1, 16, 64, 256):
        cases.append(Case(f"poll{n}", f"a look at an idle port, {n} of them", kind="poll_cost", who=("weft",),
            setup=Setup(ports=n, poll=True), seconds=2, group="scale"))
    mesh = ("--pattern", "mesh", "--verify")
    cases += [
        Case("one-worker", "64 B, 4 guests, one worker", who=("weft",), gen=mesh, setup=Setup(ports=4), group="scale"),
        Case("two-workers", "the same, two workers share the destinations (one beside the generator)",
            who=("weft",), gen=mesh, setup=Setup(ports=4, workers=(1, 0)), group="scale"),
    ]
    return cases


def select(args):
    """The cases that the command line asks for."""
    cases = []
    chosen = args.uplink or args.tso or args.scale
    if args.all or not chosen:
        cases += forward_cases()
    if args.all or args.uplink:
        cases += uplink_cases()
    if args.all or args.tso:
        cases += tso_cases()
    if args.all or args.scale:
        cases += scale_cases()
    if args.case:
        every = forward_cases() + uplink_cases() + tso_cases() + scale_cases()
        names = [c.name for c in every]
        for name in args.case:
            if name not in names:
                raise SystemExit(f"run: no case {name}; there are: {' '.join(names)}")
        cases = [c for c in every if c.name in args.case]
    return cases
