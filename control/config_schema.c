// SPDX-License-Identifier: BSD-2-Clause
// The one schema of the configuration: libcyaml's tables, and help and limits beside them.
#include "control/config_schema.h"

#include "dataplane/switch/switch.h"

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <syslog.h>

#define TEXT(key, type, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, 255)
#define NEED_TEXT(key, type, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, 255)
#define NUMBER(key, type, member) CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, type, member)
#define CHOICE(key, type, member, names) \
	CYAML_FIELD_ENUM(key, CYAML_FLAG_OPTIONAL, type, member, names, CYAML_ARRAY_LEN(names))
#define GROUP(key, type, member, fields) \
	CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, fields)
#define LIST(key, type, member, count, entry, max) \
	CYAML_FIELD_SEQUENCE_COUNT(                \
		key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, count, entry, 0, max)

static const cyaml_strval_t idle_names[] = {{"sleep", IDLE_SLEEP}, {"poll", IDLE_POLL}};
static const cyaml_strval_t mode_names[] = {{"server", MODE_SERVER}, {"client", MODE_CLIENT}};
static const cyaml_strval_t share_names[] = {{"exclusive", SHARE_EXCLUSIVE}, {"host", SHARE_HOST}};
static const cyaml_strval_t xdp_names[] = {{"auto", XDP_AUTO}, {"zerocopy", XDP_ZEROCOPY},
	{"copy", XDP_COPY}, {"generic", XDP_GENERIC}};
static const cyaml_strval_t privilege_names[] = {
	{"xdp", PRIVILEGE_XDP}, {"socket-owner", PRIVILEGE_SOCKET_OWNER}};
static const cyaml_strval_t level_names[] = {{"error", LOG_ERR + 1}, {"warning", LOG_WARNING + 1},
	{"notice", LOG_NOTICE + 1}, {"info", LOG_INFO + 1}, {"debug", LOG_DEBUG + 1}};

// Bits of virtio 1.2, 5.1.3 and 6, all that vhost_features_all offers; the numbers are of those
// that some kernels' headers lack.
static const cyaml_strval_t feature_names[] = {
	{"csum", 1LL << VIRTIO_NET_F_CSUM},
	{"guest_csum", 1LL << VIRTIO_NET_F_GUEST_CSUM},
	{"mtu", 1LL << VIRTIO_NET_F_MTU},
	{"guest_tso4", 1LL << VIRTIO_NET_F_GUEST_TSO4},
	{"guest_tso6", 1LL << VIRTIO_NET_F_GUEST_TSO6},
	{"guest_ecn", 1LL << VIRTIO_NET_F_GUEST_ECN},
	{"host_tso4", 1LL << VIRTIO_NET_F_HOST_TSO4},
	{"host_tso6", 1LL << VIRTIO_NET_F_HOST_TSO6},
	{"host_ecn", 1LL << VIRTIO_NET_F_HOST_ECN},
	{"mrg_rxbuf", 1LL << VIRTIO_NET_F_MRG_RXBUF},
	{"ctrl_vq", 1LL << VIRTIO_NET_F_CTRL_VQ},
	{"ctrl_rx", 1LL << VIRTIO_NET_F_CTRL_RX},
	{"guest_announce", 1LL << VIRTIO_NET_F_GUEST_ANNOUNCE},
	{"mq", 1LL << VIRTIO_NET_F_MQ},
	{"log_all", 1LL << 26},
	{"any_layout", 1LL << 27},
	{"indirect_desc", 1LL << VIRTIO_RING_F_INDIRECT_DESC},
	{"event_idx", 1LL << VIRTIO_RING_F_EVENT_IDX},
	{"version_1", 1LL << 32},
	{"in_order", 1LL << 35},
	{"guest_uso4", 1LL << 54},
	{"guest_uso6", 1LL << 55},
	{"host_uso", 1LL << 56},
};

static const cyaml_schema_field_t worker_fields[] = {
	CYAML_FIELD_UINT("core", CYAML_FLAG_DEFAULT, struct conf_worker, core), CYAML_FIELD_END};
static const struct cyaml_schema_value worker_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_worker, worker_fields)};

static const cyaml_schema_field_t static_fields[] = {NEED_TEXT("mac", struct conf_static, mac),
	NUMBER("vlan", struct conf_static, vlan), NEED_TEXT("port", struct conf_static, port),
	CYAML_FIELD_END};
static const struct cyaml_schema_value static_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_static, static_fields)};

static const cyaml_schema_field_t fdb_fields[] = {NUMBER("age", struct conf_fdb, age),
	NUMBER("max", struct conf_fdb, max),
	LIST("static", struct conf_fdb, fixed, n_fixed, &static_schema, 4096), CYAML_FIELD_END};

static const cyaml_schema_field_t api_fields[] = {TEXT("socket", struct conf_api, socket),
	TEXT("group", struct conf_api, group), TEXT("admin-group", struct conf_api, admin_group),
	CYAML_FIELD_END};

