package smtptest

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// keep stores a message and returns its index.
func (s *Server) keep(m Message) int {
	if parsed, err := mail.ReadMessage(strings.NewReader(m.Raw)); err == nil {
		m.Header = parsed.Header
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, m)
	return len(s.kept) - 1
}

func (s *Server) reject(message int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[message].Rejected = true
}

// Parts returns the text and the HTML of the message, decoded.
func (m Message) Parts(t testing.TB) (text, html string) {
	t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(m.Raw))
	require.NoError(t, err)
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := multipart.NewReader(parsed.Body, params["boundary"])
	for _, into := range []*string{&text, &html} {
		part, err := parts.NextRawPart()
		require.NoError(t, err)
		b, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		*into = string(b)
	}
	_, err = parts.NextRawPart()
	require.ErrorIs(t, err, io.EOF)
	return text, html
}
