// SPDX-License-Identifier: BSD-2-Clause
// A guest without a VM: its memory, and its life with a switch.
#include "tests/lib/front_guest.h"

#include <errno.h>
#include <linux/memfd.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE (2ull << 20)

static uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

// Buffers are an odd number of cache line pairs apart, so that they spread over all cache sets.
static uint32_t default_stride(uint32_t buf_size)
{
	uint32_t pairs = (uint32_t)(align_up(buf_size + VQ_CACHE_LINE, 2 * VQ_CACHE_LINE) /
				    (2 * VQ_CACHE_LINE));

	return (pairs | 1) * 2 * VQ_CACHE_LINE;
}

static uint32_t stride_of(const struct front_guest_config *c, unsigned queue)
{
	return c->stride ? c->stride : default_stride(queue & 1 ? c->tx_buf : c->rx_buf);
}

static int mem_map(struct front_guest_mem *m, uint64_t size, bool huge)
{
	int flags = MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);

	m->fd = memfd_create("front-guest", (unsigned)flags);
	if (m->fd < 0)
		return -errno;
	m->size = align_up(size, HUGE_PAGE);
	m->is_huge = huge;
	if (ftruncate(m->fd, (off_t)m->size))
		goto fail;
	// MAP_POPULATE also finds out whether there are enough huge pages, before a SIGBUS does.
	m->map = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, m->fd, 0);
	if (m->map != MAP_FAILED)
		return 0;
fail:;
	int err = -errno;

	close(m->fd);
	m->fd = -1;
	m->map = NULL;
	return err;
}

static int alloc_memory(struct front_guest *g)
{
	const struct front_guest_config *c = &g->config;
	uint64_t need[FRONT_GUEST_REGIONS_MAX] = {0};

	need[0] = g->layout.total + VQ_LEGACY_ALIGN;
	for (unsigned q = 0; q < g->n_queues; q++)
		need[q % c->regions] +=
			(uint64_t)c->ring_size * stride_of(c, q) + 4 * VQ_LEGACY_ALIGN;
	for (unsigned r = 0; r < c->regions; r++) {
		struct front_guest_mem *m = &g->mem[r];
		// Some room is left over for tests that place buffers of their own.
		uint64_t size = need[r] + HUGE_PAGE / 2;
		int err = c->huge ? mem_map(m, size, true) : -ENOTSUP;

		if (err)
			err = mem_map(m, size, false);
		if (err)
			return err;
		m->gpa = r * FRONT_GUEST_REGION_GAP;
	}
	return 0;
}

static int init_queues(struct front_guest *g)
{
	g->queues = aligned_alloc(VQ_CACHE_LINE, g->n_queues * sizeof(*g->queues));
	if (!g->queues)
		return -ENOMEM;
	memset(g->queues, 0, g->n_queues * sizeof(*g->queues));
	for (unsigned i = 0; i < g->n_queues; i++)
		g->queues[i].kick = g->queues[i].call = -1;
	for (unsigned i = 0; i < g->n_queues; i++) {
		struct front_guest_queue *q = &g->queues[i];

		q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick < 0 || q->call < 0)
			return -errno;
	}
	return 0;
}

int front_guest_init(struct front_guest *g, const struct front_guest_config *config)
{
	struct front_guest_config *c = &g->config;
	int err;

	memset(g, 0, sizeof(*g));
	*c = *config;
	c->pairs = c->pairs ? c->pairs : 1;
	c->ring_size = c->ring_size ? c->ring_size : 256;
	c->features = c->features ? c->features : FRONT_GUEST_FEATURES;
	c->rx_buf = c->rx_buf ? c->rx_buf : 2048;
	c->tx_buf = c->tx_buf ? c->tx_buf : 2048;
	c->regions = c->regions ? c->regions : 1;
	c->timeout_ms = c->timeout_ms ? c->timeout_ms : 5000;
	vhost_front_init(&g->front);
	g->front.timeout_ms = c->timeout_ms;
	for (unsigned r = 0; r < FRONT_GUEST_REGIONS_MAX; r++)
		g->mem[r].fd = -1;
	if (c->pairs > FRONT_GUEST_PAIRS_MAX || c->regions > FRONT_GUEST_REGIONS_MAX)
		return -EINVAL;
	g->n_queues = 2 * c->pairs;
	g->hdr_len = sizeof(struct virtio_net_hdr_mrg_rxbuf);
	err = vq_layout_init(&g->layout, g->n_queues, c->ring_size, 0, VQ_LEGACY_ALIGN);
	if (err)
		return err;
	err = init_queues(g);
	if (err)
		return err;
	err = alloc_memory(g);
	if (err || !c->listen)
		return err;
	return vhost_front_listen(&g->front, c->socket);
}

