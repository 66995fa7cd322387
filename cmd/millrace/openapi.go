package main

import "github.com/millrace-orders/millrace/api"

// openAPICommand prints the API's OpenAPI document; it needs no database.
type openAPICommand struct {
	Format string `enum:"json,yaml" default:"yaml" help:"Format of the document."`
}

// Run prints the document.
func (c *openAPICommand) Run(p *process) error {
	asJSON, asYAML, err := api.OpenAPI(version)
	if err != nil {
		return err
	}
	document := asYAML
	if c.Format == "json" {
		document = asJSON
	}
	_, err = p.stdout.Write(document)
	return err
}
