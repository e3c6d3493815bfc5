// SPDX-License-Identifier: BSD-2-Clause
// Any claims about any bytes: what passes the check is completed or cut within bounds, alters
// nothing but what it has to, and never changes who a frame says it is from.
//
// Input: struct virtio_net_hdr, length of segments, flags (1: tags pushed; 2: receiver takes
// checksums), batch, how often the rest is repeated (in units of 256 bytes); then the frame.
#include "dataplane/frame/checksum.h"
#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "tests/lib/craft.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static struct frame_seg segs[CRAFT_SEGS], views[CRAFT_SEGS];
static uint8_t before[CRAFT_MAX], after[CRAFT_MAX];

static int sender(struct frame *f, struct eth_sender *s)
{
	memset(s, 0, sizeof(*s));
	return eth_get_sender(f, s);
}

static void complete(struct frame *f)
{
	static struct eth_sender s1, s2;
	struct virtio_net_hdr claim = f->offload;
	uint32_t field = claim.csum_start + claim.csum_offset;
	int rc = sender(f, &s1);
	frame_copy(f, 0, before, f->len);
	uint16_t want = craft_checksum(before + claim.csum_start, f->len - claim.csum_start, 0);
	offload_complete_csum(f);
	frame_copy(f, 0, after, f->len);
	CHECK(eth_be16(after + field) == (want ? want : 0xffff));
	memcpy(before + field, after + field, 2);
	CHECK(memcmp(before, after, f->len) == 0);
	CHECK(sender(f, &s2) == rc && memcmp(&s1, &s2, sizeof(s1)) == 0);
	CHECK(offload_needs(f) == 0);
}

static void check_part(struct frame *f, struct frame *part, uint32_t at)
{
	uint16_t hdr_len = f->offload.hdr_len;
	uint32_t sum = part->head_len;
	for (unsigned i = 0; i < part->n_segs; i++)
		sum += frame_segs(part)[i].len;
	CHECK(sum == part->len && part->len > hdr_len && part->len <= offload_wire_len(f));
	frame_copy(part, 0, after, part->len);
	CHECK(memcmp(after + hdr_len, before + at, part->len - hdr_len) == 0);
	if (offload_needs(part) == 0)
		return;
	CHECK(offload_check(part) == 0 && offload_needs(part) == OFFLOAD_CSUM);
	complete(part);
	frame_copy(f, 0, before, f->len);
}

static void cut(struct frame *f, uint32_t batch, uint32_t offloads)
{
	static struct frame part[16];
	struct offload_segmenter s;
	uint32_t at = f->offload.hdr_len, n = 0;
	int rc;
	frame_copy(f, 0, before, f->len);
	offload_segmenter_init(&s, f, offloads);
	while ((rc = offload_segment_next(&s, part, batch, views, f->n_segs)) > 0) {
		CHECK((uint32_t)rc <= batch);
		for (int i = 0; i < rc; i++, n++) {
			check_part(f, &part[i], at);
			at += part[i].len - f->offload.hdr_len;
		}
	}
	CHECK(rc == 0 && at == f->len && n >= 2 && n <= OFFLOAD_PARTS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame f;
	struct virtio_net_hdr claim;
	if (size < sizeof(claim) + 4 + FRAME_LEN_MIN || size > 2000)
		return -1;
	memcpy(&claim, data, sizeof(claim));
	data += sizeof(claim);
	uint32_t seg_len = data[0] * 16u + 1, flags = data[1], batch = data[2] % 16 + 1u;
	uint32_t n = (uint32_t)(size - sizeof(claim)) - 4, len = n + data[3] * 256u;
	data += 4;
	if (len > FRAME_LEN_MAX - 8)
		len = FRAME_LEN_MAX - 8;
	uint8_t *bytes = malloc(len); // ends where the frame does
	for (uint32_t at = 0; at < len; at += n)
		memcpy(bytes + at, data, len - at < n ? len - at : n);

	craft_lend(&f, bytes, len, seg_len, segs, &claim);
	if (offload_check(&f) == 0) {
		if (flags & 1) {
			eth_push_tag(&f, 1);
			eth_push_tag(&f, 2);
		}
		if (offload_is_segment(&f))
			cut(&f, batch, flags & 2 ? OFFLOAD_CSUM : 0);
		else if (offload_needs(&f))
			complete(&f);
	}
	free(bytes);
	return 0;
}
