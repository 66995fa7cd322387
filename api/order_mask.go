package api

import (
	"strings"
	"unicode/utf8"

	"github.com/millrace-orders/millrace/auth/roles"
)

// masked stands for a text that a viewer does not see.
const masked = "***"

// seesPersonal reports whether a principal sees how customers are reached and how they pay. A viewer looks after the
// system and does not need it: a stolen viewer's key must not be a list of addresses.
func (p Principal) seesPersonal() bool { return p.Role != roles.Viewer }

// maskEmail keeps of an address what mostly tells two customers apart, and cannot be written to.
func maskEmail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	_, first := utf8.DecodeRuneInString(address)
	return address[:first] + masked + address[at:]
}

// maskAddress keeps the city and the country, by which a viewer tells a regional trouble.
func maskAddress(a *Address) *Address {
	if a == nil {
		return nil
	}
	return &Address{
		Name: mask(a.Name), Line1: mask(a.Line1), Line2: mask(a.Line2), City: a.City, PostalCode: mask(a.PostalCode),
		Country: a.Country,
	}
}

// mask keeps whether there is a text.
func mask(text string) string {
	if text == "" {
		return ""
	}
	return masked
}
