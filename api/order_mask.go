package api

import (
	"strings"
	"unicode/utf8"

	"github.com/millrace-orders/millrace/auth/roles"
)

// masked replaces a text that a viewer must not see.
const masked = "***"

// seesPersonal reports whether a principal sees customers' addresses and payment methods. A viewer watches the system
// and does not need them: a stolen viewer's key must not give away a list of addresses.
func (p Principal) seesPersonal() bool { return p.Role != roles.Viewer }

// maskEmail keeps enough of an address to tell most customers apart, and too little to send e-mail to.
func maskEmail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	_, first := utf8.DecodeRuneInString(address)
	return address[:first] + masked + address[at:]
}

// maskAddress keeps the city and the country, which show a viewer that a problem is regional.
func maskAddress(a *Address) *Address {
	if a == nil {
		return nil
	}
	return &Address{
		Name: mask(a.Name), Line1: mask(a.Line1), Line2: mask(a.Line2), City: a.City, PostalCode: mask(a.PostalCode),
		Country: a.Country,
	}
}

// mask replaces a text and keeps an empty text empty.
func mask(text string) string {
	if text == "" {
		return ""
	}
	return masked
}
