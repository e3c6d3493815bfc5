// SPDX-License-Identifier: BSD-2-Clause
// Reads bytes of borrowed frames: more headers into the private head, or a run into a buffer.
#include "dataplane/frame/frame.h"

#include <assert.h>
#include <string.h>

static void drop_first_seg(struct frame *f)
{
	if (f->n_segs > 1)
		frame_set_segs(f, f->segs + 1, f->n_segs - 1u);
	else
		f->n_segs = 0;
}

bool frame_pull_segs(struct frame *f, unsigned want)
{
	if (want > f->len || want > FRAME_HEAD_MAX || f->head_off + want > sizeof(f->buf))
		return false;
	assert(f->head_off + FRAME_WINDOW <= sizeof(f->buf));
	if (want < FRAME_WINDOW)
		want = f->len < FRAME_WINDOW ? f->len : FRAME_WINDOW;
	// Most often a frame is as it was received.
	if (want == FRAME_WINDOW && f->head_len == FRAME_HEAD && f->n_segs == 1) {
		const uint32_t n = FRAME_WINDOW - FRAME_HEAD;
		memcpy(frame_head(f) + FRAME_HEAD, f->seg.base, n);
		f->seg.base += n;
		f->seg.len -= n;
		f->n_segs = f->seg.len > 0;
		f->head_len = FRAME_WINDOW;
		return true;
	}
	while (f->head_len < want) {
		assert(f->n_segs > 0); // or len is not the sum of what there is
		struct frame_seg *seg = frame_segs(f);
		uint32_t n = want - f->head_len;
		if (n < seg->len) {
			memcpy(frame_head(f) + f->head_len, seg->base, n);
			seg->base += n;
			seg->len -= n;
		} else {
			n = seg->len;
			memcpy(frame_head(f) + f->head_len, seg->base, n);
			drop_first_seg(f);
		}
		f->head_len += n;
	}
	return true;
}

void frame_copy(const struct frame *f, uint32_t off, void *to, uint32_t len)
{
	uint8_t *out = to;
	if (off < f->head_len) {
		uint32_t n = f->head_len - off < len ? f->head_len - off : len;
		memcpy(out, frame_head_const(f) + off, n);
		out += n;
		len -= n;
		off = 0;
	} else {
		off -= f->head_len;
	}
	for (const struct frame_seg *seg = frame_segs_const(f); len > 0; seg++) {
		if (off >= seg->len) {
			off -= seg->len;
			continue;
		}
		uint32_t n = seg->len - off < len ? seg->len - off : len;
		memcpy(out, seg->base + off, n);
		out += n;
		len -= n;
		off = 0;
	}
}
