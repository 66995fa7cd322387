package stream

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Writer writes answers that may take longer than the server's own deadlines, which are meant for short requests.
type Writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // of one write
}

// NewWriter makes a writer whose client is cut off if it reads nothing for as long as the timeout.
func NewWriter(w http.ResponseWriter, timeout time.Duration) Writer {
	return Writer{w, http.NewResponseController(w), timeout}
}

// Send sets a deadline for this write only: the answer may be silent for longer than any deadline.
func (l Writer) Send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := supported(l.control.SetWriteDeadline(time.Now().Add(l.timeout))); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := l.w.Write(b); err != nil { //nolint:gosec,nolintlint // no HTML; not every run sees it
		return fmt.Errorf("write to stream: %w", err)
	}
	if err := l.control.Flush(); err != nil {
		return fmt.Errorf("flush stream: %w", err)
	}
	if err := supported(l.control.SetWriteDeadline(time.Time{})); err != nil {
		return fmt.Errorf("clear write deadline: %w", err)
	}
	return nil
}

// ClearReadDeadline keeps the server from cancelling the request of a client that only listens, and so sends nothing.
func (l Writer) ClearReadDeadline() error { return clearReadDeadline(l.control) }

// Prolong moves the server's deadlines, which are meant for short requests, for an answer that is written until the
// given time.
func Prolong(control *http.ResponseController, until time.Time) error {
	if err := clearReadDeadline(control); err != nil {
		return err
	}
	return supported(control.SetWriteDeadline(until))
}

func clearReadDeadline(control *http.ResponseController) error {
	if err := supported(control.SetReadDeadline(time.Time{})); err != nil {
		return fmt.Errorf("clear read deadline: %w", err)
	}
	return nil
}

// supported drops the error of a writer without deadlines.
func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