static const cyaml_schema_field_t metrics_fields[] = {
	TEXT("listen", struct conf_metrics, listen), CYAML_FIELD_END};

static const cyaml_schema_field_t log_fields[] = {
	CHOICE("level", struct conf_log, level, level_names), CYAML_FIELD_END};

static const struct cyaml_schema_value text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, 255)};
static const struct cyaml_schema_value number_schema = {
	CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t vlan_fields[] = {NUMBER("access", struct conf_vlan, access),
	LIST("trunk", struct conf_vlan, trunk, n_trunk, &text_schema, VLAN_N),
	NUMBER("native", struct conf_vlan, native), CYAML_FIELD_END};

static const cyaml_schema_field_t policy_fields[] = {
	LIST("macs", struct conf_policy, macs, n_macs, &text_schema, POLICY_ADDRS_MAX),
	LIST("ips", struct conf_policy, ips, n_ips, &text_schema, POLICY_ADDRS_MAX),
	CYAML_FIELD_BOOL("isolated", CYAML_FLAG_OPTIONAL, struct conf_policy, isolated),
	TEXT("rate", struct conf_policy, rate), TEXT("rate-pps", struct conf_policy, rate_pps),
	TEXT("storm", struct conf_policy, storm), CYAML_FIELD_END};

static const cyaml_schema_field_t features_fields[] = {
	CYAML_FIELD_FLAGS("off", CYAML_FLAG_OPTIONAL, struct conf_features, off, feature_names,
		CYAML_ARRAY_LEN(feature_names)),
	CYAML_FIELD_END};

static const cyaml_schema_field_t port_fields[] = {
	NEED_TEXT("name", struct conf_port, name),
	NEED_TEXT("type", struct conf_port, type),
	TEXT("socket", struct conf_port, socket),
	CHOICE("mode", struct conf_port, mode, mode_names),
	TEXT("device", struct conf_port, device),
	NUMBER("queues", struct conf_port, queues),
	NUMBER("mtu", struct conf_port, mtu),
	GROUP("vlan", struct conf_port, vlan, vlan_fields),
	GROUP("policy", struct conf_port, policy, policy_fields),
	LIST("workers", struct conf_port, workers, n_workers, &number_schema, PORT_QUEUES_MAX),
	GROUP("features", struct conf_port, features, features_fields),
	TEXT("socket-owner", struct conf_port, socket_owner),
	TEXT("socket-mode", struct conf_port, socket_mode),
	CHOICE("share", struct conf_port, share, share_names),
	CHOICE("xdp-mode", struct conf_port, xdp_mode, xdp_names),
	NUMBER("busy-poll", struct conf_port, busy_poll),
	NUMBER("rx-ring", struct conf_port, rx_ring),
	CYAML_FIELD_END,
};

// libcyaml wants a pointer at the top, and none in a sequence of structs.
const struct cyaml_schema_value conf_port_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct conf_port, port_fields)};
static const struct cyaml_schema_value port_entry_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_port, port_fields)};

static const cyaml_schema_field_t conf_fields[] = {
	LIST("workers", struct conf, workers, n_workers, &worker_schema, WORKERS_MAX),
	CHOICE("idle", struct conf, idle, idle_names),
	NUMBER("idle-us", struct conf, idle_us),
	NUMBER("wakeup-us", struct conf, wakeup_us),
	NUMBER("patience-us", struct conf, patience_us),
	GROUP("fdb", struct conf, fdb, fdb_fields),
	GROUP("api", struct conf, api, api_fields),
	GROUP("metrics", struct conf, metrics, metrics_fields),
	GROUP("log", struct conf, log, log_fields),
	CYAML_FIELD_FLAGS("privileges", CYAML_FLAG_OPTIONAL, struct conf, privileges,
		privilege_names, CYAML_ARRAY_LEN(privilege_names)),
	LIST("ports", struct conf, ports, n_ports, &port_entry_schema, PORT_MAX),
	CYAML_FIELD_END,
};

const struct cyaml_schema_value conf_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct conf, conf_fields)};

