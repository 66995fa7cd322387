package upstream_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/upstream/smtptest"
)

// files is a directory of templates.
type files map[string]string

func (f files) Open(name string) (fs.File, error) {
	m := fstest.MapFS{}
	for n, content := range f {
		m[n] = &fstest.MapFile{Data: []byte(content)}
	}
	return m.Open(name)
}

// write sends a letter and returns it as it arrived.
func write(t *testing.T, own fs.FS, request map[string]any) (m smtptest.Message, text, html string) {
	t.Helper()
	server := smtptest.Start(t, smtptest.Config{})
	c, _ := mailing(t, server, func(c *upstream.Config) { c.SMTP.Templates = own })
	full := map[string]any{
		"orderId": "0198c7a4-0000-7000-8000-000000000001", "to": "ada@example.com", "currency": "USD",
		"amount": json.Number("209.97"), "total": json.Number("209.97"), "template": "order_completed",
	}
	maps.Copy(full, request)
	body, err := json.Marshal(full)
	require.NoError(t, err)
	_, err = c.Send(t.Context(), orders.SendEmail, mailKey, body)
	require.NoError(t, err)
	require.Len(t, server.Messages(), 1)
	m = server.Messages()[0]
	text, html = m.Parts(t)
	return m, text, html
}

func TestLetters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		request map[string]any
		subject string
		says    []string
	}{
		{"Confirmed", map[string]any{"items": []any{
			map[string]any{"productId": 1, "quantity": 2, "price": json.Number("29.99")},
			map[string]any{"productId": 2, "quantity": 1, "price": json.Number("149.99")},
		}}, "Your order is confirmed (209.97 USD)", []string{"product 1 at 29.99 USD", "59.98 USD", "209.97 USD"}},
		{
			"Yen",
			map[string]any{"currency": "JPY", "total": 500, "amount": 500},
			"Your order is confirmed (500 JPY)",
			[]string{"500 JPY"},
		},
		{
			"Failed",
			map[string]any{"template": "order_failed", "reason": "authorize_payment refused: card_declined"},
			"Your order could not be completed",
			[]string{"card_declined", "nothing was taken"},
		},
		{"Cancelled", map[string]any{"template": "order_cancelled"}, "Your order is cancelled", []string{"209.97 USD"}},
		{
			"Refunded",
			map[string]any{"template": "order_refunded"},
			"We have given back 209.97 USD",
			[]string{"all of your"},
		},
		{
			"RefundedInPart",
			map[string]any{"template": "order_refunded", "amount": json.Number("9.97")},
			"We have given back 9.97 USD",
			[]string{"9.97 USD of the 209.97 USD"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, text, html := write(t, nil, tt.request)
			require.Equal(t, tt.subject, m.Header.Get("Subject"))
			for _, said := range append(tt.says, "0198c7a4-0000-7000-8000-000000000001") {
				require.Contains(t, text, said)
				require.Contains(t, html, said)
			}
			require.Contains(t, html, "</html>")
			require.NotContains(t, text, "<")
		})
	}
}

// TestOwnTemplates replaces one file; the others stay.
func TestOwnTemplates(t *testing.T) {
	t.Parallel()
	own := files{"order_completed.txt": "Subject: Danke für {{.OrderID}}\nTschüss"}
	m, text, html := write(t, own, nil)
	require.Equal(t, "=?UTF-8?q?Danke_f=C3=BCr_0198c7a4-0000-7000-8000-000000000001?=", m.Header.Get("Subject"))
	require.Equal(t, "Tschüss\r\n", text)
	require.Contains(t, html, "Thank you")
	m, _, _ = write(t, own, map[string]any{"template": "order_failed"})
	require.Equal(t, "Your order could not be completed", m.Header.Get("Subject"))
}

// TestInjection puts line breaks, headers, markup and template actions wherever a stranger could.
func TestInjection(t *testing.T) {
	t.Parallel()
	const evil = "x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>\r\n<script>alert(1)</script>{{.Total}}"
	own := files{"order_failed.txt": "Subject: {{.Reason}}\n{{.Reason}}"}
	m, text, html := write(t, own, map[string]any{"template": "order_failed", "reason": evil, "orderId": evil})
	require.Empty(t, m.Header.Get("Bcc"))
	for name := range m.Header {
		require.Contains(t, []string{
			"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Auto-Submitted", "Content-Type",
		}, name)
	}
	require.Contains(t, text, "\r\n.\r\n", "a dot alone is content")
	require.Contains(t, text, "{{.Total}}")
	require.NotContains(t, html, "<script>")
	require.Contains(t, html, "&lt;script&gt;")

	server := smtptest.Start(t, smtptest.Config{})
	c, ledger := mailing(t, server)
	for to, code := range map[string]string{
		"": orders.NoAddress, "no-at-sign": "bad_address", "a@b.example\r\nRCPT TO:<eve@example.com>": "bad_address",
		"a@b.example, eve@example.com": "bad_address",
	} {
		body, err := json.Marshal(map[string]any{"to": to, "template": "order_failed", "currency": "USD", "amount": 1})
		require.NoError(t, err)
		_, err = c.Send(t.Context(), orders.SendEmail, mailKey, body)
		var refused *upstream.RefusedError
		require.ErrorAs(t, err, &refused, to)
		require.Equal(t, code, refused.Code)
	}
	body := strings.Replace(completed, "order_completed", "order_teleported", 1)
	_, err := c.Send(t.Context(), orders.SendEmail, mailKey, []byte(body))
	require.ErrorContains(t, err, "no_template")
	require.Empty(t, server.Messages())
	require.Zero(t, ledger.handed.Load())
}
