package auth

import (
	"errors"
	"net/http"
)

// issuerTransport takes no other protocol for an answer. After 101 the connection is the caller's, and no timeout would
// end a read of what follows.
type issuerTransport struct{ http.RoundTripper }

// RoundTrip sends a request.
func (t issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil && response.StatusCode < http.StatusOK {
		_ = response.Body.Close()
		return nil, errors.New("the identity provider switches protocols")
	}
	return response, err
}
