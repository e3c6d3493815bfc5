#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The Debian package: it can be built, has what it should have where Debian looks for it, depends on
# what its programs link, and goes into a system.

# shellcheck source=tests/lib/base.sh
. "$(dirname "$0")/../lib/base.sh"

need meson dpkg-deb dpkg-shlibdeps
tmpdir package
package=$("$WEFT_ROOT/packaging/debian/build" "$T" 2>"$T/log") || fail "packaging/debian/build: $(tail -n 20 "$T/log")"

info "what is in it"
dpkg-deb -x "$package" "$T/files"
for file in etc/weft/weft.yaml usr/bin/weftctl usr/sbin/weftd usr/lib/systemd/system/weftd.service \
	usr/lib/sysusers.d/weft.conf usr/lib/tmpfiles.d/weft.conf usr/share/man/man{1/weftctl.1,5/weft.yaml.5,8/weftd.8}.gz \
	usr/share/bash-completion/completions/weftctl usr/share/zsh/vendor-completions/_weftctl \
	usr/share/doc/weft/{copyright,changelog.gz,operating.md} usr/share/weft/grafana/weft.json; do
	[[ -s $T/files/$file ]] || fail "$file is not in the package"
done
[[ -z $(find "$T/files" -name '*.a' -o -name '*.h') ]] || fail "it has files of the library"
[[ $(dpkg-deb -f "$package" Version) == "$("$T/files/usr/sbin/weftd" --version | sed 's/weftd //; s/ .*//')" ]] || fail "another version: $(dpkg-deb -f "$package" Version)"
(cd "$T/files" && dpkg-deb --ctrl-tarfile "$package" | tar -xO ./md5sums | md5sum --quiet -c) || fail "md5sums"

info "what it depends on: the package of each library that the programs name"
depends=$(dpkg-deb -f "$package" Depends)
ldd "$T"/files/usr/{bin/weftctl,sbin/weftd} >"$T/libraries"
for library in $(objdump -p "$T"/files/usr/{bin/weftctl,sbin/weftd} | sed -n 's/^ *NEEDED *//p' | grep -v '^ld-linux' | sort -u); do
	path=$(awk -v name="$library" '$1 == name { print $3; exit }' "$T/libraries")
	# dpkg knows it by one of its two names, as /lib is /usr/lib.
	owner=$({ dpkg -S "/${path#/usr/}" || dpkg -S "/usr${path#/usr}"; } 2>/dev/null | cut -d: -f1)
	[[ ", $depends," =~ ,\ "$owner"[\ ,] ]] || fail "$library is in $owner, which is not in: $depends"
done

if [[ $EUID == 0 ]]; then
	info "dpkg takes it into a system of its own"
	admin=$T/root/var/lib/dpkg
	mkdir -p "$admin"/{info,updates} && touch "$admin"/{status,available}
	dpkg --root="$T/root" --force-depends --force-script-chrootless --log=/dev/null --unpack "$package" >"$T/log" 2>&1 || fail "dpkg: $(<"$T/log")"
	[[ $(dpkg --root="$T/root" -L weft | wc -l) -gt 20 ]] || fail "dpkg does not know its files"
	[[ $(dpkg-query --root="$T/root" -W -f '${Conffiles}' weft) == *' /etc/weft/weft.yaml '* ]] || fail "the configuration is no conffile"
fi