void front_guest_fini(struct front_guest *g)
{
	vhost_front_fini(&g->front);
	for (unsigned i = 0; g->queues && i < g->n_queues; i++) {
		struct front_guest_queue *q = &g->queues[i];

		vq_driver_fini(&q->drv);
		if (q->kick >= 0)
			close(q->kick);
		if (q->call >= 0)
			close(q->call);
	}
	free(g->queues);
	g->queues = NULL;
	for (unsigned r = 0; r < FRONT_GUEST_REGIONS_MAX; r++) {
		if (g->mem[r].map)
			munmap(g->mem[r].map, g->mem[r].size);
		if (g->mem[r].fd >= 0)
			close(g->mem[r].fd);
		g->mem[r].map = NULL;
		g->mem[r].fd = -1;
	}
}

uint8_t *front_guest_alloc(
	struct front_guest *g, unsigned region, uint64_t size, uint64_t align, uint64_t *gpa)
{
	struct front_guest_mem *m = &g->mem[region];
	uint64_t at = align_up(m->used, align);

	if (at > m->size || size > m->size - at)
		return NULL;
	m->used = at + size;
	*gpa = m->gpa + at;
	return m->map + at;
}

uint8_t *front_guest_at(const struct front_guest *g, uint64_t gpa, uint64_t len)
{
	for (unsigned r = 0; r < g->config.regions; r++) {
		const struct front_guest_mem *m = &g->mem[r];
		uint64_t off = gpa - m->gpa;

		if (off < m->size && len <= m->size - off)
			return m->map + off;
	}
	return NULL;
}

int front_guest_meet(struct front_guest *g)
{
	g->is_started = false;
	return g->config.listen ? vhost_front_accept(&g->front)
				: vhost_front_connect(&g->front, g->config.socket);
}

int front_guest_negotiate(struct front_guest *g)
{
	const uint64_t protocol = 1ull << VHOST_P_MQ | 1ull << VHOST_P_LOG_SHMFD |
				  1ull << VHOST_P_RARP | 1ull << VHOST_P_REPLY_ACK |
				  1ull << VHOST_P_NET_MTU | 1ull << VHOST_P_STATUS;
	struct vhost_front *f = &g->front;
	uint64_t offered, protocol_offered;
	int err = vhost_front_get_features(f, &offered);

	if (err)
		return err;
	if (offered & 1ull << VHOST_F_PROTOCOL) {
		err = vhost_front_get_protocol_features(f, &protocol_offered);
		if (!err)
			err = vhost_front_set_protocol_features(
				f, protocol_offered & protocol & ~g->config.protocol_off);
		if (err)
			return err;
	}
	if (g->config.pairs > 1) {
		uint64_t n;

		if (!(f->protocol_features & 1ull << VHOST_P_MQ))
			return -ENOTSUP;
		err = vhost_front_get_queue_num(f, &n);
		if (err || n < g->config.pairs)
			return err ? err : -ENOTSUP;
	}
	err = vhost_front_set_owner(f);
	if (err)
		return err;
	// The bit of the protocol features is the transport's: it is never the guest's choice.
	g->features = offered & (g->config.features | 1ull << VHOST_F_PROTOCOL);
	g->hdr_len = g->features & (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF)
			     ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
			     : sizeof(struct virtio_net_hdr);
	err = vhost_front_set_features(f, g->features);
	if (!err && g->config.mtu && f->protocol_features & 1ull << VHOST_P_NET_MTU)
		err = vhost_front_net_set_mtu(f, g->config.mtu);
	return err;
}

int front_guest_share_memory(struct front_guest *g)
{
	struct vhost_front_region regions[FRONT_GUEST_REGIONS_MAX];

	for (unsigned r = 0; r < g->config.regions; r++) {
		const struct front_guest_mem *m = &g->mem[r];

		regions[r] = (struct vhost_front_region){
			.gpa = m->gpa, .size = m->size, .uva = (uintptr_t)m->map, .fd = m->fd};
	}
	return vhost_front_set_mem_table(&g->front, regions, g->config.regions);
}

static int make_buffers(struct front_guest *g, unsigned queue)
{
	const struct front_guest_config *c = &g->config;
	struct front_guest_queue *q = &g->queues[queue];
	bool is_rx = !(queue & 1);
	uint64_t lead = VQ_CACHE_LINE - g->hdr_len;

	q->buf_size = is_rx ? c->rx_buf : c->tx_buf;
	q->stride = stride_of(c, queue);
	q->bufs = front_guest_alloc(g, queue % c->regions,
		(uint64_t)c->ring_size * q->stride + VQ_CACHE_LINE, VQ_LEGACY_ALIGN, &q->bufs_gpa);
	if (!q->bufs)
		return -ENOMEM;
	q->bufs += lead;
	q->bufs_gpa += lead;
	for (unsigned i = 0; is_rx && !c->no_rx_buffers && i < c->ring_size; i++) {
		struct vring_desc d = {
			front_guest_buf_gpa(q, i), q->buf_size, VRING_DESC_F_WRITE, 0};
		int id = vq_driver_write_chain(&q->drv, &d, 1);

		// Descriptors are handed out in order: descriptor i owns buffer i.
		if (id != (int)i || !vq_driver_push(&q->drv, (uint16_t)id))
			return -EPROTO;
	}
	return 0;
}

