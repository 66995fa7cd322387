package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
)

// A remembered key reads as a viewer, until it expires or is forgotten; a key that may not read everything never does.
func TestRememberedReader(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := New(Config{Now: func() time.Time { return now }})
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Authorization", "Bearer key")
	for _, role := range roles.All() {
		reads := role != roles.Service && role != roles.Customer
		a.recognized.Add(hashOf("key"), recentValue[Principal]{Principal{Name: "k", Role: role}, now.Add(time.Minute)})
		p, ok := a.RememberedReader(r, true)
		require.Equal(t, reads, ok, role)
		if reads {
			require.Equal(t, Principal{Name: "k", Role: roles.Viewer}, p)
		}
	}
	a.recognized.Add(hashOf("key"), recentValue[Principal]{Principal{Role: roles.Viewer}, now.Add(time.Minute)})
	now = now.Add(time.Minute)
	_, ok := a.RememberedReader(r, true)
	require.False(t, ok)
}
