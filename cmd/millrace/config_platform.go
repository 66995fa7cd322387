package main

import "errors"

// platformFlags are for processes that a platform runs.
type platformFlags struct {
	SettingsFile string `env:"MILLRACE_SETTINGS_FILE" help:"Read settings from a file of NAME=value lines. The environment and flags override it."`
	TLSCert      string `env:"MILLRACE_TLS_CERT" name:"tls-cert" kind:"file" help:"Certificate chain (PEM) for TLS on the API and operations addresses."`
	TLSKey       string `env:"MILLRACE_TLS_KEY" name:"tls-key" kind:"file" help:"Private key (PEM) of that certificate."`
}

func (f platformFlags) check() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key must be set together")
	}
	return nil
}
