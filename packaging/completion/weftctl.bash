# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# bash completion of weftctl: weftctl itself says what may come next, from the running switch.
_weftctl() {
	local words cur
	# MAC addresses have colons, at which bash would cut words apart.
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n : -w words -c cur
		words=("${words[@]:1:COMP_CWORD}")
	else
		words=("${COMP_WORDS[@]:1:COMP_CWORD}")
		cur=${COMP_WORDS[COMP_CWORD]}
	fi
	if ((${#words[@]} > 1)) && [[ ${words[-2]} == -w || ${words[-2]} == check ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$cur"
	fi
}
complete -F _weftctl weftctl
