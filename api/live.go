package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// liveWriter writes answers that may take longer than the server's own deadlines, which are about requests that end.
type liveWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // of a write
}

func (s *Server) newLiveWriter(w http.ResponseWriter) liveWriter {
	return liveWriter{w, http.NewResponseController(w), s.config.SlowReader}
}

// write has a deadline for this write only: the answer may be silent for longer than any deadline.
func (l liveWriter) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := supported(l.control.SetWriteDeadline(time.Now().Add(l.timeout))); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := l.w.Write(b); err != nil {
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

// clearReadDeadline keeps the server from cancelling a request because its client, who only listens, is silent.
func clearReadDeadline(control *http.ResponseController) error {
	if err := supported(control.SetReadDeadline(time.Time{})); err != nil {
		return fmt.Errorf("clear read deadline: %w", err)
	}
	return nil
}

// supported makes nothing of a writer that has no deadlines.
func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
