// SPDX-License-Identifier: BSD-2-Clause
// The generator's command line.
#include "tests/bench/gen.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFLOADS                                                       \
	(1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM | \
		1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO4)
// A 64 KiB segment as Linux builds them: 45 times 1448 bytes behind 66 of headers.
#define TSO_BYTES (45u * 1448u + 66u)

void gen_help(void)
{
	puts("gen: plays the guests of a switch from one core, over vhost-user sockets\n"
	     "\n"
	     "usage: gen COMMAND [OPTION...] SOCKET SOCKET...\n"
	     "       gen rtt [--core N] [--peer-core N]\n"
	     "\n"
	     "commands\n"
	     "  load   send all that goes through, or --rate; count what arrives\n"
	     "  ping   one frame back and forth between the first two guests: round trip\n"
	     "  first  one frame after --gap of silence: one-way latency\n"
	     "  idle   connect, let the switch learn, keep silent for --seconds\n"
	     "  rtt    nanoseconds of a cache line's round trip between the two cores\n"
	     "A SOCKET is where the switch listens, or with --listen where it connects to;\n"
	     "iface:NAME is a Linux interface in place of a guest; a program sends on it without "
	     "socket\n"
	     "buffers, so a veth's other end must have XDP or GRO on.\n"
	     "\n"
	     "traffic\n"
	     "  --size N|imix      frame length without FCS, 64..9000 (64); imix: 64, 570, 1514 as "
	     "7:4:1\n"
	     "  --pattern P        pairs (0<->1, 2<->3..), oneway, mesh, broadcast (pairs)\n"
	     "  --addresses N      addresses of all guests together, up to 10000 (1 each)\n"
	     "  --train N          frames in a row to one guest, with mesh (32)\n"
	     "  --rate N           frames a second of all guests together; latencies are measured\n"
	     "  --window N         frames on their way to the partner at most, as TCP does (pairs, "
	     "oneway)\n"
	     "  --seconds S        measured time (3), after --warmup S (0.5)\n"
	     "  --gap US           of first: silence between US and twice that (20000)\n"
	     "  --tso              64 KiB TCP segments, offloads negotiated\n"
	     "  --write W          what is written of a frame before it is sent: full, head (its "
	     "first\n"
	     "                     line), none (full)\n"
	     "  --read R           what is read of a frame received: full, head, none (full)\n"
	     "  --verify           check each frame's content, order, loss and duplicates\n"
	     "\n"
	     "guests\n"
	     "  --ring N           entries of each ring, a power of two up to 1024 (256)\n"
	     "  --batch N          frames of a guest at a time, up to 256 (128)\n"
	     "  --min-batch N      do not send fewer than N at a time, unless paced (16)\n"
	     "  --buffer N         bytes of a receive buffer, header included (what the longest "
	     "frame\n"
	     "                     takes, 4096 at most); buffers lie as close as that allows\n"
	     "  --segment N        send frames as chains of N-byte buffers (whole; with --tso "
	     "32768)\n"
	     "  --no-mergeable     without VIRTIO_NET_F_MRG_RXBUF\n"
	     "  --no-event-idx     without VIRTIO_RING_F_EVENT_IDX\n"
	     "  --legacy           without VIRTIO_F_VERSION_1\n"
	     "  --features HEX     exactly these, instead of VERSION_1, MRG_RXBUF, EVENT_IDX, "
	     "INDIRECT_DESC\n"
	     "  --no-kick          never look whether the switch wants to be woken\n"
	     "  --no-huge          guest memory in small pages\n"
	     "  --floor N          no switch: N guests over the barest forwarder, one copy and no "
	     "more\n"
	     "                     (first: a thread that is woken by a kick and answers)\n"
	     "  --core N           core of the generator (0); --peer-core N: the switch's (1), -1: "
	     "unknown\n"
	     "\n"
	     "The result is one JSON object. near: the cores were close to each other before and "
	     "after;\n"
	     "moved: they were not equally so; disturbed: something else ran on the generator's "
	     "core\n"
	     "(load is the machine's load average at the start). Such results are not to be "
	     "compared.\n"
	     "\n"
	     "examples\n"
	     "  gen load vm1.sock vm2.sock\n"
	     "  gen load --size 1514 --verify --rate 1e6 --seconds 30 vm1.sock vm2.sock\n"
	     "  gen load --pattern mesh --addresses 10000 vm{1..16}.sock\n"
	     "  gen load --tso --ring 1024 vm1.sock vm2.sock\n"
	     "  gen ping --listen vm1.sock vm2.sock\n"
	     "  ip netns exec a gen load --pattern oneway iface:veth0 vm1.sock");
}

static int fail(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "gen: %s %s: expected %s\n", option, value, expected);
	return 2;
}

// A number of [low, high] in *to.
static bool get_number(const char *text, double low, double high, double *to)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= low && v <= high))
		return false;
	*to = v;
	return true;
}

