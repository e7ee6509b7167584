# SPDX-License-Identifier: Apache-2.0
# hushfs.bash: completion of hushfs and hushctl for bash.
#
# Commands, flags, options, and what they take are read from what --help prints, so that there is one list of them. Names
# come from the tables of `hushctl get`, which have no values. Nothing here has a passphrase asked for.

# _hushfs_split: the command line up to the cursor, in $words; readline breaks it at = and : as well.
_hushfs_split() {
	local line=${COMP_LINE:0:COMP_POINT}
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
}

# _hushfs_reply WORD: of the lines of standard input those that begin with WORD.
_hushfs_reply() {
	local line break
	while IFS= read -r line; do
		[[ $line == "$1"* ]] && COMPREPLY+=("$line")
	done
	for break in = :; do # readline keeps what is before the last of them
		[[ $1 == *$break* && $COMP_WORDBREAKS == *$break* ]] && COMPREPLY=("${COMPREPLY[@]#"${1%"${1##*"$break"}"}"}")
	done
	[[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace 2>/dev/null
}

# _hushfs_files WORD f|d: files or folders that begin so.
_hushfs_files() {
	compopt -o filenames 2>/dev/null
	_hushfs_reply "$1" < <(compgen "-$2" -- "$1")
}

# _hushfs_options LIST: what can stand for its last option, behind the others.
_hushfs_options() {
	local before=${1%"${1##*,}"} last=${1##*,} option
	case $last in
	key_file=* | passphrase_file=* | anchor=*) compgen -P "${last%%=*}=" -f -- "${last#*=}" ;;
	run_as=*) compgen -P run_as= -u -- "${last#*=}" ;;
	*=*) ;;
	*) "$program" --help </dev/null 2>/dev/null | sed -nE 's/^  -o ([a-z_]+=?).*/\1/p' ;;
	esac | while IFS= read -r option; do echo "$before$option"; done
}

_hushfs() {
	local program=${1/#\~/$HOME} words word others=0 i
	_hushfs_split
	word=${words[-1]}
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		case ${words[i]} in
		-o) i=$((i + 1)) ;;
		-*) ;;
		*) others=$((others + 1)) ;;
		esac
	done
	if [[ ${words[-2]} == -o ]]; then
		[[ ${word##*,} == *=* ]] && compopt -o filenames 2>/dev/null
		_hushfs_reply "$word" < <(_hushfs_options "$word")
	elif [[ $word == -* ]]; then
		_hushfs_reply "$word" < <(printf '%s\n' -f -o --help --version)
	elif ((others == 0)); then
		_hushfs_files "$word" f
	elif ((others == 1)); then
		_hushfs_files "$word" d
	fi
}

# _hushctl_takes FLAG: what stands behind FLAG in $help, as MESH or FILE; nothing if it takes no value.
_hushctl_takes() {
	local regex="(^|[[:space:]])$1(, --[a-z-]+)?[[:space:]]([A-Z][A-Z=]*|type=TYPE)($|[],[:space:]])"
	[[ $help =~ $regex ]] && echo "${BASH_REMATCH[3]}"
}

# _hushctl_names TYPE: the names in the table of that type, of $mesh if it is secrets, but those that stand there already.
_hushctl_names() {
	local header row i=0 of=()
	[[ " ${where[*]} " == *" --store "* && " ${where[*]} " != *" --key-file "* ]] && return
	[[ $1 == secret* ]] && of=(-m "${mesh:-default}")
	{
		read -ra header
		while [[ ${header[i]:-NAME} != NAME ]]; do i=$((i + 1)); done
		while read -ra row; do
			[[ " ${others[*]:1} " == *" ${row[i]} "* ]] || echo "${row[i]}"
		done
	} < <("$program" get "$1" "${of[@]}" "${where[@]}" </dev/null 2>/dev/null)
}

# _hushctl_words: what can stand where the cursor is.
_hushctl_words() {
	case $takes:$command:${#others[@]} in
	MESH:*) _hushctl_names meshes ;;
	FORM:*) printf '%s\n' table yaml json raw ;;
	FORMAT:*) printf '%s\n' universal kubernetes ;;
	NAME:*) printf '%s\n' kong-mesh-system kuma-system ;;
	type=TYPE:*) printf '%s\n' type=system.kuma.io/{secret,global-secret} ;;
	::*) sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p' <<<"$help" ;;
	:get:0) printf '%s\n' {secret,global-secret}{,s} mesh meshes ;;
	:delete:0) printf '%s\n' secret global-secret mesh ;;
	:get:1 | :delete:*) _hushctl_names "${others[0]}" ;;
	:key:0) printf '%s\n' list add remove rotate ;;
	:key:1) [[ ${others[0]} == remove ]] && printf '%s\n' {0..7} ;;
	esac
}

# _hushctl_look: what stands on the command line before the word that is to be completed.
_hushctl_look() {
	local flag value i
	for ((i = 2; i < ${#words[@]} - 1; i++)); do
		flag=${words[i]%%=*}
		if [[ $flag != -* ]]; then
			others+=("${words[i]}")
			continue
		fi
		takes=$(_hushctl_takes "$flag")
		if [[ ! $takes ]]; then
			continue
		elif [[ ${words[i]} == *=* ]]; then
			value=${words[i]#*=}
		elif ((i + 2 == ${#words[@]})); then
			return # its value is what is to be completed
		else
			i=$((i + 1)) value=${words[i]}
		fi
		takes=
		case $flag in
		-m | --mesh) mesh=$value ;;
		--mount | --store | --key-file | --passphrase-file | --anchor) where+=("$flag" "${value/#\~/$HOME}") ;;
		esac
	done
}

_hushctl() {
	local program=${1/#\~/$HOME} words word command='' help takes='' mesh='' where=() others=()
	_hushfs_split
	word=${words[-1]}
	[[ ${#words[@]} -gt 2 ]] && command=${words[1]}
	help=$("$program" ${command:+"$command"} --help </dev/null 2>/dev/null)
	_hushctl_look
	if [[ ! $takes && $word == --*=* ]]; then
		takes=$(_hushctl_takes "${word%%=*}")
		[[ $takes && $COMP_WORDBREAKS == *=* ]] || return
		word=${word#*=}
	fi
	case $takes:$command:${#others[@]} in
	F:* | FILE:* | :init:0 | :backup:0) [[ $takes || $word != -* ]] && _hushfs_files "$word" f && return ;;
	DIR:*) _hushfs_files "$word" d && return ;;
	esac
	if [[ ! $takes && $word == -* ]]; then
		_hushfs_reply "$word" < <(grep -oE -- '--[a-z][a-z-]+' <<<"$help" | sort -u)
	else
		_hushfs_reply "$word" < <(_hushctl_words)
	fi
}

complete -F _hushfs hushfs
complete -F _hushctl hushctl
