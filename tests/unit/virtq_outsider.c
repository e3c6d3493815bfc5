// SPDX-License-Identifier: BSD-2-Clause
// A program outside the tree: what it includes and links is what libweft-virtq installs.
#include <dataplane/virtq/device.h>
#include <dataplane/virtq/driver.h>
#include <dataplane/virtq/layout.h>
#include <dataplane/virtq/used_ring.h>

static _Alignas(64) uint8_t memory[8192];

int main(void)
{
	struct vring_desc frame = {.addr = 0x10000 + 4096, .len = 64};
	struct vq_reaped reaped;
	struct vq_layout layout;
	struct vq_driver driver;
	struct vq_device device;
	uint16_t head;
	int id;

	if (vq_layout_init(&layout, 1, 8, 0, 0) ||
		vq_driver_init(&driver, &layout, 0, memory, 0x10000, true) ||
		vq_device_init(&device, 8) ||
		vq_device_set_rings(&device, 8, driver.desc, driver.avail, driver.used))
		return 1;
	id = vq_driver_write_chain(&driver, &frame, 1);
	if (id < 0 || !vq_driver_push(&driver, (uint16_t)id))
		return 2;
	vq_driver_publish(&driver);
	if (vq_device_pop_burst(&device, &head, 1) != 1)
		return 3;
	vq_device_used(&device, 0, head, 0);
	vq_device_add(&device, 1);
	vq_device_publish(&device);
	vq_fence();
	if (!vq_device_needs_notification(&device) || !vq_driver_reap(&driver, &reaped))
		return 4;
	vq_driver_fini(&driver);
	return reaped.head != id;
}
