package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// SMTP configures the mail server that replaces the HTTP e-mail provider.
type SMTP struct {
	// URL is smtp://host:587, whose server must offer STARTTLS, or smtps://host:465, with TLS from the first byte.
	// These ports are the defaults. No credentials.
	URL string
	// User and Password are Millrace's credentials; without a User it does not log in. Auth is one of AuthMechanisms.
	User, Password, Auth string
	// Plaintext makes smtp:// work without TLS, and so without a password. For a relay on this machine.
	Plaintext bool
	// From is the sender, such as "The Shop <orders@shop.example>".
	From string
	// Operator, if set, is the address of MailOperator.
	Operator string
	// Templates has files that replace the built-in ones of the same name; nil: none.
	Templates fs.FS
	// HandOver durably records that the message of a key is about to be given to the server. first is false if that was
	// recorded before: then the message may have been sent. TakeBack records that it was certainly not sent. SMTP has
	// no idempotency keys, so these records prevent a second send.
	HandOver func(ctx context.Context, key string) (first bool, err error)
	TakeBack func(ctx context.Context, key string) error
	// TLS replaces the TLS settings. For tests.
	TLS *tls.Config
}

// AuthMechanisms lists the values of SMTP.Auth: auto takes the strongest mechanism that the server offers.
func AuthMechanisms() []string {
	return []string{"auto", "plain", "login", "cram-md5", "scram-sha-256"}
}

// mailer hands e-mail to a mail server, one connection for each message.
type mailer struct {
	mailSettings

	password atomic.Pointer[string]

	timeout time.Duration
	breaker *breaker
	metrics *metrics
	lane    *lane
}

// mailSettings is a checked configuration of SMTP.
type mailSettings struct {
	config   SMTP
	host     string
	port     int
	implicit bool          // TLS from the first byte
	from     *mail.Address // its domain is ASCII
	operator *mail.Address // likewise; nil: none
	letters  *letters
}

// check returns the settings, or every problem of the configuration at once. Its errors quote no secret.
func (s SMTP) check() (mailSettings, error) {
	var problems []error
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" ||
		u.Fragment != "" {
		problems = append(problems, errors.New("the SMTP URL must be like smtp://host:587 or smtps://host:465"))
		u = new(url.URL)
	}
	if u.User != nil {
		problems = append(problems, errors.New("the SMTP URL has credentials; set a user and a password instead"))
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme], "0"))
	if err != nil || port > 65535 {
		problems = append(problems, errors.New("the SMTP URL has an invalid port"))
	}
	if s.Auth = cmp.Or(s.Auth, "auto"); !slices.Contains(AuthMechanisms(), s.Auth) {
		problems = append(problems, errors.New("the SMTP mechanism must be one of "+strings.Join(AuthMechanisms(), ", ")))
	}
	if (s.User == "") != (s.Password == "") {
		problems = append(problems, errors.New("the SMTP user and password must be set together"))
	}
	if s.Plaintext && (s.Password != "" || u.Scheme == "smtps") {
		problems = append(problems, errors.New("SMTP in plaintext allows neither a password nor smtps"))
	}
	host, err := asciiDomain(u.Hostname())
	if err != nil {
		problems = append(problems, errors.New("the SMTP URL has an invalid host name"))
	}
	from, err := mail.ParseAddress(s.From)
	if err == nil {
		from.Address, err = asciiMailbox(from.Address)
	}
	if err != nil {
		problems = append(problems, errors.New("the sender of e-mail must be like The Shop <orders@shop.example>"))
	}
	var operator *mail.Address
	if s.Operator != "" {
		if operator, err = mail.ParseAddress(s.Operator); err == nil {
			operator.Address, err = asciiMailbox(operator.Address)
		}
		if err != nil {
			problems = append(problems, errors.New("the operator's address must be like ops@shop.example"))
		}
	}
	letters, err := newLetters(s.Templates)
	if err = errors.Join(append(problems, err)...); err != nil {
		return mailSettings{}, err
	}
	return mailSettings{s, host, port, u.Scheme == "smtps", from, operator, letters}, nil
}

// dialer makes go-mail's client for one session.
func (m *mailer) dialer(s *session) (*gomail.Client, error) {
	settings := m.tls()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if m.implicit {
			return s.keep((&tls.Dialer{Config: settings}).DialContext(ctx, network, address))
		}
		return s.keep(new(net.Dialer).DialContext(ctx, network, address))
	}
	policy := gomail.TLSMandatory
	switch {
	case m.implicit:
		policy = gomail.TLSOpportunistic // already encrypted; a server offers no STARTTLS inside TLS
	case m.config.Plaintext:
		policy = gomail.NoTLS
	}
	options := []gomail.Option{
		gomail.WithPort(m.port), gomail.WithTimeout(m.timeout), gomail.WithDialContextFunc(dial),
		gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(settings),
	}
	if m.config.User != "" {
		options = append(options, gomail.WithUsername(m.config.User), gomail.WithPassword(*m.password.Load()),
			gomail.WithSMTPAuth(map[string]gomail.SMTPAuthType{
				"auto": gomail.SMTPAuthAutoDiscover, "plain": gomail.SMTPAuthPlain, "login": gomail.SMTPAuthLogin,
				"cram-md5": gomail.SMTPAuthCramMD5, "scram-sha-256": gomail.SMTPAuthSCRAMSHA256,
			}[m.config.Auth]))
	}
	return gomail.NewClient(m.host, options...)
}

func (m *mailer) tls() *tls.Config {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.config.TLS != nil {
		settings = m.config.TLS.Clone()
	}
	settings.ServerName = m.host
	return settings
}
