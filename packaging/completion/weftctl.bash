# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# bash completion of weftctl: weftctl itself says what may come next, from the running switch.
_weftctl() {
	local line=${COMP_LINE:0:COMP_POINT} cur
	local -a words
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	cur=${words[-1]}
	if [[ ${words[-2]} =~ ^(-w|-s|--socket|check|diff|socket)$ ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
	# bash cuts words at colons, as in addresses, and wants what follows the last one.
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
	fi
}
complete -F _weftctl weftctl
