package main

import (
	"errors"
	"fmt"

	"github.com/millrace-orders/millrace/store"
)

// replicaFlags name the standbys that may answer reads.
type replicaFlags struct {
	ReplicaURLs     []string `env:"DATABASE_REPLICA_URLS" name:"replica-urls" secret:"" kind:"database" help:"Standbys of the database that may answer reads, separated by commas."`
	ReplicaURLsFile string   `env:"DATABASE_REPLICA_URLS_FILE" name:"replica-urls-file" help:"Read these URLs from a file of one line."`
}

func (f replicaFlags) check() error {
	var problems []error
	for i, url := range f.ReplicaURLs {
		if err := store.CheckDatabaseURL(url); err != nil {
			problems = append(problems, fmt.Errorf("--replica-urls, URL %d: %w", i+1, err))
		}
	}
	return errors.Join(problems...)
}
