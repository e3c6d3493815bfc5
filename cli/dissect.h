// SPDX-License-Identifier: BSD-2-Clause
// A frame in one line of text.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Writes what the frame is; reads no byte beyond `len`.
void dissect(const uint8_t *frame, size_t len, char *buf, size_t size);
