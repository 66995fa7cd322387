package upstream_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/upstream/smtptest"
)

const (
	mailKey   = "0198c7a4-0000-7000-8000-000000000001:send_email:1"
	completed = `{"orderId":"0198c7a4-0000-7000-8000-000000000001","customerId":"1","to":"ada@example.com",` +
		`"template":"order_completed","amount":209.97,"total":209.97,"currency":"USD","reason":"",` +
		`"items":[{"productId":1,"quantity":2,"price":29.99},{"productId":2,"quantity":1,"price":149.99}]}`
)

// notes is the ledger of hand-overs that the store keeps in earnest.
type notes struct {
	handed, taken atomic.Int64
	noted         atomic.Bool
	fail          error
}

func (n *notes) handOver(context.Context, string) (bool, error) {
	n.handed.Add(1)
	if n.fail != nil {
		return false, n.fail
	}
	return n.noted.CompareAndSwap(false, true), nil
}

func (n *notes) takeBack(context.Context, string) error {
	n.taken.Add(1)
	n.noted.Store(false)
	return nil
}

// mailing makes clients whose e-mail goes to a server.
func mailing(
	t *testing.T, server *smtptest.Server, change ...func(*upstream.Config),
) (*upstream.Clients, *notes) {
	t.Helper()
	ledger := new(notes)
	c := upstream.Config{URLs: urls("http://127.0.0.1:1"), Timeout: 20 * time.Second, SMTP: &upstream.SMTP{
		URL: "smtp://" + server.Host, From: "The Shop <orders@shop.example>",
		User: smtptest.User, Password: smtptest.Password,
		TLS: server.Trust, HandOver: ledger.handOver, TakeBack: ledger.takeBack,
	}}
	delete(c.URLs, orders.Email)
	for _, f := range change {
		f(&c)
	}
	clients, err := upstream.New(c)
	require.NoError(t, err)
	t.Cleanup(clients.Close)
	return clients, ledger
}

func sendMail(t *testing.T, c *upstream.Clients) (upstream.Answer, error) {
	t.Helper()
	return c.Send(t.Context(), orders.SendEmail, mailKey, []byte(completed))
}

func TestMail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server smtptest.Config
		change func(*upstream.SMTP)
	}{
		{"StartTLS", smtptest.Config{}, func(*upstream.SMTP) {}},
		{"TLSFromTheFirstByte", smtptest.Config{TLS: true}, func(s *upstream.SMTP) {
			s.URL = strings.Replace(s.URL, "smtp:", "smtps:", 1)
		}},
		{"Plain", smtptest.Config{}, func(s *upstream.SMTP) { s.Auth = "plain" }},
		{"Login", smtptest.Config{Login: true}, func(s *upstream.SMTP) { s.Auth = "login" }},
		{"LoginIsFound", smtptest.Config{Login: true}, func(*upstream.SMTP) {}},
		{"Relay", smtptest.Config{Plaintext: true, Open: true}, func(s *upstream.SMTP) {
			s.User, s.Password, s.Plaintext, s.TLS = "", "", true, nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, tt.server)
			c, ledger := mailing(t, server, func(c *upstream.Config) { tt.change(c.SMTP) })
			answer, err := sendMail(t, c)
			require.NoError(t, err)
			require.Equal(t, orders.StateSucceeded, answer.State)
			require.Equal(t, "0198c7a4-0000-7000-8000-000000000001.send_email.1@shop.example", answer.Reference)
			require.Equal(t, int64(1), ledger.handed.Load())
			require.Zero(t, ledger.taken.Load())

			require.Len(t, server.Messages(), 1)
			m := server.Messages()[0]
			require.Equal(t, "orders@shop.example", m.From)
			require.Equal(t, "ada@example.com", m.To)
			require.Equal(t, `"The Shop" <orders@shop.example>`, m.Header.Get("From"))
			require.Equal(t, "<ada@example.com>", m.Header.Get("To"))
			require.Equal(t, "<"+answer.Reference+">", m.Header.Get("Message-Id"))
			require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
			require.NotEmpty(t, m.Header.Get("Date"))
			require.Equal(t, "closed", c.States()[orders.Email])
		})
	}
}

