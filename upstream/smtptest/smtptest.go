// Package smtptest is a mail server for tests: real SMTP on a real listener, with TLS, a password and faults. It keeps
// the messages that it gets. Tests only.
package smtptest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/mail"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// The credentials of the only user.
const (
	User     = "shop"
	Password = "correct horse battery staple"
)

// Config configures the server.
type Config struct {
	TLS       bool // from the first byte; otherwise it offers STARTTLS
	Plaintext bool // it offers no TLS at all
	Open      bool // no login is required
	// ASCII offers no SMTPUTF8.
	ASCII bool
	// Login offers LOGIN instead of PLAIN.
	Login bool
	// Faults, any of which may be nil. An error of type *smtp.SMTPError is the server's answer.
	OnConnect   func() error
	OnRecipient func(conn *smtp.Conn) error
	OnData      func(conn *smtp.Conn) error // before anything of the message is read
	OnMessage   func(conn *smtp.Conn) error // after the final dot, when the message is stored; nil is 250
}

// Server is a running mail server.
type Server struct {
	Host  string      // 127.0.0.1:port
	Trust *tls.Config // what a client needs to trust it
	// Certificate is the certificate of its authority, in DER.
	Certificate []byte

	config Config
	mu     sync.Mutex
	kept   []Message
}

// Message is a message that arrived as a whole.
type Message struct {
	From, To string // of the envelope
	UTF8     bool   // the client asked for SMTPUTF8
	Raw      string
	Header   mail.Header
	Rejected bool // the server rejected the message
}

// Start starts a server that ends with the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(certified.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	settings := &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{
		Host: listener.Addr().String(), Trust: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, config: c,
		Certificate: certified.Certificate().Raw,
	}
	server := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		if c.OnConnect != nil {
			if err := c.OnConnect(); err != nil {
				return nil, err
			}
		}
		return &session{server: s, conn: conn, known: c.Open}, nil
	}))
	server.Domain, server.ErrorLog, server.AllowInsecureAuth = "mail.test", quiet{}, true
	server.EnableSMTPUTF8 = !c.ASCII
	switch {
	case c.TLS:
		listener = tls.NewListener(listener, settings)
	case !c.Plaintext:
		server.TLSConfig = settings
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = listener.Close() // the server does not know the listener before Serve
		_ = server.Close()
		serving.Wait()
	})
	return s
}

// Messages lists the messages that arrived up to the final dot, whatever the server's answer.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

type session struct {
	server   *Server
	conn     *smtp.Conn
	known    bool
	from, to string
	utf8     bool
}

func (s *session) AuthMechanisms() []string {
	switch {
	case s.server.config.Open:
		return nil
	case s.server.config.Login:
		return []string{sasl.Login}
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != User || password != Password {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}
	if mechanism == sasl.Login {
		return newLogin(check), nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	s.utf8 = options.UTF8
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	if fault := s.server.config.OnRecipient; fault != nil {
		return fault(s.conn)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	c := s.server.config
	if c.OnData != nil {
		if err := c.OnData(s.conn); err != nil {
			return err
		}
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message := s.server.keep(Message{From: s.from, To: s.to, UTF8: s.utf8, Raw: string(raw)})
	if c.OnMessage == nil {
		return nil
	}
	err = c.OnMessage(s.conn)
	if _, rejected := errors.AsType[*smtp.SMTPError](err); rejected {
		s.server.reject(message)
	}
	return err
}

// quiet discards the server's log: its failures are intended.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
