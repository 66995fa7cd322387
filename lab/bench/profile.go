package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/sandbox/private"
)

// profile saves the CPU profile of a Millrace while it is measured, if profiles are wanted. The returned function
// waits for it.
func (b *bench) profile(ctx context.Context, p *process, name string, d time.Duration) (wait func() error) {
	if b.profiles == "" || p.Ops == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- fetch(ctx, p.profileURL(d), b.profilePath(name, "pprof")) }()
	return func() error { return <-done }
}

func (p *process) profileURL(d time.Duration) string {
	return fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.Ops, max(1, int(d.Seconds())))
}

func (b *bench) profilePath(name, suffix string) string {
	name = strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(name))
	return filepath.Join(b.profiles, name+"."+suffix)
}

func fetch(ctx context.Context, url, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := new(http.Client).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := private.File(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s", response.Status)
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	return err
}
