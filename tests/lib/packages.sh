# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Reads packaging/dependencies and installs what is missing of it.

# packages_list GROUP...: the packages of these groups for this machine, one per line.
packages_list() {
	local arch groups=" $* "
	arch=$(dpkg --print-architecture)
	while read -r group package _; do
		[[ $group && $group != \#* && $groups == *" $group "* ]] || continue
		[[ $package != *@* || ${package#*@} == "$arch" ]] || continue
		echo "${package%@*}"
	done <"$WEFT_ROOT/packaging/dependencies" | sort -u
}

# packages_missing GROUP...: those of them that are not installed.
packages_missing() {
	comm -23 <(packages_list "$@") <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' |
		sed -n 's/^ii *//p' | sort -u)
}

# packages_install GROUP...: installs what is missing, as root. No service is started or enabled
# at once: under SYSTEMD_OFFLINE systemctl, and under RUNLEVEL=1 invoke-rc.d, leave them alone.
packages_install() {
	local missing log
	mapfile -t missing < <(packages_missing "$@")
	((${#missing[@]})) || return 0
	[[ $EUID == 0 ]] || fail "missing packages: ${missing[*]}; run this with sudo to install them"
	log=$(mktemp /tmp/weft-apt.XXXXXX)
	info "installing ${#missing[@]} packages: ${missing[*]}"
	# The packages may be named by lists that were never fetched, or are stale.
	if ! apt_install "${missing[@]}" >"$log" 2>&1 </dev/null; then
		{ apt-get -q update && apt_install "${missing[@]}"; } >>"$log" 2>&1 </dev/null || {
			tail -n 30 "$log" >&2
			fail "apt-get could not install them; its output is in $log"
		}
	fi
	rm -f "$log"
}

apt_install() {
	DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 RUNLEVEL=1 NEEDRESTART_SUSPEND=1 \
		apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}
