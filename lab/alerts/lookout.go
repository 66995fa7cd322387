package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	lookEvery = 250 * time.Millisecond
	// lookPatience is for how long a cause that is late is waited for, to tell late from never.
	lookPatience = 20 * time.Second
	// shownWithin is what docs/board.md promises. The board must show the cause of an alert at the latest this long after
	// the alert has arrived, or after Millrace could notice the cause.
	shownWithin = 2 * time.Second
)

// lookout looks at the board while a drill runs, and remembers when the board first showed each cause.
type lookout struct {
	patterns map[string]*regexp.Regexp // by alert
	stop     context.CancelFunc
	done     sync.WaitGroup

	mu    sync.Mutex
	first map[string]time.Time
}

// lookOut begins to look, once the board shows none of the drill's causes any more. It looks at the board of each
// process: some drill ends one of them.
func (l *lab) lookOut(ctx context.Context, d drill) (*lookout, error) {
	o := &lookout{patterns: map[string]*regexp.Regexp{}, first: map[string]time.Time{}}
	for _, alert := range d.alerts {
		o.patterns[alert] = regexp.MustCompile(d.shown(alert))
	}
	var left string
	clean := func() bool {
		for _, n := range []*node{l.api, l.work} {
			page, err := l.board(ctx, n)
			if left = fmt.Sprint(err); err != nil {
				return false
			}
			for alert, pattern := range o.patterns {
				if left = alert; pattern.MatchString(page) {
					return false
				}
			}
		}
		return true
	}
	if !launch.Eventually(ctx, clearPatience, clean) {
		return nil, errors.New("the board showed the cause before it was there: " + left)
	}
	ctx, o.stop = context.WithCancel(ctx)
	for _, n := range []*node{l.api, l.work} {
		o.done.Go(func() {
			for launch.Pause(ctx, lookEvery) == nil {
				if page, err := l.board(ctx, n); err == nil {
					o.see(page)
				}
			}
		})
	}
	return o, nil
}

func (o *lookout) end() {
	o.stop()
	o.done.Wait()
}

func (o *lookout) see(page string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for alert, pattern := range o.patterns {
		if o.first[alert].IsZero() && pattern.MatchString(page) {
			o.first[alert] = time.Now()
		}
	}
}

// shown returns when the board first showed the cause of an alert; zero if it has not yet.
func (o *lookout) shown(alert string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first[alert]
}

// awaitShown waits until the board has shown the causes of all alerts, which have fired, and checks that it was in
// time.
func (l *lab) awaitShown(ctx context.Context, d drill, o *lookout) error {
	var late []error
	for _, alert := range d.alerts {
		fired, _, _ := l.receiver.heard(alert, "full", l.since)
		limit := fired
		if noticed := l.since.Add(d.notices); noticed.After(limit) {
			limit = noticed
		}
		limit = limit.Add(shownWithin)
		launch.Eventually(ctx, time.Until(limit)+lookPatience, func() bool { return !o.shown(alert).IsZero() })
		switch shown := o.shown(alert); {
		case shown.IsZero():
			late = append(late, fmt.Errorf("the board does not show %s for %s", d.shown(alert), alert))
		case shown.After(limit):
			late = append(late, fmt.Errorf("the board shows %s %s too late for %s", d.shown(alert), shown.Sub(limit), alert))
		}
	}
	return errors.Join(late...)
}

var tag = regexp.MustCompile(`<[^>]*>|\s+`)

// board returns the text of the board as a process shows it, also if it says that the database does not answer.
func (d *deployment) board(ctx context.Context, n *node) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.opsURL("/board/"), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+d.key)
	response, err := d.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		err = fmt.Errorf("the board answers %d", response.StatusCode)
	}
	return html.UnescapeString(strings.Join(strings.Fields(tag.ReplaceAllString(string(page), " ")), " ")), err
}
