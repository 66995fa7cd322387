# bash completion for millrace. Put this line into ~/.bashrc:
#
#   source <(millrace completion bash)
_millrace() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} path= words= i
	# bash takes "=" for a word of its own.
	if [[ $current == = ]]; then
		current=
	elif [[ $previous == = ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$path/${COMP_WORDS[i]}" in
{{- range .All}}{{if .Path}}
		'{{.Parent}}/{{.Name}}') path='{{.Path}}' ;;
{{- end}}{{end}}
		esac
	done
	COMPREPLY=()
	case "$path/$previous" in
{{- range .All}}{{$path := .Path}}{{range .Flags}}{{if .Words}}
	'{{$path}}/--{{.Name}}') words='{{join .Words " "}}' ;;
{{- else if .File}}
	'{{$path}}/--{{.Name}}') COMPREPLY=($(compgen -f -- "$current")) && return ;;
{{- else if .Takes}}
	'{{$path}}/--{{.Name}}') return ;;
{{- end}}{{end}}{{end}}
	*)
		case "$path" in
{{- range .All}}
		'{{.Path}}') words='{{join .Names " "}}{{join .Words " "}}{{range .Flags}} --{{.Name}}{{end}}' ;;
{{- end}}
		esac
		;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _millrace millrace
