package main

import (
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millrace-orders/millrace/orders"
)

// helpCommand only puts help into the list of commands: run turns "help serve" into "serve --help".
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

// Run is never called.
func (helpCommand) Run() error { return nil }

// dress adds to the help of every command what kong has no tag for.
func dress(parser *kong.Kong) error {
	parser.Model.HelpFlag.Help = "Print this help."
	return kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		switch v := v.(type) {
		case *kong.Application:
			v.Detail = example("")
		case *kong.Node:
			v.Detail = example(v.Path())
			if v.Group != nil {
				v.Group.Title = v.Group.Key + ":"
			}
		case *kong.Flag:
			if v.Group != nil {
				v.Group.Title = v.Group.Key + ":"
			}
			if v.PlaceHolder == "" {
				v.PlaceHolder = kindOf(v.Value).placeholder
			}
			// As variables of the parser, kong would expand them once for each flag of each command.
			if strings.HasPrefix(v.Enum, "${") {
				v.Tag.Vars = kong.Vars{"statuses": listed(orders.Statuses()), "steps": listed(stepNames())}
			}
		}
		return next(nil)
	})
}

// describe returns the text of a flag or an argument: its purpose, its default and its environment variable.
func describe(v *kong.Value) string {
	text := v.Help
	if v.HasDefault && v.Default != "" {
		text += " Default: " + v.Default + "."
	}
	if len(v.Tag.Envs) > 0 {
		text += " [$" + v.Tag.Envs[0] + "]"
	}
	return text
}

// example returns the section of a command's help with lines to copy.
func example(command string) string {
	text := examples()[command]
	if text == "" {
		return ""
	}
	return "Examples:\n\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

// examples returns lines to copy, by command.
func examples() map[string]string {
	return map[string]string{
		"": `
millrace dev                    # try it: everything on this machine
millrace help serve             # every flag of a command
millrace completion bash        # completion for your shell`,
		"dev": `
millrace dev
millrace dev --reset --data /tmp/shop
millrace dev --database-url postgres://localhost/shop`,
		"serve": `
export DATABASE_URL=postgres://millrace:secret@db/millrace
export MILLRACE_PAYMENT_URL=https://pay.example MILLRACE_INVENTORY_URL=https://stock.example
export MILLRACE_SHIPPING_URL=https://ship.example MILLRACE_EMAIL_URL=https://mail.example
millrace serve
millrace serve --api-addr :8080 --token-file /run/secrets/token --keep-events 30d`,
		"api": `
millrace api --api-addr :8080 --token-file /run/secrets/token
millrace api --allowed-origins https://shop.example --rate-limit 300`,
		"work": `
millrace work --workers 50 --work-connections 10
millrace work --smtp-url smtp://mail.example:587 --email-from 'The Shop <orders@shop.example>'`,
		"simulate": `
millrace simulate
millrace simulate --simulator-addr :8082 --any-addr`,
		"migrate": `
millrace migrate
millrace migrate --status
millrace migrate --dry-run > pending.sql
millrace migrate --grant millrace_serve`,
		"doctor": `
millrace doctor
millrace doctor --processes 4 --json`,
		"verify": `
millrace verify
millrace verify --deep --json > verification.json
millrace verify --skip leader,backlog    # while all processes are stopped`,
		"check-upgrade": `
millrace check-upgrade
millrace check-upgrade --orders 100000 --json > differences.json`,
		"customers forget": `millrace customers forget 42`,
		"findings list": `
millrace findings list
millrace findings list --state accepted --limit 20`,
		"findings undo": `
millrace findings undo --since 2026-11-28T14:05:00Z --dry-run
millrace findings undo --since 2026-11-28T14:05:00Z --reason 'restored to 14:05'`,
		"findings accept": `
millrace findings accept payment 0191-key --reason 'refunded by hand'`,
		"keys create": `
millrace keys create --role service --name shop
millrace keys create --role customer --customer 42 --expires 30d`,
		"keys list":   `millrace keys list`,
		"keys revoke": `millrace keys revoke abcdefghijkl`,
		"audit":       `millrace audit --limit 10`,
		"orders get":  `millrace orders get 0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e`,
		"orders list": `
millrace orders list --status needs_attention
millrace orders list --customer 42 --from 2026-11-01T00:00:00Z --json`,
		"orders cancel": `millrace orders cancel 0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e --if-version 4`,
		"orders settle": `
millrace orders settle 0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e --action retry --reason 'the bank is up again'
millrace orders settle $ID --action accept --step void_payment --outcome succeeded --reason 'the bank released it'`,
		"orders explain": `millrace orders explain 0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e`,
		"events tail": `
millrace events tail
millrace events tail --type OrderStatusUpdated --customer 42
millrace events tail --after start --limit 1000 --json > events.ndjson`,
		"explain": `millrace explain 0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e`,
		"lanes list": `
export MILLRACE_URL=https://orders.example MILLRACE_KEY_FILE=/run/secrets/operator
millrace lanes list --json`,
		"lanes pause":  `millrace lanes pause payment --for 2h --reason 'the bank is moving'`,
		"lanes resume": `millrace lanes resume payment`,
		"intake show":  `millrace intake show`,
		"intake stop":  `millrace intake stop --for 30m --reason 'We are moving. Back at noon'`,
		"intake start": `millrace intake start`,
		"health": `
millrace health                                   # the operations address of this machine
millrace health --live http://127.0.0.1:8080`,
		"openapi": `millrace openapi --format json > openapi.json`,
		"completion": `
source <(millrace completion bash)                                     # bash: into ~/.bashrc
millrace completion zsh > "${fpath[1]}/_millrace"                       # zsh
millrace completion fish > ~/.config/fish/completions/millrace.fish    # fish`,
	}
}
