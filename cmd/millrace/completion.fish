# fish completion for millrace:
#
#   millrace completion fish > ~/.config/fish/completions/millrace.fish
function __millrace_path
	set -l path
	for word in (commandline -opc)[2..]
		switch "$path/$word"
{{- range .All}}{{if .Path}}
			case '{{.Parent}}/{{.Name}}'
				set path '{{.Path}}'
{{- end}}{{end}}
		end
	end
	echo "$path"
end
complete -c millrace -f
{{- range .All}}{{$path := .Path}}
{{- range .Commands}}
complete -c millrace -n 'test (__millrace_path) = "{{$path}}"' -a {{.Name}} -d '{{quote .Help}}'
{{- end}}
{{- if .Words}}
complete -c millrace -n 'test (__millrace_path) = "{{$path}}"' -a '{{join .Words " "}}'
{{- end}}
{{- range .Flags}}
complete -c millrace -n 'test (__millrace_path) = "{{$path}}"' -l {{.Name}}{{if .Words}} -x -a '{{join .Words " "}}'{{else if .File}} -r -F{{else if .Takes}} -x{{end}} -d '{{quote .Help}}'
{{- end}}
{{- end}}
