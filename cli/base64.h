// SPDX-License-Identifier: BSD-2-Clause
// Base64 (RFC 4648, section 4) back to bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

// How many bytes; -1 if the text is not base64 or they are more than `size`.
long base64_decode(const char *text, uint8_t *out, size_t size);
