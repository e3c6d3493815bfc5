// SPDX-License-Identifier: BSD-2-Clause
// Messages of the vhost-user protocol as they arrive, and the checks that they must pass before
// anything acts on them. Nothing of rte_vhost here.
#pragma once

#include "dataplane/port/error.h"

#include <stdbool.h>
#include <stdint.h>

#define VU_MSG_REGIONS 8
#define VU_MSG_FDS     8

enum vhost_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_SLAVE_REQ_FD = 21,
	VU_IOTLB_MSG = 22,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_ADOPT = 0x77656674, // none of the protocol's: see vhost_user_adopt.c
};

#define VU_VERSION     0x1u // flags of a message
#define VU_REPLY       0x4u
#define VU_NEED_REPLY  0x8u   // the VMM waits for a word that all went well
#define VU_VRING_INDEX 0xffu  // of a u64 payload: which ring
#define VU_VRING_NOFD  0x100u // of a u64 payload: no descriptor comes with it

struct vhost_msg_region {
	uint64_t gpa, size, user_addr, mmap_offset;
} __attribute__((packed));

// The head of a message and the payloads that are looked at here.
struct vhost_user_msg {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log_gpa;
		} addr;
		struct {
			uint32_t n, padding;
			struct vhost_msg_region regions[VU_MSG_REGIONS];
		} mem;
		struct {
			uint64_t size, offset;
		} log;
		uint8_t mac[6];
	};
} __attribute__((packed));

// Bytes the payload of a request must have; -1 where any will do (then it is not looked at).
int vhost_msg_payload_size(uint32_t request);

// What a person calls the request ("SET_MEM_TABLE").
const char *vhost_msg_name(uint32_t request);

// Whether fd is a file on tmpfs or hugetlbfs (a memfd is one) of at least `size` bytes: memory
// that two processes can share.
bool vhost_fd_is_memory(int fd, uint64_t size);

// Whether fd is an eventfd; if so it is made non-blocking.
bool vhost_fd_is_event(int fd);

// What the counter of an eventfd stands at, 0 if that cannot be told. Reads nothing from it: the other
// side shares the descriptor, and could make a read wait.
uint64_t vhost_event_count(int fd);

// Adds one to an eventfd, unless it is full: then it is readable already, and a write could wait. It does not
// wait for long even if the other side fills it at that very moment. False: it took long, and again when tried
// once more, as very many wait for it.
bool vhost_event_signal(int fd);

// Checks a memory table and its descriptors: count, sums, overlaps, alignment, kind and length of
// each file. 0, or -EINVAL with the reason and the remedy in err.
int vhost_msg_check_mem(
	const struct vhost_user_msg *msg, const int *fds, int n_fds, struct error *err);
