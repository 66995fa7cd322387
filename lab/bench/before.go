package main

import (
	"context"
	"fmt"
	"os/exec"
)

// millraceBefore is another build of Millrace, usually the latest release, which is measured in the same run.
const (
	millraceBefore = "Millrace, the version before"
	beforeTemplate = "bench_before" // its schema
)

// prepareBefore makes the template of the version before.
func (b *bench) prepareBefore(ctx context.Context) error {
	if b.before == "" {
		return nil
	}
	if _, err := b.cluster.admin.Exec(ctx, "CREATE DATABASE "+beforeTemplate); err != nil {
		return err
	}
	url := b.cluster.server.DSN(beforeTemplate)
	if out, err := exec.CommandContext(ctx, b.before, "migrate", "--database-url", url).CombinedOutput(); err != nil {
		return fmt.Errorf("migrate the version before: %w\n%s", err, out)
	}
	return nil
}

// versions lists this build of Millrace, and the version before if there is one.
func (b *bench) versions() []contender {
	list := []contender{b.millraceContender(millrace)}
	if b.before != "" {
		older := *b
		older.millrace = b.before
		c := older.millraceContender(millraceBefore)
		c.from = beforeTemplate
		list = append(list, c)
	}
	return list
}
