// SPDX-License-Identifier: BSD-2-Clause
// Starting and stopping a guest's rings. A ring stops before anything that it uses changes.
#include "dataplane/port/vhost_user_int.h"

#include "dataplane/port/vhost_fault.h"
#include "dataplane/port/vhost_msg.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu-qsbr.h>

static void update_txqs(struct vhost_user *vu)
{
	uint32_t n = 0;

	while (n < vu->port.config.queues && (vu->ring[2 * n].active || vu->ring[2 * n].paused))
		n++;
	__atomic_store_n(&vu->port.n_txq, n ? n : 1, __ATOMIC_RELAXED);
}

static void set_paused(struct ring *ring, bool paused)
{
	__atomic_store_n(&ring->paused, paused, __ATOMIC_RELAXED);
}

// Asks workers to send nothing more to these rings, and waits until all that they had taken for them has
// gone there.
static void pause_rings(struct vhost_user *vu, unsigned from, unsigned to)
{
	bool any = false;

	for (unsigned i = from; i < to; i++) {
		if (i % 2 || !vu->ring[i].active)
			continue;
		set_paused(&vu->ring[i], true);
		any = true;
	}
	if (any)
		synchronize_rcu();
}

void vhost_user_stop(struct vhost_user *vu, unsigned from, unsigned to)
{
	bool was[RINGS_MAX] = {false}, any = false;

	if (vu->stopped)
		pause_rings(vu, from, to);
	for (unsigned i = from; i < to; i++) {
		if (!vu->ring[i].active)
			continue;
		was[i] = any = true;
		if (i % 2)
			port_watch(&vu->port, i / 2, -1);
		rcu_assign_pointer(vu->ring[i].active, NULL);
	}
	if (!any)
		return;
	update_txqs(vu);
	synchronize_rcu();
	for (unsigned i = from; i < to; i++) {
		struct vhost_ring *r = &vu->ring[i].ring;

		if (!was[i])
			continue;
		// A worker in the middle of a pass found the ring gone when it came to give its burst back.
		vhost_ring_give_back(r);
		rte_vhost_set_vring_base(vu->vid, (uint16_t)i, vq_device_next_avail(&r->vq),
			vq_device_next_used(&r->vq));
		vhost_ring_stop(r);
	}
}

void vhost_user_end(struct vhost_user *vu, unsigned from, unsigned to)
{
	vhost_user_stop(vu, from, to);
	for (unsigned i = from; i < to; i++)
		set_paused(&vu->ring[i], false);
	update_txqs(vu);
}

// Guest address of a host pointer whose `len` bytes must lie in one region, aligned; -1 if not.
static uint64_t gpa_of(const struct guestmem *m, const void *p, uint64_t len, uint64_t align)
{
	if (!p || (uintptr_t)p % align)
		return UINT64_MAX;
	for (uint32_t i = 0; i < m->n; i++) {
		uint64_t off = (uint64_t)((const uint8_t *)p - m->regions[i].hva);
		if (off < m->regions[i].size && len <= m->regions[i].size - off)
			return m->regions[i].gpa + off;
	}
	return UINT64_MAX;
}

// Whether the three areas are aligned and lie in guest memory (2.7: 16, 2 and 4 bytes).
static bool rings_inside(const struct guestmem *m, const struct rte_vhost_vring *v, uint64_t *used)
{
	uint64_t n = v->size;

	if (!n || n > VQ_MAX_SIZE || (n & (n - 1)))
		return false;
	*used = gpa_of(m, v->used, 6 + n * sizeof(struct vring_used_elem), VRING_USED_ALIGN_SIZE);
	return *used != UINT64_MAX &&
	       gpa_of(m, v->desc, n * sizeof(struct vring_desc), VRING_DESC_ALIGN_SIZE) !=
		       UINT64_MAX &&
	       gpa_of(m, v->avail, 6 + 2 * n, VRING_AVAIL_ALIGN_SIZE) != UINT64_MAX;
}

