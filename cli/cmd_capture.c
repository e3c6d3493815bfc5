// SPDX-License-Identifier: BSD-2-Clause
// weftctl capture: frames of a port as text, or as a file for tcpdump and Wireshark. The filter runs
// here, not in the daemon: weftd never runs what a client sent.
#include "cli/base64.h"
#include "cli/command.h"
#include "cli/dissect.h"
#include "cli/output.h"

#include <errno.h>
#include <getopt.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SNAPLEN 65535

#define FINISH_ID 1000000 // of no other request
#define FINISH_MS 10000   // a second signal ends it at once

struct job {
	struct cli *cli;
	const char *port, *file, *dir;
	char **args;  // of getopt
	char *filter; // its words with blanks between; NULL: none
	uint64_t max, shown, lost;
	bool nano;
	uint32_t snaplen;
	pcap_t *pcap;
	pcap_dumper_t *dump;
	struct bpf_program program;
	bool has_program, broken; // broken: what was captured could not be written
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

// Digits only, within bounds.
static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	errno = 0;
	*out = strtoull(text, NULL, 10);
	return *text && strspn(text, "0123456789") == strlen(text) && !errno && *out >= min &&
	       *out <= max;
}

static void join(char **words, int n, char *to)
{
	for (int i = 0; i < n; i++)
		to += sprintf(to, "%s%s", i ? " " : "", words[i]);
}

static int parse(struct job *j, int argc, char **argv)
{
	static const struct option longs[] = {{"write", required_argument, NULL, 'w'},
		{"count", required_argument, NULL, 'c'}, {"dir", required_argument, NULL, 'd'},
		{"snaplen", required_argument, NULL, 'S'}, {"nano", no_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL}};
	static char name[] = "weftctl capture";
	size_t length = 1;
	uint64_t value;
	int n = argc + 1, opt;

	for (int i = 0; i < argc; i++)
		length += strlen(argv[i]) + 1;
	j->args = calloc(n + 1, sizeof(*j->args));
	j->filter = malloc(length);
	if (!j->args || !j->filter)
		return cli_fail(j->cli, "out of memory");
	j->args[0] = name;
	memcpy(j->args + 1, argv, argc * sizeof(*argv));
	*j->filter = 0;
	optind = 0;
	while ((opt = getopt_long(n, j->args, "w:c:jh", longs, NULL)) >= 0) {
		switch (opt) {
		case 'w':
			j->file = optarg;
			break;
		case 'c':
			if (!number(optarg, 1, UINT64_MAX, &j->max))
				return cli_wrong(
					j->cli, "-c: a number is expected, not '%s'", optarg);
			break;
		case 'd':
			j->dir = optarg;
			break;
		case 'S':
			if (!number(optarg, 14, SNAPLEN, &value))
				return cli_wrong(
					j->cli, "--snaplen: 14 to %d, not '%s'", SNAPLEN, optarg);
			j->snaplen = (uint32_t)value;
			break;
		case 'n':
			j->nano = true;
			break;
		case 'j':
			j->cli->json = true;
			break;
		case 'h':
			command_help("capture", NULL);
			return -1;
		default:
			return CLI_USAGE;
		}
	}
	if (optind == n)
		return cli_wrong(j->cli, "the port is missing; usage: weftctl capture PORT ...");
	j->port = j->args[optind++];
	join(j->args + optind, n - optind, j->filter);
	if (j->file && strcmp(j->file, "-") == 0 && isatty(STDOUT_FILENO))
		return cli_wrong(j->cli, "-w - writes binary data: pipe it, as in | tcpdump -r -");
	return CLI_OK;
}

static int compile(struct job *j)
{
	j->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAPLEN,
		j->nano ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO);
	if (!j->pcap)
		return cli_fail(j->cli, "out of memory");
	if (*j->filter) {
		if (pcap_compile(j->pcap, &j->program, j->filter, 1, PCAP_NETMASK_UNKNOWN) < 0)
			return cli_wrong(j->cli, "filter '%s': %s; see pcap-filter(7)", j->filter,
				pcap_geterr(j->pcap));
		j->has_program = true;
	}
	return CLI_OK;
}

// Once weftd has agreed: a mistake must not cost the file that is there.
static int open_file(struct job *j)
{
	FILE *f;

	if (!j->file)
		return CLI_OK;
	f = strcmp(j->file, "-") == 0 ? stdout : fopen(j->file, "wbe");
	if (!f)
		return cli_fail(j->cli, "%s: %s", j->file, strerror(errno));
	j->dump = pcap_dump_fopen(j->pcap, f);
	if (!j->dump)
		return cli_fail(j->cli, "%s: %s", j->file, pcap_geterr(j->pcap));
	return CLI_OK;
}

static void print_line(struct job *j, const json_t *f, const uint8_t *data, size_t n, uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000);
	char when[16], text[300];
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	dissect(data, n, text, sizeof(text));
	printf("%s%s.%06u%s %s %s, %d bytes\n", paint(j->cli, FAINT), when,
		(unsigned)(ns % 1000000000 / 1000), unpaint(j->cli), get_text(f, "dir"), text,
		(int)get_number(f, "len"));
}

