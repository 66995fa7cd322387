package store

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"strings"
)

// Credentials are keys and stream tickets.
type Credentials struct {
	*database
}

// The text of a key is mr_<id>_<secret>. Scanners for leaked secrets can look for
// mr_[a-z2-7]{12}_[0-9A-Za-z]{43}, and a double click selects all of it.
const (
	keyPrefix       = "mr_"
	keyIDLength     = 12 // of base32: 60 random bits, which name a key and protect nothing
	keySecretBytes  = 32
	keySecretLength = 43 // of base62
	keyLastFour     = 4
	base62          = 62
)

// newCredential makes an id and a secret. It never fails, like all of crypto/rand.
func newCredential() (id, secret string) {
	random := make([]byte, keySecretBytes)
	_, _ = rand.Read(random)
	secret = new(big.Int).SetBytes(random).Text(base62)
	return strings.ToLower(rand.Text()[:keyIDLength]), strings.Repeat("0", keySecretLength-len(secret)) + secret
}

// IsKey reports whether a text has the form of a key, right or wrong.
func IsKey(text string) bool {
	_, _, ok := parseCredential(text)
	return ok
}

// IsTicket reports whether a text has the form of a ticket, right or wrong.
func IsTicket(text string) bool { return len(text) == keySecretLength && isAlphanumeric(text) }

// parseCredential splits the text of a key.
func parseCredential(text string) (id, secret string, ok bool) {
	text, ok = strings.CutPrefix(text, keyPrefix)
	if !ok || len(text) != keyIDLength+1+keySecretLength || text[keyIDLength] != '_' {
		return "", "", false
	}
	id, secret = text[:keyIDLength], text[keyIDLength+1:]
	return id, secret, isAlphanumeric(id) && isAlphanumeric(secret)
}

func isAlphanumeric(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// hashSecret needs no salt and no stretching: a secret of 256 random bits cannot be guessed from its hash.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
