// SPDX-License-Identifier: BSD-2-Clause
// Builds plans.
#include "dataplane/switch/plan.h"

#include <stdlib.h>
#include <string.h>

static void add_members(struct plan *plan, const struct plan_input *in)
{
	for (unsigned vid = 1; vid <= VLAN_VID_MAX; vid++)
		if (vlan_is_member(in->vlan, (uint16_t)vid))
			port_set_add(&plan->member[vid], in->port->id);
}

static void add_port(struct plan *plan, const struct plan_input *in)
{
	const uint32_t id = in->port->id;

	plan->port[id] = (struct plan_port){
		.port = in->port,
		.vlan = vlan_port(in->vlan),
		.isolated = in->isolated,
		.plain = !in->vlan->is_trunk && !in->policy && !in->tape,
		.policy = in->policy,
		.tape = in->tape,
	};
	if (in->isolated)
		port_set_add(&plan->isolated, id);
	if (in->vlan->is_trunk)
		add_members(plan, in);
	else
		port_set_add(&plan->member[in->vlan->access], id);
}

static void add_queues(struct plan *plan, const struct plan_input *in)
{
	for (uint32_t q = 0; q < in->port->n_rxq; q++) {
		uint32_t w = in->port->rxq[q].worker;
		if (w >= WORKERS_MAX)
			continue; // on its way from one worker to another
		plan->rxq[w][plan->n_rxq[w]++] = (struct plan_rxq){
			.port = in->port,
			.ops = in->port->ops,
			.lane = &in->lanes[q],
			.stats = in->port->stats[w],
			.id = (uint16_t)in->port->id,
			.q = (uint16_t)q,
			.spills = in->port->ops->rx_spills,
		};
	}
}

struct plan *plan_new(
	uint64_t seq, const struct plan_common *common, const struct plan_input *in, uint32_t n)
{
	uint32_t count[WORKERS_MAX] = {0}, total = 0;
	struct plan *plan;

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t q = 0; q < in[i].port->n_rxq; q++)
			if (in[i].port->rxq[q].worker < WORKERS_MAX) {
				count[in[i].port->rxq[q].worker]++;
				total++;
			}
	plan = calloc(1, sizeof(*plan) + total * sizeof(plan->queues[0]));
	if (!plan)
		return NULL;
	plan->seq = seq;
	plan->common = *common;
	struct plan_rxq *at = plan->queues;
	for (unsigned w = 0; w < WORKERS_MAX; w++) {
		plan->rxq[w] = at;
		at += count[w];
	}
	for (uint32_t i = 0; i < n; i++) {
		add_port(plan, &in[i]);
		add_queues(plan, &in[i]);
	}
	return plan;
}

void plan_free(struct plan *plan)
{
	free(plan);
}
