package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

type providerFlags struct {
	PaymentURL         string `env:"MILLRACE_PAYMENT_URL" kind:"url" help:"Base URL of the payment provider."`
	InventoryURL       string `env:"MILLRACE_INVENTORY_URL" kind:"url" help:"Base URL of the inventory provider."`
	ShippingURL        string `env:"MILLRACE_SHIPPING_URL" kind:"url" help:"Base URL of the shipping provider."`
	EmailURL           string `env:"MILLRACE_EMAIL_URL" kind:"url" help:"Base URL of the e-mail provider, unless there is a mail server (--smtp-url)."`
	PaymentToken       string `env:"MILLRACE_PAYMENT_TOKEN" secret:"" help:"Bearer token for the payment provider."`
	PaymentTokenFile   string `env:"MILLRACE_PAYMENT_TOKEN_FILE" help:"Read that token from a file."`
	InventoryToken     string `env:"MILLRACE_INVENTORY_TOKEN" secret:"" help:"Bearer token for the inventory provider."`
	InventoryTokenFile string `env:"MILLRACE_INVENTORY_TOKEN_FILE" help:"Read that token from a file."`
	ShippingToken      string `env:"MILLRACE_SHIPPING_TOKEN" secret:"" help:"Bearer token for the shipping provider."`
	ShippingTokenFile  string `env:"MILLRACE_SHIPPING_TOKEN_FILE" help:"Read that token from a file."`
	EmailToken         string `env:"MILLRACE_EMAIL_TOKEN" secret:"" help:"Bearer token for the e-mail provider."`
	EmailTokenFile     string `env:"MILLRACE_EMAIL_TOKEN_FILE" help:"Read that token from a file."`

	CallTimeout     time.Duration `env:"MILLRACE_CALL_TIMEOUT" default:"10s" min:"1ms" max:"12s" help:"Longest time that a call to a provider may take."`
	BreakerFailures uint32        `env:"MILLRACE_BREAKER_FAILURES" default:"5" min:"1" help:"Failures in a row that open a provider's circuit breaker."`
	BreakerOpen     time.Duration `env:"MILLRACE_BREAKER_OPEN" default:"30s" min:"1ms" help:"Time that a circuit breaker stays open before it lets one call probe the provider."`
	smtpFlags       `group:"E-mail over SMTP"`
}

func (f providerFlags) config() upstream.Config {
	c := upstream.Config{
		URLs: map[orders.Provider]string{
			orders.Payment: f.PaymentURL, orders.Inventory: f.InventoryURL,
			orders.Shipping: f.ShippingURL, orders.Email: f.EmailURL,
		},
		Tokens:  map[orders.Provider]string{},
		Timeout: f.CallTimeout,
		Breaker: upstream.Breaker{Consecutive: f.BreakerFailures, OpenFor: f.BreakerOpen},
	}
	for provider, token := range map[orders.Provider]string{
		orders.Payment: f.PaymentToken, orders.Inventory: f.InventoryToken,
		orders.Shipping: f.ShippingToken, orders.Email: f.EmailToken,
	} {
		if token != "" {
			c.Tokens[provider] = token
		}
	}
	if f.SMTPURL != "" {
		c.SMTP = f.smtpFlags.config()
	}
	return c
}

func (f providerFlags) check() error {
	config := f.config()
	var problems []error
	for _, provider := range orders.Providers() {
		switch {
		case provider == orders.Email && config.SMTP != nil && config.URLs[provider] != "":
			problems = append(problems, errors.New("--email-url and --smtp-url exclude each other"))
		case provider == orders.Email && config.SMTP == nil && config.URLs[provider] == "":
			problems = append(problems, errors.New("the e-mail provider is missing: set --email-url or --smtp-url"))
		case provider != orders.Email && config.URLs[provider] == "":
			problems = append(problems, fmt.Errorf("the %s provider is missing: set --%[1]s-url", provider))
		}
	}
	problems = append(problems, f.smtpFlags.check())
	if err := errors.Join(problems...); err != nil {
		return err
	}
	_, err := upstream.New(config) // makes no connection
	return err
}
