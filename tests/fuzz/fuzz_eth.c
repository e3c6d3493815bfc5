// SPDX-License-Identifier: BSD-2-Clause
// Dissects any bytes: offsets stay inside, nothing depends on how a frame is cut into pieces, and
// tags come and go without a trace.
//
// Input: length of segments, then the frame.
#include "dataplane/frame/eth.h"
#include "tests/lib/craft.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static struct frame_seg segs[CRAFT_SEGS], whole[CRAFT_SEGS];

static void dissect(struct frame *f)
{
	struct eth_layers l;
	if (eth_dissect(f, &l) < 0)
		return;
	CHECK(l.l3 >= ETH_HDR_LEN && l.l3 <= f->head_len && l.l4 <= f->head_len);
	CHECK(l.l4 == 0 || l.l4 > l.l3);
	CHECK((l.l4 != 0) == (l.type == ETH_TYPE_IPV4 || l.type == ETH_TYPE_IPV6));
	CHECK(l.l3 == ETH_HDR_LEN + l.n_tags * ETH_TAG_LEN);
}

static void push_and_pop(struct frame *f, uint8_t *before, uint8_t *after)
{
	uint16_t tci;
	uint32_t len = f->len, hash = eth_flow_hash(f);
	frame_copy(f, 0, before, len);
	bool tagged = eth_parse_tag(f, &tci);
	eth_push_tag(f, 0x6123);
	eth_push_tag(f, 1);
	eth_pop_tag(f);
	CHECK(eth_parse_tag(f, &tci) && tci == 0x6123);
	eth_pop_tag(f);
	CHECK(f->len == len && eth_flow_hash(f) == hash);
	frame_copy(f, 0, after, len);
	CHECK(memcmp(before, after, len) == 0);
	CHECK(eth_parse_tag(f, &tci) == tagged);
	if (tagged)
		eth_pop_tag(f);
	dissect(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[CRAFT_MAX], after[CRAFT_MAX];
	static struct eth_sender one, many;
	static struct frame f, g;
	if (size < 1 + FRAME_LEN_MIN || size > 4000)
		return -1;
	uint32_t len = (uint32_t)size - 1, seg_len = data[0] + 1u;
	uint8_t *bytes = malloc(len); // ends where the frame does
	memcpy(bytes, data + 1, len);

	craft_lend(&f, bytes, len, seg_len, segs, NULL);
	uint32_t hash = eth_flow_hash(&f);
	dissect(&f);
	CHECK(eth_flow_hash(&f) == hash);

	memset(&one, 0, sizeof(one));
	memset(&many, 0, sizeof(many));
	craft_lend(&f, bytes, len, seg_len, segs, NULL);
	int rc = eth_get_sender(&f, &many);
	craft_lend(&g, bytes, len, len, whole, NULL);
	CHECK(eth_get_sender(&g, &one) == rc);
	CHECK(memcmp(&one, &many, sizeof(one)) == 0);
	CHECK(eth_flow_hash(&f) == hash && eth_flow_hash(&g) == hash);

	craft_lend(&f, bytes, len, seg_len, segs, NULL);
	push_and_pop(&f, before, after);
	free(bytes);
	return 0;
}
