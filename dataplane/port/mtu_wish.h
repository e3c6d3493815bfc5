// SPDX-License-Identifier: BSD-2-Clause
// The MTU that the configuration wants of a device, asked for once.
//
// A port that does not work with it, as the driver's XDP refuses it or for another reason, is set up again
// and again, by its watch or, if it could not be opened, by control. Meanwhile somebody may give the device
// another MTU, which must stay, and a driver must not be asked each second for what it has refused. So it is
// remembered here, beyond ports.
#pragma once

#include "dataplane/port/netdev.h"

#define MTU_WISH_AGAIN_S 60 // until one that was refused is asked for again

// Gives the device this MTU, unless it was given it since mtu_wish_met. Reads *dev anew if it changed. 0 if
// the port is to go on with what *dev has; -errno with *err, once for MTU_WISH_AGAIN_S from the kernel.
// Control or event thread.
int mtu_wish_make(const char *name, uint32_t mtu, struct netdev *dev, struct error *err);
// The port works on the device: who opens one on it from now on may wish again.
void mtu_wish_met(int ifindex);
