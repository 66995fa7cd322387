package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is the process's certificate for TLS. New connections get the one that was loaded last.
type certificate struct {
	flags  platformFlags
	loaded atomic.Pointer[tls.Certificate]
}

// newCertificate loads the certificate; it returns nil if TLS is not wanted.
func newCertificate(flags platformFlags) (*certificate, error) {
	if flags.TLSCert == "" {
		return nil, nil //nolint:nilnil // nil means no TLS
	}
	c := &certificate{flags: flags}
	return c, c.load()
}

// load reads the certificate and its key. If they are bad or do not belong together, the ones before stay.
func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.flags.TLSCert, c.flags.TLSKey)
	if err != nil {
		return fmt.Errorf("load the certificate of --tls-cert: %w", err)
	}
	c.loaded.Store(&pair)
	return nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.loaded.Load(), nil
		},
	}
}