int front_guest_make_rings(struct front_guest *g)
{
	uint64_t gpa;
	uint8_t *mem;

	for (unsigned r = 0; r < g->config.regions; r++)
		g->mem[r].used = 0;
	mem = front_guest_alloc(g, 0, g->layout.total, VQ_LEGACY_ALIGN, &gpa);
	if (!mem)
		return -ENOMEM;
	for (unsigned i = 0; i < g->n_queues; i++) {
		struct front_guest_queue *q = &g->queues[i];
		bool event_idx = g->features & 1ull << VIRTIO_RING_F_EVENT_IDX;
		int err;

		vq_driver_fini(&q->drv);
		err = vq_driver_init(&q->drv, &g->layout, i, mem, gpa, event_idx);
		if (!err)
			err = make_buffers(g, i);
		if (err)
			return err;
		q->base = 0;
		vq_driver_publish(&q->drv);
		if (g->config.polling || i & 1)
			vq_driver_disable_callbacks(&q->drv);
	}
	return 0;
}

int front_guest_driver_ok(struct front_guest *g)
{
	struct vhost_front *f = &g->front;
	const uint64_t met = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	const uint64_t agreed = met | VIRTIO_CONFIG_S_FEATURES_OK;
	int err;

	if (!(f->protocol_features & 1ull << VHOST_P_STATUS))
		return 0;
	err = vhost_front_set_status(f, met);
	if (!err)
		err = vhost_front_set_status(f, agreed);
	return err ? err : vhost_front_set_status(f, agreed | VIRTIO_CONFIG_S_DRIVER_OK);
}

int front_guest_start_ring(struct front_guest *g, unsigned queue)
{
	struct front_guest_queue *q = &g->queues[queue];
	struct vhost_front *f = &g->front;
	int err = vhost_front_set_vring_num(f, queue, g->config.ring_size);

	if (!err)
		err = vhost_front_set_vring_base(f, queue, q->base);
	if (!err)
		err = vhost_front_set_vring_addr(f, queue, 0, (uintptr_t)q->drv.desc,
			(uintptr_t)q->drv.used, (uintptr_t)q->drv.avail,
			vq_driver_used_gpa(&q->drv));
	if (!err)
		err = vhost_front_set_vring_call(f, queue, q->call);
	if (!err)
		err = vhost_front_set_vring_kick(f, queue, q->kick);
	vq_driver_kick_invalidate(&q->drv);
	return err;
}

int front_guest_enable(struct front_guest *g, bool enable)
{
	for (unsigned i = 0; i < g->n_queues; i++) {
		int err = vhost_front_set_vring_enable(&g->front, i, enable);

		if (err)
			return err;
	}
	return 0;
}

int front_guest_connect(struct front_guest *g)
{
	bool again = g->queues[0].drv.desc != NULL;
	uint64_t features = g->features;
	int err = front_guest_meet(g);

	if (!err)
		err = front_guest_negotiate(g);
	if (!err && again && g->features != features)
		return -EPROTO;
	if (!err)
		err = again ? 0 : front_guest_make_rings(g);
	if (!err)
		err = front_guest_share_memory(g);
	for (unsigned i = 0; !err && i < g->n_queues; i++) {
		// What a VMM falls back to when the switch died: all that is not used is unseen.
		if (again)
			g->queues[i].base = vq_load16(&g->queues[i].drv.used->idx);
		err = front_guest_start_ring(g, i);
	}
	if (!err && g->features & 1ull << VHOST_F_PROTOCOL)
		err = front_guest_enable(g, true);
	if (!err)
		err = front_guest_driver_ok(g);
	// The switch may have missed what was published before it came.
	for (unsigned i = 0; !err && i < g->n_queues; i++)
		eventfd_write(g->queues[i].kick, 1);
	g->is_started = !err;
	return err;
}

int front_guest_stop(struct front_guest *g)
{
	for (unsigned i = 0; i < g->n_queues; i++) {
		uint32_t base;
		int err = vhost_front_get_vring_base(&g->front, i, &base);

		if (err)
			return err;
		g->queues[i].base = (uint16_t)base;
	}
	g->is_started = false;
	return 0;
}

void front_guest_disconnect(struct front_guest *g)
{
	g->is_started = false;
	vhost_front_disconnect(&g->front);
}
