// SPDX-License-Identifier: BSD-2-Clause
// A network namespace of the test's own, with veth pairs and packet sockets: it goes with the test.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Moves the process into a new network namespace. False, with the reason printed, if it may not:
// the test then ends with 77 (or 1 under WEFT_REQUIRE_ALL=1, which *status tells).
bool netns_enter(int *status);

// Runs a shell command; the test fails if the command does.
__attribute__((format(printf, 1, 2))) void netns_run(const char *fmt, ...);
// The same; returns its exit status.
__attribute__((format(printf, 1, 2))) int netns_try(const char *fmt, ...);

// Makes the veth pair a, b with these MAC addresses' last bytes (02:00:00:00:00:xx), both up.
void netns_veth(const char *a, uint8_t mac_a, const char *b, uint8_t mac_b, const char *options);

// A non-blocking packet socket on an interface; sees what comes in, not what goes out.
int netns_packet(const char *dev);

// Waits up to a deadline that only a broken program meets until `done` says so. False if it never
// did.
bool netns_wait(bool (*done)(void *ctx), void *ctx);
