package auth

import (
	"errors"
	"net/http"
)

// issuerTransport refuses a switch of protocols. After 101 the connection belongs to the caller, and no timeout would
// end a read from it.
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
