// SPDX-License-Identifier: BSD-2-Clause
// Reads any text as a configuration: it is refused with a sentence, or what it says survives being
// written and read again.
#include "control/config.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error err;
	struct config *c = NULL, *again = NULL;
	char text[700];

	if (config_parse((const char *)data, size, &c, &err) < 0) {
		CHECK(!c && *err.error.text);
		config_error_text(&err, "weft.yaml", text, sizeof(text));
		return 0;
	}
	char *yaml = config_yaml(c->json);
	CHECK(yaml);
	CHECK(config_parse(yaml, strlen(yaml), &again, &err) == 0);
	CHECK(json_equal(c->json, again->json));
	CHECK(c->n_ports == again->n_ports);
	for (uint32_t i = 0; i < c->n_ports; i++)
		CHECK(memcmp(&c->ports[i].sw, &again->ports[i].sw, sizeof(c->ports[i].sw)) == 0);
	free(yaml);
	config_free(c);
	config_free(again);
	return 0;
}
