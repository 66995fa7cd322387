package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// keysCommand manages API keys. It needs the database and no server.
type keysCommand struct {
	Create createKeyCommand `cmd:"" help:"Create a key and print it, this once."`
	List   listKeysCommand  `cmd:"" help:"List keys, newest first."`
	Revoke revokeKeyCommand `cmd:"" help:"Revoke keys, in every process within two seconds."`
}

type createKeyCommand struct {
	databaseFlags `group:"Database"`
	Role          string         `required:"" enum:"admin,operator,viewer,service,customer" help:"Role of the key: admin, operator, viewer, service or customer."`
	Customer      string         `help:"Id of the customer, for the role customer only."`
	Name          string         `help:"What the key is for."`
	Expires       *time.Duration `min:"1s" help:"Time until the key expires, such as 30d. Without it the key is valid until it is revoked."`
}

func (c *createKeyCommand) request() store.NewKey {
	key := store.NewKey{Role: roles.Role(c.Role), CustomerID: c.Customer, Name: c.Name}
	if c.Expires != nil {
		key.ExpiresAt = time.Now().Add(*c.Expires)
	}
	return key
}

// Validate reports all problems at once.
func (c *createKeyCommand) Validate() error {
	problems := []error{c.check()}
	if invalid, ok := errors.AsType[*orders.InvalidError](c.request().Validate()); ok {
		for _, f := range invalid.Fields {
			if f.Field != "role" || c.Role != "" { // a missing role is reported by itself
				problems = append(problems, fmt.Errorf("--%s %s", f.Field, f.Message))
			}
		}
	}
	return errors.Join(problems...)
}

// Run prints only the key on the standard output, so that a script can read it.
func (c *createKeyCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		made, err := s.Credentials.MakeKeys(p.ctx, []store.NewKey{c.request()}, commandLine())
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "made key %s (%s): this is the only time it is shown\n", made[0].ID, made[0].Role)
		_, err = fmt.Fprintln(p.stdout, made[0].Text)
		return err
	})
}

type listKeysCommand struct {
	databaseFlags `group:"Database"`
	Limit         int `default:"1000" min:"1" max:"1000000" help:"Largest number of keys to list."`
}

// Validate reports all problems at once.
func (c *listKeysCommand) Validate() error { return c.check() }

// Run prints a table.
func (c *listKeysCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		keys, err := s.Credentials.Keys(p.ctx, c.Limit)
		if err != nil {
			return err
		}
		return printTable(p.stdout, "ID\tENDS IN\tROLE\tCUSTOMER\tNAME\tMADE\tEXPIRES\tREVOKED", func(w io.Writer) {
			for _, k := range keys {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.LastFour, k.Role, orDash(k.CustomerID),
					orDash(k.Name), at(k.CreatedAt), at(k.ExpiresAt), at(k.RevokedAt))
			}
		})
	})
}

type revokeKeyCommand struct {
	databaseFlags `group:"Database"`
	IDs           []string `arg:"" name:"id" help:"Id of the key, which is its part between the underscores, or the whole key."`
}

// Validate reports all problems at once.
func (c *revokeKeyCommand) Validate() error { return c.check() }

// Run revokes all of the keys or none.
func (c *revokeKeyCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		ids := make([]string, len(c.IDs))
		for i, id := range c.IDs { // operators often have the whole key at hand
			ids[i], _, _ = strings.Cut(strings.TrimPrefix(id, "mr_"), "_")
		}
		revoked, err := s.Credentials.RevokeKeys(p.ctx, ids, commandLine())
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(ids, ", "), err)
		}
		for _, k := range revoked {
			fmt.Fprintf(p.stdout, "revoked key %s (%s)\n", k.ID, strings.TrimSpace(string(k.Role)+" "+k.Name))
		}
		return nil
	})
}

// commandLine returns the user of the command as an actor. A user that can reach the database needs no key.
func commandLine() store.Actor {
	name := fmt.Sprint(os.Getuid()) // in a container the name may be missing
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return store.Actor{Name: "cli:" + name, Role: roles.Admin, RemoteAddress: host}
}

// withStore runs fn on a store. It fails before that if the schema is not up to date.
func withStore(ctx context.Context, f databaseFlags, fn func(*store.Store) error) error {
	pool, err := store.NewPool(ctx, f.DatabaseURL, "cli", 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrated, err := store.Migrated(ctx, pool)
	if err != nil {
		return err
	}
	if !migrated {
		return errNotMigrated
	}
	s, err := store.New(store.Config{DB: pool})
	if err != nil {
		return err
	}
	return fn(s)
}
