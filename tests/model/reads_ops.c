// SPDX-License-Identifier: BSD-2-Clause
// Every operation of either side, once around: compiled with instrumentation, judged by reads.c.
//
// begin() and end() lie in another file, so that the compiler must take them to change everything, as they do.
#include "tests/model/reads.h"

#include <stdio.h>

static void check_segs(const struct vq_seg *segs, const struct vq_chain *c)
{
	for (unsigned i = 0; i < c->n_readable + c->n_writable; i++)
		if (segs[i].base < p.ram ||
			segs[i].base + segs[i].len > p.ram + p.layout.total + PAIR_DATA) {
			fprintf(stderr, "reads: a segment outside memory\n");
			exit(1);
		}
}

void device_round(uint64_t *n_good)
{
	struct vring_used_elem elems[16];
	struct vq_seg segs[64];
	struct vq_chain c;
	uint16_t heads[16];
	unsigned n;
	int err;

	randomise();
	begin(true, "vq_device_pop_chain");
	err = vq_device_pop_chain(&p.dev, &p.mem, &p.cache, 8, segs, 64, &c);
	end();
	if (err == 1) {
		check_segs(segs, &c);
		++*n_good;
	}
	randomise();
	begin(true, "vq_device_pop_burst");
	n = vq_device_pop_burst(&p.dev, heads, 16);
	end();
	for (unsigned i = 0; i < n; i++) {
		if (heads[i] >= p.dev.size)
			exit(1);
		elems[i] = (struct vring_used_elem){heads[i], 0};
	}
	begin(true, "vq_device_used_burst");
	vq_device_used_burst(&p.dev, elems, n);
	end();
	begin(true, "vq_device_publish, vq_fence");
	vq_device_publish(&p.dev);
	vq_fence();
	end_as("wf");
	begin(true, "vq_device_needs_notification");
	vq_device_needs_notification(&p.dev);
	end();
	begin(true, "vq_device_enable_notification");
	vq_device_enable_notification(&p.dev);
	end_as("wfr"); // the wish, the fence, the second look
	begin(true, "vq_device_disable_notification");
	vq_device_disable_notification(&p.dev);
	end_as(p.dev.ring.event_idx ? "" : "w");
	randomise();
	begin(true, "avail, peek, desc");
	n = vq_device_avail(&p.dev, 16);
	for (unsigned i = 0; i < n; i++) {
		uint16_t head = vq_device_peek(&p.dev, i);

		if (head < p.dev.size && !was_read(head * 16u))
			vq_device_desc(&p.dev, head);
	}
	vq_device_pop(&p.dev, n);
	end();
}

void driver_round(void)
{
	struct vq_driver *d = &p.drv;
	struct vq_reaped r[16];
	uint16_t heads[16];
	unsigned n = 0, m;

	begin(false, "vq_driver_write_chain, push, publish");
	while (n < p.layout.size && n < 16) {
		struct vring_desc b = {p.data_gpa, 8, VRING_DESC_F_WRITE, 0};
		int id = vq_driver_write_chain(d, &b, 1);

		if (id < 0)
			break;
		heads[n++] = (uint16_t)id;
	}
	m = vq_driver_push_burst(d, heads, n);
	vq_driver_publish(d);
	end();
	if (m != n)
		exit(1);
	begin(false, "vq_driver_needs_kick");
	vq_driver_needs_kick(d);
	end();
	for (uint32_t i = 0; i < p.layout.size; i++) {
		d->used->ring[i].id = rnd(p.layout.size + (rnd(8) == 0));
		d->used->ring[i].len = rnd(10);
	}
	d->used->idx = (uint16_t)(d->next_used + rnd(n + 1));
	begin(false, "vq_driver_reap_burst");
	n = vq_driver_reap_burst(d, r, 16);
	end();
	for (unsigned i = 0; i < n; i++)
		if (r[i].head >= d->size || r[i].len > 8)
			exit(1);
	begin(false, "vq_driver_enable_callbacks");
	vq_driver_enable_callbacks(d);
	end_as("wfr");
	begin(false, "vq_driver_disable_callbacks");
	vq_driver_disable_callbacks(d);
	end_as(d->event_idx ? "" : "w");
}

bool second_look_is_seen(void)
{
	uint16_t first, second;

	begin(true, "a second look");
	first = vq_device_avail_idx(&p.dev);
	if (!was_read(p.layout.avail + 2) || was_read(p.layout.avail))
		return false;
	forget_reads();
	second = vq_device_avail_idx(&p.dev);
	end();
	return first != second;
}
