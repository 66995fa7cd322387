#compdef millrace
# zsh completion for millrace. Write it to a directory of $fpath:
#
#   millrace completion zsh > "${fpath[1]}/_millrace"
{{range .All}}
{{.Function}}() {
{{- if .Commands}}
	local -a commands line state
	local context
	_arguments -C \
{{- range .Flags}}
		'--{{.Name}}[{{escape .Help}}]' \
{{- end}}
		'1:command:->command' '*::argument:->argument'
	case $state in
	command)
		commands=(
{{- range .Commands}}
			'{{.Name}}:{{escape .Help}}'
{{- end}}
		)
		_describe command commands
		;;
	argument)
		case $line[1] in
{{- range .Commands}}
		{{.Name}}) {{.Function}} ;;
{{- end}}
		esac
		;;
	esac
{{- else}}
	_arguments \
{{- range .Flags}}
		'--{{.Name}}{{if .Takes}}={{end}}[{{escape .Help}}]{{if .Words}}:value:({{join .Words " "}}){{else if .File}}:file:_files{{else if .Takes}}:{{.Takes}}: {{end}}' \
{{- end}}
		'1:argument:({{join .Words " "}})' '*:argument: '
{{- end}}
}
{{end}}
if [[ $funcstack[1] == _millrace ]]; then
	_millrace "$@"
else
	compdef _millrace millrace
fi
