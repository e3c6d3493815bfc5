// SPDX-License-Identifier: BSD-2-Clause
// One function for each access to a 16-bit field of the rings, for check_ring_access to disassemble.
#include "dataplane/virtq/device.h"
#include "dataplane/virtq/driver.h"

// Read: the argument points to the field's ring, so that the only memory operand of 16 bits is the field.
#define READ(name, expression)                                                                \
	uint16_t read_##name(struct vring_avail *avail, struct vring_used *used, unsigned i); \
	uint16_t read_##name(struct vring_avail *avail, struct vring_used *used, unsigned i)  \
	{                                                                                     \
		return expression;                                                            \
	}

#define WRITE(name, expression)                                                              \
	void write_##name(                                                                   \
		struct vring_avail *avail, struct vring_used *used, unsigned i, uint16_t v); \
	void write_##name(                                                                   \
		struct vring_avail *avail, struct vring_used *used, unsigned i, uint16_t v)  \
	{                                                                                    \
		expression;                                                                  \
	}

READ(avail_idx, vq_load16_acquire(&avail->idx))
READ(avail_flags, vq_load16(&avail->flags))
READ(avail_ring, vq_load16(&avail->ring[i]))
READ(used_event, vq_load16(vq_used_event(avail, 256)))
READ(used_idx, vq_load16_acquire(&used->idx))
READ(used_flags, vq_load16(&used->flags))
READ(avail_event, vq_load16(vq_avail_event(used, 256)))
WRITE(avail_idx, vq_store16_release(&avail->idx, v))
WRITE(avail_flags, vq_store16(&avail->flags, v))
WRITE(avail_ring, vq_store16(&avail->ring[i], v))
WRITE(used_event, vq_store16(vq_used_event(avail, 256), v))
WRITE(used_idx, vq_store16_release(&used->idx, v))
WRITE(used_flags, vq_store16(&used->flags, v))
WRITE(avail_event, vq_store16(vq_avail_event(used, 256), v))
