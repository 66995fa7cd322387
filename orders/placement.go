package orders

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of a placement. The database checks the same lengths.
const (
	MaxItems          = 100
	MaxQuantity       = 10_000
	MaxTextLength     = 200 // characters, of every free text
	MaxIdempotencyKey = 255 // bytes
	MaxEmailLength    = 254 // bytes, of an address: RFC 5321, 4.5.3.1.3, without the angle brackets
)

// Placement is a request to place an order.
type Placement struct {
	// Principal is the caller; an idempotency key is unique per principal. IdempotencyKey is empty if none was sent.
	Principal      string
	IdempotencyKey string

	CustomerID      string
	Currency        Currency
	Items           []Item
	Total           *Money // must be the sum of the items, if sent
	PaymentMethod   string
	ShippingAddress *Address
	// CustomerEmail is a bare address, without a name. The JSON omits it if empty: placements from before this field
	// must keep their fingerprints.
	CustomerEmail string `json:",omitempty"`
	// Origin is the request itself. It is not part of the fingerprint: a repetition is another request.
	Origin Origin `json:"-"`
}

// Sum returns the total of all items. It is meaningful for a valid placement only.
func (p *Placement) Sum() Money {
	var sum Money
	for _, item := range p.Items {
		sum += item.Price * Money(item.Quantity)
	}
	return sum
}

// Fingerprint identifies the request: two placements have the same fingerprint exactly if they would make the same
// order. A key that returns with a different fingerprint is a client's mistake.
func (p *Placement) Fingerprint() []byte {
	content := *p
	content.Principal, content.IdempotencyKey, content.Total = "", "", nil
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // strings and numbers: cannot happen
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// Validate checks everything that needs no database and no provider. It returns nil or an *InvalidError that names
// every invalid field by its JSON path.
func (p *Placement) Validate() error {
	var bad fieldErrors
	bad.check("customerId", CheckCustomerID(p.CustomerID))
	bad.text("paymentMethod", p.PaymentMethod, 0)
	bad.when(p.CustomerEmail != "" && !validEmail(p.CustomerEmail), "customerEmail",
		"must be an e-mail address such as ada@example.com, of at most %d bytes", MaxEmailLength)
	bad.when(!p.Currency.Valid(), "currency", "must be an ISO 4217 code, such as USD")
	bad.when(len(p.Items) == 0 || len(p.Items) > MaxItems, "items", "must have 1 to %d items", MaxItems)

	sum, fits := Money(0), true
	for i, item := range p.Items {
		path := fmt.Sprintf("items[%d].", i)
		bad.when(item.ProductID < 1, path+"productId", "must be at least 1")
		bad.when(item.Quantity < 1 || item.Quantity > MaxQuantity, path+"quantity", "must be 1 to %d", MaxQuantity)
		bad.when(item.Price < 0 || item.Price > MaxMoney, path+"price", "must be 0 to the largest amount")
		price, ok := item.Price.times(item.Quantity)
		sum += price
		fits = fits && ok && sum <= MaxMoney
	}
	bad.when(!fits, "items", "have a total that is too large")
	bad.when(fits && p.Total != nil && *p.Total != sum, "total", "must be the sum of the items, %s",
		p.Currency.Format(sum))

	if a := p.ShippingAddress; a != nil {
		bad.text("shippingAddress.name", a.Name, 0)
		bad.text("shippingAddress.line1", a.Line1, 1)
		bad.text("shippingAddress.line2", a.Line2, 0)
		bad.text("shippingAddress.city", a.City, 1)
		bad.text("shippingAddress.postalCode", a.PostalCode, 0)
		bad.when(!countryCode.MatchString(a.Country), "shippingAddress.country", "must be two capital letters")
	}
	return bad.err()
}

// validEmail reports whether s is an address and nothing else: no name, comment, second address or line break.
func validEmail(s string) bool {
	parsed, err := mail.ParseAddress(s)
	return err == nil && parsed.Address == s && len(s) <= MaxEmailLength
}

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

type fieldErrors []FieldError

func (f *fieldErrors) when(bad bool, field, message string, args ...any) {
	if bad {
		*f = append(*f, FieldError{Field: field, Message: fmt.Sprintf(message, args...)})
	}
}

// check records the problem that a check found, if any.
func (f *fieldErrors) check(field, problem string) {
	if problem != "" {
		*f = append(*f, FieldError{Field: field, Message: problem})
	}
}

// text checks a free text. Postgres cannot store U+0000.
func (f *fieldErrors) text(field, s string, least int) {
	n := utf8.RuneCountInString(s)
	f.when(n < least || n > MaxTextLength, field, "must have %d to %d characters", least, MaxTextLength)
	f.when(strings.ContainsRune(s, 0) || !utf8.ValidString(s), field, "must be valid text without U+0000")
}

func (f fieldErrors) err() error {
	if len(f) == 0 {
		return nil
	}
	return &InvalidError{Fields: f}
}