// Who makes this take long will do so again.
static void signal_vmm(struct vhost_user *vu, int fd)
{
	if (!vhost_event_signal(fd))
		__atomic_store_n(&vu->stuck, true, __ATOMIC_RELAXED);
}

static void ring_try(struct vhost_user *vu, unsigned i, bool discard)
{
	struct ring *ring = &vu->ring[i];
	struct vhost_ring_config c = {
		.mem = &vu->mem, .features = vu->features, .discard = discard, .stuck = &vu->stuck};
	struct rte_vhost_vring v;
	int rc;

	if (rte_vhost_get_vhost_vring(vu->vid, (uint16_t)i, &v) ||
		rte_vhost_get_vring_base(vu->vid, (uint16_t)i, &c.next_avail, &c.next_used))
		return;
	// -2: not set yet. -1: the guest polls.
	if (v.kickfd < -1 || v.callfd < -1 || !rings_inside(&vu->mem, &v, &c.log_used))
		return;
	c.desc = v.desc;
	c.avail = v.avail;
	c.used = v.used;
	c.size = (uint16_t)v.size;
	c.callfd = v.callfd;
	ring->polled = i % 2 && v.kickfd == -1;
	// Of one that is polled it wakes the worker for the first time.
	c.kickfd = ring->polled ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : v.kickfd;
	c.log = vu->features & FEATURE(VHOST_F_LOG_ALL) ? &vu->log : NULL;
	rc = vhost_ring_start(&ring->ring, &c);
	if (ring->polled)
		close(c.kickfd);
	if (rc) {
		vhost_user_say(vu, LOG_ERR, "cannot start a ring: out of memory or descriptors");
		return;
	}
	// What was published before may have gone unnoticed: drivers bear a call too many.
	if (ring->ring.callfd >= 0)
		signal_vmm(vu, ring->ring.callfd);
	if (ring->ring.kickfd >= 0)
		ring->ring.kicks_before = vhost_event_count(ring->ring.kickfd);
	rcu_assign_pointer(ring->active, &ring->ring);
	if (i % 2 && ring->ring.kickfd >= 0) {
		port_watch(&vu->port, i / 2, ring->ring.kickfd);
		// And a kick: so that a sleeping worker scans the ring at once.
		signal_vmm(vu, ring->ring.kickfd);
	}
}

static void ring_start(struct vhost_user *vu, unsigned i, bool discard)
{
	ring_try(vu, i, discard);
	set_paused(&vu->ring[i], false);
}

bool vhost_user_load_mem(struct vhost_user *vu)
{
	struct rte_vhost_memory *table = NULL;
	bool ok = true;

	guestmem_init(&vu->mem);
	vhost_fault_forget(&vu->mem);
	if (vu->closing || rte_vhost_get_mem_table(vu->vid, &table) || !table)
		return false;
	for (uint32_t i = 0; i < table->nregions && ok; i++) {
		const struct rte_vhost_mem_region *g = &table->regions[i];
		ok = !guestmem_add(&vu->mem, g->guest_phys_addr, g->size,
			(void *)(uintptr_t)g->host_user_addr, 0);
		vhost_fault_watch(&vu->mem, g->mmap_addr, g->mmap_size);
	}
	free(table);
	return ok && vu->mem.n;
}

void vhost_user_drop_mem(struct vhost_user *vu)
{
	vu->have_mem = false;
	vhost_fault_forget(&vu->mem);
}

void vhost_user_drop_log(struct vhost_user *vu)
{
	vhost_fault_forget(&vu->log);
	dirty_log_unmap(&vu->log);
}

void vhost_user_start(struct vhost_user *vu)
{
	if (!vu->running || vu->stopped || !vu->have_mem)
		return;
	__atomic_store_n(
		&vu->port.offloads, vhost_features_offloads(vu->features), __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2 * vu->port.config.queues; i++) {
		if (vu->ring[i].active || (i % 2 && vhost_user_settling()))
			continue;
		if (vu->ring[i].ready)
			ring_start(vu, i, false);
		else if (i % 2 && !vu->ring[i].enabled)
			ring_start(vu, i, true); // set up but disabled: its frames go nowhere
	}
	update_txqs(vu);
}