// False: nobody reads any more.
static bool show_frame(struct job *j, const json_t *f)
{
	uint8_t data[SNAPLEN];
	uint64_t ns = get_number(f, "time_ns");
	long n = base64_decode(get_text(f, "data"), data, sizeof(data));
	struct pcap_pkthdr h = {.len = (uint32_t)get_number(f, "len")};

	if (n < 0)
		return true;
	h.caplen = (uint32_t)n;
	h.ts.tv_sec = (time_t)(ns / 1000000000);
	h.ts.tv_usec =
		j->nano ? (suseconds_t)(ns % 1000000000) : (suseconds_t)(ns % 1000000000 / 1000);
	if (j->has_program && !pcap_offline_filter(&j->program, &h, data))
		return true;
	j->shown++;
	if (j->dump) {
		pcap_dump((u_char *)j->dump, &h, data);
		return true;
	}
	if (j->cli->json) {
		json_dumpf(f, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_line(j, f, data, n, ns);
	}
	return true;
}

// False: nothing more can be written. That a pipe's reader has had enough is no failure.
static bool flush(struct job *j)
{
	if ((j->dump ? pcap_dump_flush(j->dump) : fflush(stdout)) == 0)
		return true;
	if (errno != EPIPE && !j->broken) {
		j->broken = true;
		cli_fail(j->cli, "%s: %s: what was captured is not all there",
			j->file ? j->file : "standard output", strerror(errno));
	}
	return false;
}

// False: enough were shown.
static bool take(struct job *j, const json_t *params)
{
	const json_t *f;
	size_t i;

	j->lost = get_number(params, "lost");
	json_array_foreach (json_object_get(params, "frames"), i, f)
		if (!show_frame(j, f) || (j->max && j->shown == j->max))
			return false;
	return true;
}

static int follow(struct job *j)
{
	bool is_enough = false;
	int status = CLI_OK;

	while (!stop && !is_enough) {
		json_t *message;
		int rc = connection_receive(j->cli->connection, -1, &message);
		if (rc == -EINTR)
			continue;
		if (rc < 0) {
			cli_fail(j->cli, "weftd closed the connection");
			return CLI_UNREACHABLE;
		}
		const char *method = get_text(message, "method");
		const json_t *params = json_object_get(message, "params");
		if (strcmp(method, "capture.end") == 0) {
			status = cli_fail(j->cli, "%s", get_text(params, "why"));
			is_enough = true;
		}
		if (strcmp(method, "capture.frames") == 0)
			is_enough = !take(j, params);
		json_decref(message);
		if (!flush(j))
			is_enough = true;
	}
	return status;
}

// After a signal: what is on its way still counts, and how many were lost is known only now.
static void finish(struct job *j)
{
	json_t *message, *result = NULL;

	if (connection_send(j->cli->connection, json_pack("{s:s, s:i, s:s}", "jsonrpc", "2.0", "id",
							FINISH_ID, "method", "capture.stop")) < 0)
		return;
	while (!result && connection_receive(j->cli->connection, FINISH_MS, &message) == 0 &&
		message) {
		if (strcmp(get_text(message, "method"), "capture.frames") == 0)
			take(j, json_object_get(message, "params"));
		if (json_integer_value(json_object_get(message, "id")) == FINISH_ID)
			result = json_incref(json_object_get(message, "result"));
		json_decref(message);
	}
	if (result)
		j->lost = get_number(result, "lost");
	json_decref(result);
	flush(j);
}

static int capture(struct job *j)
{
	struct sigaction sa = {.sa_handler = on_signal};
	json_t *params = json_pack("{s:s}", "port", j->port), *result;
	int status;

	if (!params)
		return cli_wrong(j->cli, "the port's name is not UTF-8");
	if (j->dir && json_object_set_new(params, "dir", json_string(j->dir)) < 0) {
		json_decref(params);
		return cli_wrong(j->cli, "--dir: the text is not UTF-8");
	}
	if (j->snaplen)
		json_object_set_new(params, "snaplen", json_integer(j->snaplen));
	status = cli_call(j->cli, "capture.start", params, &result);
	if (status != CLI_OK)
		return status;
	json_decref(result);
	status = open_file(j);
	if (status != CLI_OK)
		return status;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	// What the file begins with is there from now on: who waits for it knows that the capture runs.
	if (flush(j))
		status = follow(j);
	if (stop)
		finish(j);
	fprintf(stderr, "%llu frames captured, %llu lost\n", (unsigned long long)j->shown,
		(unsigned long long)j->lost);
	return j->broken ? CLI_REFUSED : status;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct job j = {.cli = cli};
	int status = parse(&j, argc, argv);

	if (status == CLI_OK)
		status = compile(&j);
	if (status == CLI_OK)
		status = capture(&j);
	if (j.dump)
		pcap_dump_close(j.dump);
	if (j.has_program)
		pcap_freecode(&j.program);
	if (j.pcap)
		pcap_close(j.pcap);
	free(j.args);
	free(j.filter);
	return status < 0 ? CLI_OK : status;
}

const struct command cmd_capture[] = {
	{.noun = "capture",
		.synopsis = "PORT [-w FILE|-] [-c N] [--dir rx|tx] [--snaplen N] [--nano] [FILTER]",
		.help = "show a port's frames, or write them to a file",
		.details = "rx is from the port into the switch, tx is to the port. FILTER is a "
			   "filter of\n"
			   "tcpdump, see pcap-filter(7). With -w, FILE is for tcpdump and "
			   "Wireshark, and - is\n"
			   "standard output. It costs nothing when off; frames that are captured "
			   "too fast are\n"
			   "lost from the capture and counted, never from the traffic.",
		.example = "capture vm1 -c 10 --dir rx icmp or arp",
		.run = run,
		.own_options = true},
	{NULL},
};
