package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// lookEvery is how often a process looks for changed files. Kubernetes replaces a mounted secret without a signal.
const lookEvery = 5 * time.Second

// reading is what a process reads from its command line, its environment and its files.
type reading struct {
	config nodeConfig
	values map[string]string // by flag
	files  []string          // secrets, certificates and settings
	seen   string            // their fingerprint
}

// readAgain reads the settings of a command line as they are now.
func readAgain(args []string) (r reading, err error) {
	ctx, err := parseOrPrint(new(commands), args, io.Discard, io.Discard)
	if err != nil {
		return r, err
	}
	command, ok := reflect.TypeAssert[interface{ config() nodeConfig }](ctx.Selected().Target.Addr())
	if !ok {
		return r, errNoReload
	}
	r.config, r.values = command.config(), map[string]string{}
	for _, flag := range ctx.Selected().Flags {
		value := reflect.Indirect(flag.Target)
		if !value.IsValid() {
			continue // not set
		}
		text := fmt.Sprint(value.Interface())
		r.values[flag.Name] = text
		if text != "" && isFile(flag) {
			r.files = append(r.files, text)
		}
	}
	r.seen = fingerprint(r.files)
	return r, nil
}

var errNoReload = errors.New("this command does not read its settings again")

func isFile(flag *kong.Flag) bool {
	return strings.HasSuffix(flag.Name, fileSuffix) || flag.Tag.Get("kind") == "file"
}

// isReloadable reports whether a changed setting counts without a restart.
func (n *node) isReloadable(flag string) bool {
	switch flag {
	case "log-level", "allowed-origins", "payment-token", "inventory-token", "shipping-token", "email-token",
		"smtp-password":
		return true
	case databaseURLFlag:
		return n.config.database.DatabaseURLFile != "" // each new connection reads it
	case listenURLFlag:
		return n.config.listen.ListenURLFile != ""
	case "token":
		return !n.open // an open process has to look at its addresses again
	}
	return strings.HasPrefix(flag, "rate-limit")
}

func (n *node) onReload(fn func(nodeConfig) error) { n.reloads = append(n.reloads, fn) }

// reloadableLogger makes the process's logger.
func (n *node) reloadableLogger(w io.Writer) *slog.Logger {
	n.level = new(logLevel)
	n.level.configure(n.config.log.LogLevel)
	n.onReload(func(c nodeConfig) error {
		n.level.configure(c.log.LogLevel)
		return nil
	})
	if !isTerminal(w) { // people see each line at once
		n.log = &logWriter{to: w}
		w = n.log
	}
	return n.config.log.loggerAt(w, n.level)
}

// followSettings reads the settings again on SIGHUP, and when one of their files changes. now is what the process
// started with: a start takes a while, and files may change meanwhile.
func (n *node) followSettings(args []string, now reading, hangups <-chan os.Signal, systemd *notifier) {
	n.background(func(ctx context.Context) {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for seen := now.seen; ; {
			signalled := false
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				signalled = true
			case <-ticker.C:
				if fingerprint(now.files) == seen {
					continue
				}
			}
			seen = fingerprint(now.files)
			if signalled {
				systemd.send("RELOADING=1")
			}
			now = n.reload(ctx, args, now)
			if signalled {
				systemd.send("READY=1")
			}
		}
	})
}

// reload applies what can change while the process runs, and logs what cannot. Bad settings change nothing.
func (n *node) reload(ctx context.Context, args []string, before reading) reading {
	now, err := readAgain(args)
	if err == nil && n.tls != nil {
		err = n.tls.load()
	}
	if err != nil {
		n.logger.ErrorContext(ctx, "settings not reloaded", "error", err)
		return before
	}
	for _, apply := range n.reloads {
		if err := apply(now.config); err != nil {
			n.logger.ErrorContext(ctx, "setting not reloaded", "error", err)
		}
	}
	var applied, pending []string
	for _, flag := range slices.Sorted(maps.Keys(now.values)) {
		switch {
		case now.values[flag] == before.values[flag]:
		case n.isReloadable(flag):
			applied = append(applied, flag)
		default:
			pending = append(pending, flag)
		}
	}
	n.logger.InfoContext(ctx, "settings reloaded", "changed", strings.Join(applied, ","))
	if len(pending) > 0 {
		n.logger.WarnContext(ctx, "settings that changed need a restart", "settings", strings.Join(pending, ","))
	}
	return now
}

// fingerprint changes when one of the files does.
func fingerprint(files []string) string {
	var text strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&text, "%s missing;", file)
			continue
		}
		fmt.Fprintf(&text, "%s %d %d;", file, info.Size(), info.ModTime().UnixNano())
	}
	return text.String()
}
