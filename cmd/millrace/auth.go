package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/store"
)

type securityFlags struct {
	Token             string `env:"MILLRACE_TOKEN" secret:"" help:"Bearer token of an admin, at least 32 characters long, to create the first key with."`
	TokenFile         string `env:"MILLRACE_TOKEN_FILE" help:"Read that token from a file."`
	OIDCIssuer        string `env:"MILLRACE_OIDC_ISSUER" name:"oidc-issuer" kind:"issuer" help:"Also accept OIDC tokens of this issuer."`
	OIDCAudience      string `env:"MILLRACE_OIDC_AUDIENCE" name:"oidc-audience" help:"Audience that OIDC tokens must name; needed with --oidc-issuer."`
	OIDCRoleClaim     string `env:"MILLRACE_OIDC_ROLE_CLAIM" name:"oidc-role-claim" default:"role" help:"OIDC claim with the role."`
	OIDCCustomerClaim string `env:"MILLRACE_OIDC_CUSTOMER_CLAIM" name:"oidc-customer-claim" default:"customer_id" help:"OIDC claim with the customer's id."`
}

const shortestToken = 32

func (f securityFlags) check() error {
	var problems []error
	if f.Token != "" && len(f.Token) < shortestToken {
		problems = append(problems, fmt.Errorf("--token must have at least %d characters", shortestToken))
	}
	if (f.OIDCIssuer == "") != (f.OIDCAudience == "") {
		problems = append(problems, errors.New("--oidc-issuer and --oidc-audience must be set together"))
	}
	return errors.Join(problems...)
}

// isSecureURL reports whether the content of a URL is safe from changes on the way.
func isSecureURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Host))
}

func (f securityFlags) oidc(now func() time.Time) *auth.OIDC {
	if f.OIDCIssuer == "" {
		return nil
	}
	return auth.NewOIDC(auth.OIDCConfig{
		Issuer: f.OIDCIssuer, Audience: f.OIDCAudience, RoleClaim: f.OIDCRoleClaim, CustomerClaim: f.OIDCCustomerClaim,
		Now: now,
	})
}

// secure decides whether requests need credentials, and refuses an open API on a network. On loopback, requests need a
// credential once one could be sent: a token, an identity provider, or any key ever made, even a revoked one. Without
// these the API is open until the first key is made.
func (n *node) secure(ctx context.Context, s *store.Store) error {
	c := n.config.security
	n.oidc = c.oidc(n.clock.Now)
	if c.Token != "" || n.oidc != nil {
		return nil
	}
	made, usable, err := s.Credentials.KeysExist(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, address := range n.config.addresses() {
		if !usable && !isLoopback(address) {
			problems = append(problems, fmt.Errorf("listening on %s needs a --token, an --oidc-issuer or a key "+
				"(millrace keys create): every machine could place orders", address))
		}
	}
	if problems != nil {
		return errors.Join(problems...)
	}
	n.open = !made
	switch {
	case n.open:
		if !n.config.dev {
			n.logger.WarnContext(ctx, "open to every user of this machine, no token or key exists")
		}
		n.background(func(ctx context.Context) { n.closeOnFirstKey(ctx, s) })
	case !usable:
		n.logger.WarnContext(ctx, "requests need a key, but every key is revoked or expired")
	}
	return nil
}

func (c nodeConfig) addresses() []string {
	if c.api == nil {
		return []string{c.ops.OpsAddr}
	}
	return []string{c.api.APIAddr, c.ops.OpsAddr}
}

// authenticator makes an authenticator that looks keys up in s.
func (n *node) authenticator(s *store.Store) *auth.Authenticator {
	a := auth.New(auth.Config{
		Keys: s.Credentials, Token: n.config.security.Token, OIDC: n.oidc,
		Open: n.open, Closed: n.closed, Now: n.clock.Now,
	})
	n.onReload(func(c nodeConfig) error {
		a.SetToken(c.security.Token)
		return nil
	})
	return a
}
