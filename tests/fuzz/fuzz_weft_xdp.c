// SPDX-License-Identifier: BSD-2-Clause
// The XDP program's parse path on any bytes: what it says of a frame agrees with what the switch's
// own dissection says, and nothing outside the frame is read (the sanitizer watches).
#include "bpf/weft_xdp.h"
#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "dataplane/port/partial_csum.h"
#include "tests/lib/craft.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_parse(const uint8_t *data, uint32_t len, struct frame *f)
{
	struct weft_steer_key key;
	memset(&key, 0xa5, sizeof(key));
	enum weft_xdp_class class = weft_xdp_parse(data, data + len, &key);
	uint16_t tci = 0;
	if (class == WEFT_XDP_CLASS_TRUNCATED) {
		CHECK(len < ETH_HDR_LEN + ETH_TAG_LEN);
		CHECK(len < ETH_HDR_LEN || eth_be16(data + 12) == ETH_TYPE_VLAN);
		return;
	}
	CHECK(len >= FRAME_LEN_MIN);
	bool tagged = eth_parse_tag(f, &tci);
	CHECK(key.vid == (tagged ? tci & 0xfff : 0));
	CHECK(!memcmp(key.mac, eth_dst(f), ETH_ADDR_LEN));
	CHECK((class == WEFT_XDP_CLASS_MULTICAST) == eth_is_multicast(eth_dst(f)));
}

// A claim that is made is one that the switch accepts, and nothing of the frame changes.
static void check_claim(struct frame *f, const uint8_t *data)
{
	static uint8_t after[CRAFT_MAX];
	partial_csum_claim(f, 128);
	frame_copy(f, 0, after, f->len);
	CHECK(!memcmp(after, data, f->len));
	if (!(f->flags & FRAME_OFFLOAD))
		return;
	struct virtio_net_hdr claim = f->offload;
	CHECK(offload_check(f) == 0);
	CHECK(!offload_is_segment(f) || f->head_len >= f->offload.hdr_len);
	CHECK(f->flags & FRAME_OFFLOAD && !memcmp(&claim, &f->offload, sizeof(claim)));
	if (!offload_is_segment(f))
		offload_complete_csum(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct frame_seg segs[CRAFT_SEGS];
	static struct frame f;
	// Of its exact size, so that reading on is noticed.
	if (len > 4096)
		return 0;
	uint8_t *frame = malloc(len ? len : 1);
	memcpy(frame, data, len);
	if (len >= FRAME_LEN_MIN) {
		craft_lend(&f, frame, (uint32_t)len, 100, segs, NULL);
		check_parse(frame, (uint32_t)len, &f);
		craft_lend(&f, frame, (uint32_t)len, 100, segs, NULL);
		check_claim(&f, frame);
	} else {
		struct weft_steer_key key;
		CHECK(weft_xdp_parse(frame, frame + len, &key) == WEFT_XDP_CLASS_TRUNCATED);
	}
	free(frame);
	return 0;
}
