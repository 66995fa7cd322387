package upstream

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"net/mail"
	"strings"
	texttemplate "text/template"

	gomail "github.com/wneessen/go-mail"

	"github.com/millrace-orders/millrace/orders"
)

//go:embed templates
var builtIn embed.FS

// letters are the templates of all messages.
type letters struct {
	text map[string]*texttemplate.Template
	html map[string]*htmltemplate.Template
}

// letter is the data of a template. docs/notifications.md lists the fields: operators' own templates depend on them.
type letter struct {
	OrderID string
	Amount  string // paid, or refunded; with its currency
	Total   string // of the whole order; with its currency
	Partial bool   // the refund is less than the total
	Free    bool   // the total is 0: there was nothing to pay
	Reason  string
	Items   []letterItem // of a confirmation
}

type letterItem struct {
	ProductID, Quantity int64
	Price, Sum          string // with their currency
}

// message is a letter as it is sent.
type message struct {
	id    string // the Message-ID, without angle brackets
	to    string // its domain is ASCII
	bytes []byte // ASCII, but for what is before the @ of an address
}

// newLetters reads the templates. A file in own replaces the built-in one of the same name. All templates are tried on
// a letter, so that an unknown field stops the process at its start, rather than an e-mail later.
func newLetters(own fs.FS) (*letters, error) {
	l := &letters{text: map[string]*texttemplate.Template{}, html: map[string]*htmltemplate.Template{}}
	layout, err := readTemplate(own, "layout.html")
	problems := []error{err}
	for _, name := range orders.Templates() {
		text, err := readTemplate(own, name+".txt")
		if err == nil {
			l.text[name], err = texttemplate.New(name).Parse(text)
		}
		problems = append(problems, err)
		html, err := readTemplate(own, name+".html")
		if err == nil {
			l.html[name], err = htmltemplate.New(name).Parse(layout)
		}
		if err == nil {
			_, err = l.html[name].New("content").Parse(html)
		}
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("templates of e-mail: %w", err)
	}
	for name := range l.text {
		sample := letter{Items: []letterItem{{}}, Partial: true}
		if _, _, _, err := l.render(name, sample); err != nil {
			return nil, fmt.Errorf("template %s of e-mail: %w", name, err)
		}
	}
	return l, nil
}

func readTemplate(own fs.FS, name string) (string, error) {
	if own != nil {
		b, err := fs.ReadFile(own, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return string(b), err
		}
	}
	b, err := builtIn.ReadFile("templates/" + name)
	return string(b), err
}

// compose makes the message of a step's frozen request. Its Message-ID follows from the key, so that a recipient of a
// duplicate can recognise it.
//
// Errors: *RefusedError, if the address or the content is missing; *MisconfiguredError, if a template fails.
func (l *letters) compose(from *mail.Address, key string, body []byte) (message, error) {
	var r mailRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return message{}, &RefusedError{"bad_request"}
	}
	if l.text[r.Template] == nil {
		return message{}, &RefusedError{"no_template"}
	}
	if r.To == "" {
		return message{}, &RefusedError{orders.NoAddress}
	}
	subject, text, html, err := l.render(r.Template, r.letter())
	if err != nil {
		return message{}, &MisconfiguredError{orders.Email, 0}
	}
	to, err := mail.ParseAddress(r.To)
	if err == nil {
		to.Address, err = asciiMailbox(to.Address)
	}
	if err != nil {
		return message{}, &RefusedError{"bad_address"}
	}
	return newMessage(from, to, key, subject, text, html)
}

// newMessage makes a message; html may be empty.
func newMessage(from, to *mail.Address, key, subject, text, html string) (message, error) {
	_, domain, _ := strings.Cut(from.Address, "@")
	m := message{to: to.Address, id: strings.ReplaceAll(key, ":", ".") + "@" + domain}
	mime := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	mime.FromMailAddress(from)
	mime.SetAddrHeaderFromMailAddress(gomail.HeaderTo, to)
	mime.Subject(subject)
	mime.SetDate()
	mime.SetMessageIDWithValue(m.id)
	mime.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	mime.SetBodyString(gomail.TypeTextPlain, text)
	if html != "" {
		mime.AddAlternativeString(gomail.TypeTextHTML, html)
	}
	var out bytes.Buffer
	if _, err := mime.WriteTo(&out); err != nil {
		return message{}, fmt.Errorf("write message: %w", err)
	}
	m.bytes = out.Bytes()
	return m, nil
}

// render runs the templates. The first line of the text is "Subject: …"; the subject is exactly one line.
func (l *letters) render(name string, letter letter) (subject, text, html string, err error) {
	var plain, rich bytes.Buffer
	if err := l.text[name].Execute(&plain, letter); err != nil {
		return "", "", "", err
	}
	if err := l.html[name].Execute(&rich, letter); err != nil {
		return "", "", "", err
	}
	first, text, _ := strings.Cut(plain.String(), "\n")
	subject, ok := strings.CutPrefix(first, "Subject: ")
	if !ok {
		return "", "", "", fmt.Errorf("template %s.txt must begin with a line like Subject: Your order", name)
	}
	return strings.Join(strings.Fields(subject), " "), strings.TrimSpace(text) + "\n", rich.String(), nil
}

// mailRequest is the body of the step send_email.
type mailRequest struct {
	OrderID  string          `json:"orderId"`
	To       string          `json:"to"`
	Template string          `json:"template"`
	Amount   json.Number     `json:"amount"`
	Total    json.Number     `json:"total"`
	Currency orders.Currency `json:"currency"`
	Reason   string          `json:"reason"`
	Items    []struct {
		ProductID int64       `json:"productId"`
		Quantity  int64       `json:"quantity"`
		Price     json.Number `json:"price"`
	} `json:"items"`
}

func (r *mailRequest) letter() letter {
	money := func(m orders.Money) string { return r.Currency.Format(m) + " " + string(r.Currency) }
	parse := func(n json.Number) orders.Money {
		m, _ := r.Currency.Parse(string(n)) // it was written by Format
		return m
	}
	amount, total := parse(r.Amount), parse(r.Total)
	l := letter{
		OrderID: r.OrderID, Amount: money(amount), Total: money(total), Partial: amount < total, Free: total == 0,
		Reason: r.Reason,
	}
	for _, i := range r.Items {
		price := parse(i.Price)
		l.Items = append(l.Items, letterItem{i.ProductID, i.Quantity, money(price), money(price * orders.Money(i.Quantity))})
	}
	return l
}