static bool get_unsigned(const char *text, double low, double high, unsigned *to)
{
	double v;

	if (!get_number(text, low, high, &v))
		return false;
	*to = (unsigned)v;
	return true;
}

static bool get_word(const char *text, const char *const *words, unsigned n, unsigned *to)
{
	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(text, words[i])) {
			*to = i;
			return true;
		}
	}
	return false;
}

static bool get_size(struct gen_options *o, const char *text)
{
	static const unsigned imix[3] = {64, 570, 1514};

	o->size_name = text;
	if (!strcmp(text, "imix")) {
		memcpy(o->sizes, imix, sizeof(imix));
		o->n_sizes = 3;
		return true;
	}
	o->n_sizes = 1;
	return get_unsigned(text, 64, 9000, &o->sizes[0]);
}

enum {
	O_SIZE = 256,
	O_PATTERN,
	O_ADDRESSES,
	O_TRAIN,
	O_RATE,
	O_WINDOW,
	O_SECONDS,
	O_WARMUP,
	O_GAP,
	O_TSO,
	O_WRITE,
	O_READ,
	O_VERIFY,
	O_RING,
	O_BATCH,
	O_MIN_BATCH,
	O_BUFFER,
	O_SEGMENT,
	O_NO_MERGEABLE,
	O_NO_EVENT_IDX,
	O_LEGACY,
	O_FEATURES,
	O_NO_KICK,
	O_NO_HUGE,
	O_CORE,
	O_PEER_CORE,
	O_LISTEN,
	O_FLOOR,
	O_HELP
};

static const struct option longs[] = {
	{"size", 1, NULL, O_SIZE},
	{"pattern", 1, NULL, O_PATTERN},
	{"addresses", 1, NULL, O_ADDRESSES},
	{"train", 1, NULL, O_TRAIN},
	{"rate", 1, NULL, O_RATE},
	{"window", 1, NULL, O_WINDOW},
	{"seconds", 1, NULL, O_SECONDS},
	{"warmup", 1, NULL, O_WARMUP},
	{"gap", 1, NULL, O_GAP},
	{"tso", 0, NULL, O_TSO},
	{"write", 1, NULL, O_WRITE},
	{"read", 1, NULL, O_READ},
	{"verify", 0, NULL, O_VERIFY},
	{"ring", 1, NULL, O_RING},
	{"batch", 1, NULL, O_BATCH},
	{"min-batch", 1, NULL, O_MIN_BATCH},
	{"buffer", 1, NULL, O_BUFFER},
	{"segment", 1, NULL, O_SEGMENT},
	{"no-mergeable", 0, NULL, O_NO_MERGEABLE},
	{"no-event-idx", 0, NULL, O_NO_EVENT_IDX},
	{"legacy", 0, NULL, O_LEGACY},
	{"features", 1, NULL, O_FEATURES},
	{"no-kick", 0, NULL, O_NO_KICK},
	{"no-huge", 0, NULL, O_NO_HUGE},
	{"core", 1, NULL, O_CORE},
	{"peer-core", 1, NULL, O_PEER_CORE},
	{"listen", 0, NULL, O_LISTEN},
	{"floor", 1, NULL, O_FLOOR},
	{"help", 0, NULL, O_HELP},
	{NULL, 0, NULL, 0},
};

static bool set_traffic(struct gen_options *o, int opt, const char *v)
{
	static const char *const patterns[] = {"pairs", "oneway", "mesh", "broadcast"};
	static const char *const touches[] = {"none", "head", "full"};
	unsigned word;
	bool ok = true;

	switch (opt) {
	case O_SIZE:
		return get_size(o, v);
	case O_PATTERN:
		ok = get_word(v, patterns, 4, &word);
		o->pattern = ok ? word : o->pattern;
		return ok;
	case O_WRITE:
		ok = get_word(v, touches, 3, &word);
		o->write = ok ? word : o->write;
		return ok;
	case O_READ:
		ok = get_word(v, touches, 3, &word);
		o->read = ok ? word : o->read;
		return ok;
	case O_ADDRESSES:
		return get_unsigned(v, 1, GEN_ADDRESS_MAX, &o->addresses);
	case O_TRAIN:
		return get_unsigned(v, 1, 1e6, &o->train);
	case O_RATE:
		o->latency = true;
		return get_number(v, 1, 1e9, &o->rate);
	case O_WINDOW:
		return get_unsigned(v, 1, 1e6, &o->window);
	case O_SECONDS:
		return get_number(v, 0.01, 3600, &o->seconds);
	case O_WARMUP:
		return get_number(v, 0, 60, &o->warmup);
	case O_GAP:
		return get_unsigned(v, 1, 5e6, &o->gap_us);
	case O_TSO:
		return o->tso = true;
	case O_VERIFY:
		return o->verify = true;
	}
	return false;
}

