package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

var (
	errUnhealthy = errors.New("checks failed")
	// errNotExamined means that the database could not be examined. It has an exit status of its own.
	errNotExamined = errors.New("could not examine the deployment")
)

// doctorCommand checks a deployment before it goes live. docs/deploy.md describes it.
type doctorCommand struct {
	databaseFlags   `group:"Database"`
	replicaFlags    `group:"Database"`
	connectionFlags `group:"Database"`
	providerFlags   `group:"Providers"`
	Processes       int  `group:"Deployment" default:"1" min:"1" max:"1000" help:"Processes that will run, each with an API and workers."`
	JSON            bool `group:"Deployment" name:"json" help:"Print JSON."`
}

// Validate reports all problems at once.
func (c *doctorCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.replicaFlags.check())
}

// Run prints the checks. It fails if one of them failed, and with errNotExamined if they could not be made.
func (c *doctorCommand) Run(p *process) error {
	n := &node{config: nodeConfig{connections: c.connectionFlags, api: new(apiFlags), work: new(workFlags)}}
	checks, err := store.Diagnose(p.ctx, c.source(), n.connections()*c.Processes, time.Now)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotExamined, err)
	}
	for i, url := range c.ReplicaURLs {
		check, err := store.DiagnoseReplica(p.ctx, c.source(), url, fmt.Sprintf("replica %d", i+1))
		if err != nil {
			return fmt.Errorf("%w: %w", errNotExamined, err)
		}
		checks = append(checks, check)
	}
	checks = append(checks, c.providers(p.ctx)...)
	failed := slices.ContainsFunc(checks, func(d store.Diagnosis) bool { return d.State == store.DiagnosisFailed })
	if c.JSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(struct {
			OK     bool              `json:"ok"`
			Checks []store.Diagnosis `json:"checks"`
		}{!failed, checks})
	} else {
		err = printDiagnoses(p.stdout, checks)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotExamined, err)
	}
	if failed {
		return errUnhealthy
	}
	return nil
}

func printDiagnoses(w io.Writer, checks []store.Diagnosis) error {
	err := printTable(w, "STATE\tCHECK\tDETAILS", func(w io.Writer) {
		for _, d := range checks {
			fmt.Fprintf(w, "%s\t%s\t%s\n", d.State, d.Check, d.Details)
		}
	})
	for _, d := range checks {
		if d.State != store.DiagnosisOK && err == nil {
			_, err = fmt.Fprintf(w, "\n%s: %s\n", d.Check, d.Do)
		}
	}
	return err
}

// providers checks that each provider answers from here.
func (c *doctorCommand) providers(ctx context.Context) (checks []store.Diagnosis) {
	config := c.config()
	for _, provider := range orders.Providers() {
		address, reach := config.URLs[provider], reachHTTP
		if provider == orders.Email && config.SMTP != nil {
			address, reach = config.SMTP.URL, reachTCP
		}
		d := store.Diagnosis{Check: string(provider), State: store.DiagnosisOK}
		ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
		switch address {
		case "":
			d.State, d.Details = store.DiagnosisWarning, "its URL is not set here"
			d.Do = fmt.Sprintf("Run doctor with the settings of the workers: the %s provider was not checked.", provider)
		default:
			var err error
			if d.Details, err = reach(ctx, address); err != nil {
				d.State, d.Details = store.DiagnosisFailed, err.Error()
				d.Do = "Check the URL, names, routes, firewalls and certificates between this machine and the provider."
			}
		}
		cancel()
		checks = append(checks, d)
	}
	return checks
}

// reachHTTP asks for the base URL. Any answer will do: a provider need not serve that path.
func reachHTTP(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusInternalServerError {
		return "", fmt.Errorf("it answers %s", response.Status)
	}
	return "it answers", nil
}

// reachTCP connects to a mail server.
func reachTCP(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme]
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", err
	}
	return "it takes connections", conn.Close()
}
