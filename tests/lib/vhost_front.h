// SPDX-License-Identifier: BSD-2-Clause
// The front end's half of the vhost-user protocol: what a VMM says to a switch, one function a message.
//
// Every function returns 0 or -errno. Where the protocol gives the back end no answer to a message,
// success means that it was sent; with REPLY_ACK negotiated and `ack` set, that it was accepted
// (-EREMOTEIO: the back end answered "failed"). Nothing here checks what it is told to send, so that
// tests can send what no sane front end would.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHOST_FRONT_FDS_MAX     8u
#define VHOST_FRONT_PAYLOAD_MAX 512u
#define VHOST_FRONT_HEADER      12u // request, flags, size: 32 bits each

// Requests, as docs/interop/vhost-user.rst of QEMU numbers them.
enum vhost_front_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_LOG_FD = 7,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SEND_RARP = 19,
	VHOST_NET_SET_MTU = 20,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
};

#define VHOST_FLAG_VERSION    0x1u
#define VHOST_FLAG_REPLY      0x4u
#define VHOST_FLAG_NEED_REPLY 0x8u
#define VHOST_VRING_NO_FD     0x100u // in the payload of SET_VRING_KICK, CALL and ERR

// Feature bit that opens the protocol features, and these.
#define VHOST_F_PROTOCOL       30
#define VHOST_F_LOG_ALL        26
#define VHOST_P_MQ             0
#define VHOST_P_LOG_SHMFD      1
#define VHOST_P_RARP           2
#define VHOST_P_REPLY_ACK      3
#define VHOST_P_NET_MTU        4
#define VHOST_P_BACKEND_REQ    5
#define VHOST_P_INFLIGHT_SHMFD 12
#define VHOST_P_MEM_SLOTS      15
#define VHOST_P_STATUS         16

struct vhost_front {
	int fd;       // the connection; -1 without
	int listener; // of a front end that listens; -1 otherwise
	int timeout_ms;
	bool ack; // ask for an answer to each message (once REPLY_ACK is negotiated)
	uint64_t protocol_features; // as last set
	char path[108];
};

struct vhost_front_msg {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		uint8_t bytes[VHOST_FRONT_PAYLOAD_MAX];
	} payload;
	int fds[VHOST_FRONT_FDS_MAX]; // ours to close
	unsigned n_fds;
};

// A region as SET_MEM_TABLE describes it.
struct vhost_front_region {
	uint64_t gpa, size, uva, mmap_offset;
	int fd;
};

// Nothing is open after init and after fini, which may follow any state.
void vhost_front_init(struct vhost_front *f);
void vhost_front_fini(struct vhost_front *f);
// Connects to `path`, again and again while nobody listens there, for timeout_ms at most.
int vhost_front_connect(struct vhost_front *f, const char *path);
// Listens at `path` (an old socket there is removed), then waits for the back end to come.
int vhost_front_listen(struct vhost_front *f, const char *path);
int vhost_front_accept(struct vhost_front *f);
// Closes the connection, as when the VMM dies; a listener stays.
void vhost_front_disconnect(struct vhost_front *f);
// Whether the back end has closed the connection, waiting for it up to timeout_ms.
bool vhost_front_is_closed(struct vhost_front *f, int timeout_ms);

// Sends any bytes, with any descriptors.
int vhost_front_send_bytes(
	struct vhost_front *f, const void *bytes, size_t len, const int *fds, unsigned n_fds);
// Sends a message whose header says `size`, followed by `len` bytes of payload: the two may differ.
int vhost_front_send(struct vhost_front *f, uint32_t request, uint32_t flags, uint32_t size,
	const void *payload, size_t len, const int *fds, unsigned n_fds);
// Waits for one message. -ETIMEDOUT; -ECONNRESET when the back end has hung up; -EPROTO.
int vhost_front_recv(struct vhost_front *f, struct vhost_front_msg *msg);
// Sends a sane message and, where `ack` rules, waits for its answer.
int vhost_front_call(struct vhost_front *f, uint32_t request, const void *payload, size_t len,
	const int *fds, unsigned n_fds);
// Sends a request and waits for the reply to it.
int vhost_front_ask(struct vhost_front *f, uint32_t request, const void *payload, size_t len,
	struct vhost_front_msg *reply);

int vhost_front_get_features(struct vhost_front *f, uint64_t *features);
int vhost_front_set_features(struct vhost_front *f, uint64_t features);
int vhost_front_get_protocol_features(struct vhost_front *f, uint64_t *features);
int vhost_front_set_protocol_features(struct vhost_front *f, uint64_t features);
int vhost_front_get_queue_num(struct vhost_front *f, uint64_t *n);
int vhost_front_set_owner(struct vhost_front *f);
int vhost_front_reset_owner(struct vhost_front *f);
int vhost_front_set_mem_table(
	struct vhost_front *f, const struct vhost_front_region *regions, unsigned n);
int vhost_front_get_max_mem_slots(struct vhost_front *f, uint64_t *n);
int vhost_front_add_mem_reg(struct vhost_front *f, const struct vhost_front_region *region);
int vhost_front_rem_mem_reg(struct vhost_front *f, const struct vhost_front_region *region);
int vhost_front_set_vring_num(struct vhost_front *f, uint32_t index, uint32_t num);
int vhost_front_set_vring_base(struct vhost_front *f, uint32_t index, uint32_t base);
int vhost_front_get_vring_base(struct vhost_front *f, uint32_t index, uint32_t *base);
// Ring addresses are the front end's own virtual ones; log_gpa is where the used ring is logged.
int vhost_front_set_vring_addr(struct vhost_front *f, uint32_t index, uint32_t flags, uint64_t desc,
	uint64_t used, uint64_t avail, uint64_t log_gpa);
// fd -1: the ring has none (NO_FD).
int vhost_front_set_vring_kick(struct vhost_front *f, uint32_t index, int fd);
int vhost_front_set_vring_call(struct vhost_front *f, uint32_t index, int fd);
int vhost_front_set_vring_err(struct vhost_front *f, uint32_t index, int fd);
int vhost_front_set_vring_enable(struct vhost_front *f, uint32_t index, bool enable);
// The back end answers this one in any case.
int vhost_front_set_log_base(struct vhost_front *f, uint64_t size, uint64_t offset, int fd);
int vhost_front_set_log_fd(struct vhost_front *f, int fd);
int vhost_front_send_rarp(struct vhost_front *f, const uint8_t mac[6]);
int vhost_front_net_set_mtu(struct vhost_front *f, uint64_t mtu);
int vhost_front_set_status(struct vhost_front *f, uint64_t status);
int vhost_front_get_status(struct vhost_front *f, uint64_t *status);
int vhost_front_set_backend_req_fd(struct vhost_front *f, int fd);
