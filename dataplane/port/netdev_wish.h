// SPDX-License-Identifier: BSD-2-Clause
// What the configuration wants of a device, asked for once: that it is up, and its MTU.
//
// A port that does not work, as the driver's XDP refuses the MTU or for another reason, is set up again and
// again, by its watch or, if it could not be opened, by control. Meanwhile somebody may give the device
// another MTU or set it down, which must stay, and a driver must not be asked each second for what it has
// refused. So it is remembered here, beyond ports.
#pragma once

#include "dataplane/port/netdev.h"

#define NETDEV_WISH_AGAIN_S 60 // until an MTU that was refused is asked for again

// Both: unless it was done since netdev_wish_met. 0 if the port is to go on with the device as it is, or
// -errno with *err. Control or event thread.
int netdev_wish_up(const char *name, const struct netdev *dev, struct error *err);
// Reads *dev anew if it changed. Once for NETDEV_WISH_AGAIN_S a refusal comes from the kernel.
int netdev_wish_mtu(const char *name, uint32_t mtu, struct netdev *dev, struct error *err);
// The port works on the device: who opens one on it from now on may wish again.
void netdev_wish_met(int ifindex);
