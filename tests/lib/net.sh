# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Network namespaces and veth pairs. Every name carries this script's pid, nothing is made in the
# namespace that the script was started in, and everything goes away with the script.

# ns NAME: the full name of this script's namespace NAME.
ns() { echo "weft-$$-$1"; }

# ns_add NAME...: makes namespaces with loopback up and without IPv6 chatter.
ns_add() {
	local name
	for name; do
		ip netns add "$(ns "$name")"
		cleanup ip netns del "$(ns "$name")"
		ip -n "$(ns "$name")" link set lo up
		in_ns "$name" sysctl -qw net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.default.router_solicitations=0
	done
}

# in_ns NAME COMMAND...
in_ns() {
	local name=$1
	shift
	ip netns exec "$(ns "$name")" "$@"
}

# veth NS1 DEV1 NS2 DEV2 [MAC2]: a pair of interfaces, both up; DEV2 is the host's end.
veth() {
	ip -n "$(ns "$1")" link add name "$2" type veth peer name "$4" netns "$(ns "$3")"
	[[ -z ${5:-} ]] || ip -n "$(ns "$3")" link set dev "$4" address "$5"
	ip -n "$(ns "$1")" link set dev "$2" up
	ip -n "$(ns "$3")" link set dev "$4" up
	# What AF_XDP carries are finished frames: the host's end must not leave checksums to a card.
	if command -v ethtool >/dev/null; then
		in_ns "$3" ethtool -K "$4" tx off rx off >/dev/null 2>&1 || true
	fi
}

# host NAME ADDRESS/LENGTH MAC: a namespace NAME with the interface eth0, whose other end is the
# interface NAME of the switch's namespace `sw`.
host() {
	ns_add "$1"
	veth sw "$1" "$1" eth0 "$3"
	[[ -z $2 ]] || ip -n "$(ns "$1")" addr add "$2" dev eth0
}

# ping_ok NS ADDRESS [PAYLOAD] [COUNT]: true without a single loss; else what ping says. All at once,
# then up to three seconds for the answers: a busy machine may be slow, but nothing may be lost.
ping_ok() {
	local output
	output=$(in_ns "$1" ping -n -i 3 -W 3 -l "${4:-20}" -c "${4:-20}" -s "${3:-56}" "$2" 2>&1) || true
	grep -q ' 0% packet loss' <<<"$output" || {
		printf '%s\n' "$output"
		return 1
	}
}

# frames FROM TO [OPTION...]: tests/lib/frames.py between NS:DEVICE and NS:DEVICE of this script.
frames() {
	"$WEFT_ROOT/tests/lib/frames.py" "$(ns "${1%:*}"):${1#*:}" "$(ns "${2%:*}"):${2#*:}" "${@:3}"
}

# say NS SOURCE-MAC [OPTION...]: one broadcast frame from the namespace's eth0, to be learnt from.
say() {
	frames "$1:eth0" "$1:eth0" --only-send --sizes 60 --src "$2" --dst ff:ff:ff:ff:ff:ff "${@:3}"
}
