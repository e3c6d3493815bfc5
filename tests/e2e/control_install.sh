#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# meson install puts everything where it belongs, and never over the administrator's configuration.

# shellcheck source=tests/lib/base.sh
. "$(dirname "$0")/../lib/base.sh"

need meson
tmpdir install
put() { DESTDIR=$T/root meson install -C "$WEFT_BUILD" --no-rebuild --quiet >"$T/log" 2>&1 || fail "meson install: $(<"$T/log")"; }
put

prefix=$T/root$(meson introspect --buildoptions "$WEFT_BUILD" | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
for file in bin/weftctl sbin/weftd lib/systemd/system/weftd.service lib/sysusers.d/weft.conf \
	lib/tmpfiles.d/weft.conf share/man/man8/weftd.8 share/man/man1/weftctl.1 share/man/man5/weft.yaml.5 \
	share/bash-completion/completions/weftctl share/zsh/site-functions/_weftctl share/weft/grafana/weft.json; do
	[[ -s $prefix/$file ]] || fail "$file was not installed"
done
"$prefix/sbin/weftd" --version | finds '^weftd [0-9]' || fail "the installed weftd does not run"
"$prefix/bin/weftctl" --version | finds '^weftctl [0-9]' || fail "the installed weftctl does not run"
"$prefix/sbin/weftd" -c "$T/root/etc/weft/weft.yaml" --check || fail "the installed configuration is not good"
exec_start=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$prefix/lib/systemd/system/weftd.service")
[[ -x $T/root$exec_start ]] || fail "the unit starts $exec_start, which is not there"
python3 -m json.tool "$prefix/share/weft/grafana/weft.json" >/dev/null || fail "the dashboard is no JSON"

info "every metric of the dashboard is one that weftd has"
metrics=$(grep -oE 'weft_[a-z_]+' "$prefix/share/weft/grafana/weft.json" | sort -u)
for metric in $metrics; do
	name=${metric%_total}
	name=${name%_info}
	stem=${name#weft_port_}
	stem=${stem#weft_worker_}
	grep -qE "\"($name|$stem)\"" "$WEFT_ROOT/control/metrics_text.c" || fail "no such metric: $metric"
done

info "the manual has every key, every command"
"$WEFT_BUILD/control/apidoc" | sed -n 's/^| `\([a-z.-]*\)` | .*/\1/p' | sed -n '/\./p;/^\(idle\|idle-us\|wakeup-us\|patience-us\|workers\)$/p' | while IFS= read -r key; do
	word=${key##*.}
	grep -q "\*$word\*" "$WEFT_ROOT/packaging/man/weft.yaml.5.scd" || fail "weft.yaml(5) does not know $key"
done
"$prefix/bin/weftctl" help | sed -n '/^  [a-z]/p' | cut -c 3-18 | while read -r noun verb; do
	grep -qE "weftctl $noun( $verb)?\b" "$WEFT_ROOT/packaging/man/weftctl.1.scd" || fail "weftctl(1) does not know $noun $verb"
done

info "a second installation leaves the configuration alone"
echo '# mine' >"$T/root/etc/weft/weft.yaml"
put
[[ $(<"$T/root/etc/weft/weft.yaml") == '# mine' ]] || fail "the configuration was replaced"