static bool set_guest(struct gen_options *o, int opt, const char *v)
{
	double number;

	switch (opt) {
	case O_RING:
		return get_unsigned(v, 2, 1024, &o->ring) && vq_size_is_valid(o->ring);
	case O_BATCH:
		return get_unsigned(v, 1, GEN_BATCH_MAX, &o->batch);
	case O_MIN_BATCH:
		return get_unsigned(v, 1, GEN_BATCH_MAX, &o->min_batch);
	case O_BUFFER:
		return get_unsigned(v, 128, 66000, &o->rx_buf);
	case O_SEGMENT:
		return get_unsigned(v, 64, 65536, &o->tx_seg);
	case O_NO_MERGEABLE:
		o->features &= ~(1ull << VIRTIO_NET_F_MRG_RXBUF);
		return true;
	case O_NO_EVENT_IDX:
		o->features &= ~(1ull << VIRTIO_RING_F_EVENT_IDX);
		return true;
	case O_LEGACY:
		o->features &= ~(1ull << VIRTIO_F_VERSION_1);
		return true;
	case O_FEATURES:
		o->features = strtoull(v, NULL, 16);
		return o->features != 0;
	case O_NO_KICK:
		o->kick = false;
		return true;
	case O_NO_HUGE:
		o->huge = false;
		return true;
	case O_LISTEN:
		return o->listen = true;
	case O_FLOOR:
		o->floor = true;
		for (unsigned i = 0; i < GEN_GUESTS_MAX; i++)
			o->sockets[i] = "floor";
		return get_unsigned(v, 2, GEN_GUESTS_MAX, &o->n_guests);
	case O_CORE:
	case O_PEER_CORE:
		if (!get_number(v, -1, 1023, &number))
			return false;
		*(opt == O_CORE ? &o->core : &o->peer_core) = (int)number;
		return true;
	}
	return false;
}

static const char *option_name(int opt)
{
	for (unsigned i = 0; longs[i].name; i++) {
		if (longs[i].val == opt)
			return longs[i].name;
	}
	return "?";
}

// What only makes sense together.
static int complete(struct gen_options *o)
{
	unsigned longest;

	if (o->tso) {
		o->sizes[0] = TSO_BYTES;
		o->n_sizes = 1;
		o->size_name = "65226";
		o->features |= OFFLOADS;
		o->tx_seg = o->tx_seg ? o->tx_seg : 32768;
		o->rx_buf = o->rx_buf ? o->rx_buf : 4096;
	}
	longest = o->sizes[o->n_sizes - 1];
	if (!o->rx_buf)
		o->rx_buf = longest + 12 < 4096 ? longest + 12 : 4096;
	if (!(o->features & 1ull << VIRTIO_NET_F_MRG_RXBUF) && longest + 12 > o->rx_buf)
		o->rx_buf = longest + 12;
	o->verify = o->verify || o->latency; // times are read from frames that are ours
	if (o->verify && o->write == GEN_NONE)
		return fail("--write", "none", "frames that are written, to --verify them");
	if (o->write == GEN_NONE && o->pattern == GEN_MESH)
		return fail("--write", "none", "a pattern other than mesh");
	if (o->window && o->pattern != GEN_PAIRS && o->pattern != GEN_ONEWAY)
		return fail("--window", "", "pairs or oneway");
	if (o->min_batch > o->batch)
		o->min_batch = o->batch;
	if (o->min_batch > o->ring / 2)
		o->min_batch = o->ring / 2;
	if (o->n_guests < (strcmp(o->command, "idle") ? 2 : 1))
		return fail("SOCKET", "", "at least two");
	if (o->verify && o->n_guests > GEN_VERIFY_MAX)
		return fail("--verify", "", "at most 16 guests with it");
	return 0;
}

int gen_options_parse(struct gen_options *o, int argc, char **argv)
{
	int opt;

	*o = (struct gen_options){.n_sizes = 1,
		.sizes = {64},
		.size_name = "64",
		.ring = 256,
		.batch = 128,
		.min_batch = 16,
		.train = 32,
		.write = GEN_FULL,
		.read = GEN_FULL,
		.kick = true,
		.huge = true,
		.seconds = 3,
		.warmup = 0.5,
		.gap_us = 20000,
		.core = 0,
		.peer_core = 1,
		.features = FRONT_GUEST_FEATURES & ~(1ull << VIRTIO_NET_F_STATUS)};
	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (opt == 'h' || opt == O_HELP) {
			gen_help();
			exit(0);
		}
		if (opt == '?')
			return 2;
		if (!set_traffic(o, opt, optarg) && !set_guest(o, opt, optarg))
			return fail(option_name(opt), optarg ? optarg : "", "as in gen --help");
	}
	if (optind == argc) {
		gen_help();
		return 2;
	}
	o->command = argv[optind++];
	if (!strcmp(o->command, "rtt"))
		return 0;
	for (; optind < argc && !o->floor; optind++) {
		if (o->n_guests == GEN_GUESTS_MAX)
			return fail("SOCKET", argv[optind], "256 at most");
		o->sockets[o->n_guests++] = argv[optind];
	}
	return complete(o);
}