// clang-format off
const struct conf_key conf_keys[] = {
	{"workers", NULL, "polling threads, one list entry each; default: one", "[{core: 2}]"},
	{"workers.core", NULL, "the core that the worker is pinned to", "2", 0, 1023},
	{"idle", NULL, "what a worker without work does: sleep (default) or poll", "sleep"},
	{"idle-us", NULL, "microseconds without work before a worker sleeps; default 50", "50", 1, 1000000},
	{"wakeup-us", NULL, "microseconds that cores of this host may take to wake up; default: any; 0: none halts", "20", 0, 1000000},
	{"patience-us", NULL, "microseconds that frames wait in their sender's ring while the ring of their receiver is full; default 8000; 0: they are dropped at once", "1000", 0, 100000},
	{"fdb", NULL, "the forwarding database", NULL},
	{"fdb.age", NULL, "seconds until a silent address is forgotten; default 300", "300", 1, 1000000},
	{"fdb.max", NULL, "addresses at most; default 65536", "65536", 16, 16777216},
	{"fdb.static", NULL, "addresses that are never forgotten", NULL},
	{"fdb.static.mac", NULL, "the address", "52:54:00:00:00:01"},
	{"fdb.static.vlan", NULL, "its VLAN; default 1", "10", 1, 4094},
	{"fdb.static.port", NULL, "the port where it lives", "vm1"},
	{"api", NULL, "the socket of weftctl", NULL},
	{"api.socket", NULL, "its path; default /run/weft/weftd.sock", "/run/weft/weftd.sock"},
	{"api.group", NULL, "group whose members may read; default weft, where there is one", "weft"},
	{"api.admin-group", NULL, "group whose members may change; default: root alone", "weftadm"},
	{"metrics", NULL, "Prometheus metrics over HTTP", NULL},
	{"metrics.listen", NULL, "address and port to serve them on; default: none", "127.0.0.1:9469"},
	{"log", NULL, "log lines", NULL},
	{"log.level", NULL, "the least important that is written; default info", "info"},
	{"privileges", NULL, "rights kept for ports added later; default: those of the ports in the file", "[xdp]"},
	{"ports", NULL, "what the switch connects", NULL},
	{"ports.name", NULL, "name of the port: letters, digits, _ . - and at most 31", "vm1"},
	{"ports.type", NULL, "vhost-user (a VM), af-xdp (a NIC) or tap (the host itself)", "vhost-user"},
	{"ports.socket", "vhost-user", "path of the socket shared with the VM", "/run/weft/vm1.sock"},
	{"ports.mode", "vhost-user", "server (default): weft listens; client: the VMM listens", "server"},
	{"ports.device", "af-xdp tap", "the network interface", "eth1"},
	{"ports.queues", "vhost-user tap", "queue pairs offered; default 1; a tap has one", "2", 1, PORT_QUEUES_MAX},
	{"ports.mtu", NULL, "longest packet; default 1500, or what the device has", "1500", 68, 65535},
	{"ports.vlan", NULL, "VLANs; default: untagged frames, in VLAN 1", NULL},
	{"ports.vlan.access", NULL, "the one VLAN of an access port, untagged on the port", "10", 1, 4094},
	{"ports.vlan.trunk", NULL, "tagged VLANs of a trunk: numbers, ranges, or all", "[10, 20-30]", 1, 4094},
	{"ports.vlan.native", NULL, "VLAN of a trunk's untagged frames; default: they are dropped", "1", 1, 4094},
	{"ports.policy", NULL, "who may send what, how fast; default: anything", NULL},
	{"ports.policy.macs", NULL, "source addresses allowed", "[52:54:00:00:00:01]", 1},
	{"ports.policy.ips", NULL, "source IP addresses or networks allowed", "[192.0.2.1, 2001:db8::/64]", 1},
	{"ports.policy.isolated", NULL, "no frames to and from other isolated ports", "true"},
	{"ports.policy.rate", NULL, "bits a second from the port; k, M and G are 1000s; default: no limit", "1G"},
	{"ports.policy.rate-pps", NULL, "frames a second from the port; default: no limit", "100k"},
	{"ports.policy.storm", NULL, "flooded frames a second from the port; default: no limit", "1k"},
	{"ports.workers", NULL, "worker of each receive queue; default: spread evenly", "[0, 1]", 0, WORKERS_MAX - 1},
	{"ports.features", "vhost-user", "virtio features of the guest; default: all there are", NULL},
	{"ports.features.off", "vhost-user", "those not to offer", "[mrg_rxbuf]"},
	{"ports.socket-owner", "vhost-user", "USER:GROUP that owns a server's socket", "libvirt-qemu:kvm"},
	{"ports.socket-mode", "vhost-user", "permissions of a server's socket; default 0660", "0660"},
	{"ports.share", "af-xdp", "exclusive (default), or host: the host keeps its own traffic", "exclusive"},
	{"ports.xdp-mode", "af-xdp", "auto (default): the best that works of zerocopy, copy, generic", "auto"},
	{"ports.busy-poll", "af-xdp", "busy polling budget in frames; default 0: off", "64", 0, 65535},
	{"ports.rx-ring", "af-xdp", "frames held for a queue while its worker is away; default 4096", "16384", PORT_RX_RING_LEAST, PORT_RX_RING_MOST},
};
// clang-format on
const unsigned conf_n_keys = sizeof(conf_keys) / sizeof(conf_keys[0]);

const struct conf_key *conf_key_find(const char *path)
{
	for (unsigned i = 0; i < conf_n_keys; i++)
		if (strcmp(conf_keys[i].path, path) == 0)
			return &conf_keys[i];
	return NULL;
}
