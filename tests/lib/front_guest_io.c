// SPDX-License-Identifier: BSD-2-Clause
// A guest without a VM: single frames in and out, with deadlines, for tests.
#include "tests/lib/front_guest.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define CHAIN_MAX 64u

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

void front_guest_publish(struct front_guest_queue *q)
{
	vq_driver_publish(&q->drv);
	// The index before the look at what the device asked for. Partner: the fence of
	// vq_device_enable_notification().
	vq_fence();
	if (vq_driver_needs_kick(&q->drv)) {
		eventfd_write(q->kick, 1);
		q->n_kicks++;
	}
}

// Waits until the queue has used elements. A guest that polls looks every 20 us; another one sleeps
// until it is notified, so that a lost notification fails its test.
static int wait_used(struct front_guest *g, struct front_guest_queue *q, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	while (!vq_driver_used_pending(&q->drv)) {
		struct pollfd p = {.fd = q->call, .events = POLLIN};
		int64_t left = end - now_ms();
		eventfd_t n;

		if (q->drv.broken)
			return -EPROTO;
		if (left <= 0)
			return -ETIMEDOUT;
		if (g->config.polling) {
			nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
			continue;
		}
		if (vq_driver_enable_callbacks(&q->drv))
			continue;
		if (poll(&p, 1, (int)left) > 0)
			eventfd_read(q->call, &n);
		vq_driver_disable_callbacks(&q->drv);
	}
	return 0;
}

unsigned front_guest_reap_tx(struct front_guest *g, unsigned pair)
{
	struct vq_driver *d = &front_guest_txq(g, pair)->drv;
	struct vq_reaped r;

	while (vq_driver_used_pending(d) && vq_driver_reap(d, &r))
		vq_driver_free_chain(d, r.head);
	return d->n_free;
}

// Writes the bytes [off, off + n) of header and frame into a buffer.
static void fill(uint8_t *buf, const uint8_t *hdr, size_t hdr_len, const uint8_t *frame, size_t off,
	size_t n)
{
	if (off < hdr_len) {
		size_t head = hdr_len - off < n ? hdr_len - off : n;

		memcpy(buf, hdr + off, head);
		buf += head;
		off += head;
		n -= head;
	}
	if (n)
		memcpy(buf, frame + (off - hdr_len), n);
}

int front_guest_send(struct front_guest *g, unsigned pair, const struct virtio_net_hdr *hdr,
	const void *frame, size_t len, int timeout_ms)
{
	struct front_guest_queue *q = front_guest_txq(g, pair);
	struct virtio_net_hdr_mrg_rxbuf h = {0};
	size_t total = g->hdr_len + len, off = 0;
	unsigned n = (unsigned)((total + q->buf_size - 1) / q->buf_size);
	int64_t end = now_ms() + timeout_ms;
	uint16_t ids[CHAIN_MAX];

	if (n > CHAIN_MAX || n > q->drv.size)
		return -EMSGSIZE;
	if (hdr)
		h.hdr = *hdr;
	while (front_guest_reap_tx(g, pair) < n) {
		int64_t left = end - now_ms();
		int err = left > 0 ? wait_used(g, q, (int)left) : -ETIMEDOUT;

		if (err)
			return err;
	}
	for (unsigned i = 0; i < n; i++)
		ids[i] = (uint16_t)vq_driver_alloc(&q->drv);
	for (unsigned i = 0; i < n; i++) {
		size_t part = total - off < q->buf_size ? total - off : q->buf_size;
		bool more = i + 1 < n;

		fill(front_guest_buf(q, ids[i]), (const uint8_t *)&h, g->hdr_len, frame, off, part);
		vq_driver_write_desc(&q->drv, ids[i], front_guest_buf_gpa(q, ids[i]),
			(uint32_t)part, more ? VRING_DESC_F_NEXT : 0, more ? ids[i + 1] : 0);
		off += part;
	}
	if (!vq_driver_push(&q->drv, ids[0]))
		return -EPROTO;
	front_guest_publish(q);
	return 0;
}

int front_guest_flush(struct front_guest *g, unsigned pair, int timeout_ms)
{
	struct front_guest_queue *q = front_guest_txq(g, pair);
	int64_t end = now_ms() + timeout_ms;

	front_guest_reap_tx(g, pair);
	while (vq_driver_in_flight(&q->drv)) {
		int64_t left = end - now_ms();
		int err = left > 0 ? wait_used(g, q, (int)left) : -ETIMEDOUT;

		if (err)
			return err;
		front_guest_reap_tx(g, pair);
	}
	return 0;
}

// Reaps one receive buffer, appends what it holds behind `skip` bytes to the frame, posts it again.
static int64_t take_buffer(
	struct front_guest_queue *q, uint32_t skip, void *head, uint8_t *frame, size_t room)
{
	struct vq_reaped r;
	const uint8_t *buf;

	if (!vq_driver_reap(&q->drv, &r))
		return -EPROTO;
	buf = front_guest_buf(q, r.head);
	if (r.len < skip)
		return -EPROTO;
	if (skip)
		memcpy(head, buf, skip);
	if (r.len - skip <= room)
		memcpy(frame, buf + skip, r.len - skip);
	if (!vq_driver_push(&q->drv, r.head))
		return -EPROTO;
	return r.len - skip <= room ? (int64_t)(r.len - skip) : -EMSGSIZE;
}

int64_t front_guest_recv(struct front_guest *g, unsigned pair, struct virtio_net_hdr_mrg_rxbuf *hdr,
	void *frame, size_t size, int timeout_ms)
{
	struct front_guest_queue *q = front_guest_rxq(g, pair);
	struct virtio_net_hdr_mrg_rxbuf h = {.num_buffers = 1};
	bool is_mergeable = g->features & 1ull << VIRTIO_NET_F_MRG_RXBUF;
	int64_t total, part;
	int err = wait_used(g, q, timeout_ms);

	if (err)
		return err;
	total = take_buffer(q, g->hdr_len, &h, frame, size);
	for (unsigned i = 1; is_mergeable && i < h.num_buffers; i++) {
		// The buffers of one frame become visible together (virtio 1.2, 5.1.6.4.1).
		if (!vq_driver_used_pending(&q->drv))
			return -EPROTO;
		part = take_buffer(q, 0, NULL, (uint8_t *)frame + (total > 0 ? total : 0),
			total >= 0 ? size - (size_t)total : 0);
		total = total < 0 ? total : part < 0 ? part : total + part;
	}
	front_guest_publish(q);
	if (is_mergeable && !h.num_buffers)
		return -EPROTO;
	if (hdr)
		*hdr = h;
	return total;
}
