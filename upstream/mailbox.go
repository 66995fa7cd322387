package upstream

import (
	"fmt"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// international is the profile for domains that are not ASCII, as registries accept names today: ß differs from ss.
//
//nolint:gochecknoglobals // a constant; Go has none of this type
var international = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(true),
)

// asciiDomain returns a domain in the form for the wire: as A-labels (RFC 5890), which every server knows.
func asciiDomain(domain string) (string, error) {
	if isASCII(domain) {
		return domain, nil // also an address literal
	}
	ascii, err := international.ToASCII(domain)
	if err != nil {
		return "", fmt.Errorf("internationalised domain: %w", err)
	}
	return ascii, nil
}

// asciiMailbox returns an address with its domain as A-labels. The part before the @ has no such form.
func asciiMailbox(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	domain, err := asciiDomain(address[at+1:])
	if err != nil {
		return "", err
	}
	return address[:at+1] + domain, nil
}

// path returns an address in the form of MAIL and RCPT: in angle brackets, and quoted where necessary.
func path(address string) string { return (&mail.Address{Address: address}).String() }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > '~' {
			return false
		}
	}
	return true
}