// Every server takes an internationalised domain, as A-labels. What is before the @ needs a server with SMTPUTF8, and
// nothing else asks for that.
func TestInternationalAddresses(t *testing.T) {
	t.Parallel()
	const shop = "The Shop <orders@shop.example>"
	const misconfigured = "email: the settings allow no common protocol"
	for name, tt := range map[string]struct {
		ascii    bool // the server
		from, to string
		want     string // the envelope's recipient; else the error
		utf8     bool
	}{
		"Plain":                {false, shop, "ada@example.com", "ada@example.com", false},
		"Domain":               {false, shop, "ada@bücher.example", "ada@xn--bcher-kva.example", false},
		"DomainToASCII":        {true, shop, "ada@bücher.example", "ada@xn--bcher-kva.example", false},
		"Capitals":             {true, shop, "ada@BÜCHER.example", "ada@xn--bcher-kva.example", false},
		"SharpS":               {true, shop, "ada@faß.example", "ada@xn--fa-hia.example", false},
		"IdeographicStop":      {true, shop, "ada@例え。example", "ada@xn--r8jz45g.example", false},
		"TopLevel":             {true, shop, "ada@example.рф", "ada@example.xn--p1ai", false},
		"Mailbox":              {false, shop, "josé@example.com", "josé@example.com", true},
		"MailboxAndDomain":     {false, shop, "josé@bücher.example", "josé@xn--bcher-kva.example", true},
		"MailboxToASCII":       {true, shop, "josé@example.com", "refused: recipient_needs_smtputf8", false},
		"NoSuchDomain":         {false, shop, "ada@a\u200db.example", "refused: bad_address", false},
		"SendersDomain":        {true, "Bücher <orders@bücher.example>", "ada@example.com", "ada@example.com", false},
		"SendersMailbox":       {false, "josé@shop.example", "ada@example.com", "ada@example.com", true},
		"SenderToASCII":        {true, "josé@shop.example", "ada@example.com", misconfigured, false},
		"SendersQuotes":        {true, `"a b"@shop.example`, "ada@example.com", "ada@example.com", false},
		"UnderscoreIsOrdinary": {true, shop, "ada@a_b.example", "ada@a_b.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{ASCII: tt.ascii})
			c, ledger := mailing(t, server, func(c *upstream.Config) { c.SMTP.From = tt.from })
			_, err := c.Send(t.Context(), orders.SendEmail, mailKey,
				[]byte(strings.Replace(completed, "ada@example.com", tt.to, 1)))
			if err != nil {
				require.EqualError(t, err, tt.want)
				require.Empty(t, server.Messages())
				require.Zero(t, ledger.handed.Load())
				return
			}
			require.Len(t, server.Messages(), 1)
			m := server.Messages()[0]
			require.Equal(t, tt.want, m.To)
			require.Equal(t, "<"+tt.want+">", m.Header.Get("To"))
			require.Equal(t, tt.utf8, m.UTF8)
			if !tt.utf8 {
				require.NotContains(t, strings.Map(func(r rune) rune { return min(r, 0x7f) }, m.Raw+m.From), "\x7f", m.Raw)
			}
			if name == "SendersDomain" {
				require.Equal(t, "orders@xn--bcher-kva.example", m.From)
				require.Contains(t, m.Header.Get("Message-Id"), "@xn--bcher-kva.example>")
			}
		})
	}
}

// A message that was handed over before is not handed over again, and one that cannot be noted is not handed over.
func TestMailOnce(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	c, ledger := mailing(t, server)
	ledger.fail = errors.New("no database")
	_, err := sendMail(t, c)
	require.ErrorIs(t, err, ledger.fail)
	require.Empty(t, server.Messages())

	ledger.fail = nil
	_, err = sendMail(t, c)
	require.NoError(t, err)
	for range 20 { // and it does not open the breaker
		_, err = sendMail(t, c)
		require.ErrorContains(t, err, "interrupted")
	}
	require.Len(t, server.Messages(), 1)

	answer, err := c.Ask(t.Context(), orders.SendEmail, mailKey, nil)
	require.NoError(t, err)
	require.Equal(t, orders.StateUnknown, answer.State, "a mail server cannot be asked")
}

func TestMailSettings(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*upstream.SMTP){
		"SMTP URL must be like":    func(s *upstream.SMTP) { s.URL = "https://mail.example" },
		"must be like smtp:":       func(s *upstream.SMTP) { s.URL = "smtp://mail.example/path" },
		"has credentials":          func(s *upstream.SMTP) { s.URL = "smtp://shop:s3cret@mail.example" },
		"invalid port":             func(s *upstream.SMTP) { s.URL = "smtp://mail.example:70000" },
		"mechanism must be":        func(s *upstream.SMTP) { s.Auth = "telepathy" },
		"must be set together":     func(s *upstream.SMTP) { s.User = "" },
		"neither a password":       func(s *upstream.SMTP) { s.Plaintext = true },
		"sender of e-mail must be": func(s *upstream.SMTP) { s.From = "shop@a\u200db.example" },
		"invalid host name":        func(s *upstream.SMTP) { s.URL = "smtp://a\u200db.example" },
		"sender of e-mail must":    func(s *upstream.SMTP) { s.From = "The Shop" },
		"line like Subject":        func(s *upstream.SMTP) { s.Templates = files{"order_failed.txt": "Dear you"} },
		"order_completed":          func(s *upstream.SMTP) { s.Templates = files{"order_completed.html": "{{.Nonsense}}"} },
		"unclosed action":          func(s *upstream.SMTP) { s.Templates = files{"layout.html": "{{"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &upstream.SMTP{URL: "smtp://mail.example", User: "shop", Password: "s3cret", From: "a@b.example"}
			change(s)
			c := upstream.Config{URLs: urls("http://127.0.0.1:1"), SMTP: s}
			delete(c.URLs, orders.Email)
			_, err := upstream.New(c)
			require.ErrorContains(t, err, name)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
	smtp := &upstream.SMTP{URL: "smtp://mail.example", From: "a@b.example"}
	c := upstream.Config{URLs: urls("http://127.0.0.1:1"), SMTP: smtp}
	_, err := upstream.New(c)
	require.ErrorContains(t, err, "both")
}
