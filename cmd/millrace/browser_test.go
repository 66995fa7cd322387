//go:build browser

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestBrowser looks at the pages as a person does: with their scripts, under their content security policy.
func TestBrowser(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", storetest.Dir(t))
	placed := m.place(seedOrder)
	m.await(placed.OrderID, "completed")

	for url, want := range map[string][]string{
		m.api + "/docs/":                        {"Millrace", "Place an order", "/api/orders/{id}/events"},
		m.ops + "/riverui/jobs?state=completed": {"carry_order", placed.OrderID},
		m.ops + "/riverui/queues":               {"payment", "inventory", "shipping", "email"},
	} {
		var page string
		lacks := func(text string) bool { return !strings.Contains(page, text) }
		for range 5 { // a job is shown as completed after its order is
			if page = render(t, url); !slices.ContainsFunc(want, lacks) {
				break
			}
		}
		for _, text := range want {
			require.Contains(t, page, text, url)
		}
	}
}

// TestBrowserSamples runs the programs of docs/events.md, as they are there, in the page of a shop that has the API
// under its own address, and sees what they print while an order goes through.
func TestBrowserSamples(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", storetest.Dir(t))
	document, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	samples := regexp.MustCompile("(?s)```javascript\n(.*?)```").FindAllStringSubmatch(string(document), -1)
	require.Len(t, samples, 2)
	for _, tt := range []struct {
		name, sample string
		ready        string
		want         []string // of the order with %s
	}{
		{"Open", samples[0][1], "Connected to order hub", []string{
			"Order %s is new", "Order %s is now processing at 20", "Order %s is now completed at 20",
			"Order %s: 80%% - Payment capture succeeded",
		}},
		// The first ticket is wrong, as one that has expired is.
		{"Tickets", samples[1][1], "ticket 2", []string{"Shipment succeeded"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			printed := make(chan string, 1000)
			url := shop(t, m, tt.sample, printed)
			browse(t, url)
			waitFor(t, printed, tt.ready)
			// The stream of the second sample opens after its ticket was made: orders are placed until one is heard of.
			for {
				id := m.place(seedOrder).OrderID
				m.await(id, "completed")
				var wanted []string
				for _, text := range tt.want {
					wanted = append(wanted, strings.ReplaceAll(strings.ReplaceAll(text, "%s", id), "%%", "%"))
				}
				if heard(t, printed, wanted) {
					return
				}
			}
		})
	}
}

// TestBrowserOtherSite: a page of another site tries what browsers send without a preflight, and changes nothing.
func TestBrowserOtherSite(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", storetest.Dir(t))
	printed := make(chan string, 10)
	page := shop(t, m, fmt.Sprintf(`
const send = (url, method, type, body) => fetch(url, {method, mode: "no-cors", headers: {"Content-Type": type}, body})
  .catch((error) => error);
(async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded"]) await send(%q, "POST", type, %q);
  await fetch(%q, {method: "PUT", body: '{"payment":{"down":true}}'}).catch((error) => error);
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", action: %q, enctype: "text/plain", target: "_blank"});
  document.body.append(form);
  form.submit();
  setTimeout(() => console.log("tried"), 1000);
})()`, m.api+"/api/orders", seedOrder, m.simulators+"/faults", m.api+"/api/stream-tickets"), printed)
	browse(t, page)
	waitFor(t, printed, "tried")
	var list struct{ Orders []order }
	get(t, m.api+"/api/orders", &list)
	require.Empty(t, list.Orders)
	var faults map[string]map[string]any
	get(t, m.simulators+"/faults", &faults)
	require.NotEqual(t, true, faults["payment"]["down"])
}

// shop is a site with a page that runs a program, whose output comes back through printed.
func shop(t *testing.T, m *instance, program string, printed chan<- string) (address string) {
	t.Helper()
	base, err := url.Parse(m.api)
	require.NoError(t, err)
	// An open server refuses requests that a proxy forwarded, and requests for a host name that is not its own.
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) }}
	mux := http.NewServeMux()
	mux.Handle("/api/", proxy)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<script>console.log = (text) => fetch("/printed", {method: "POST", body: text})</script>
<script>%s</script>`, program)
	})
	mux.HandleFunc("POST /printed", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		printed <- string(text)
	})
	var tickets atomic.Int64
	mux.HandleFunc("POST /ticket", func(w http.ResponseWriter, _ *http.Request) {
		n := tickets.Add(1)
		body := []byte(`{"ticket":"expired"}`)
		if n > 1 {
			_, _, body = do(t, http.MethodPost, m.api+"/api/stream-tickets", `{"customerId":"1"}`)
		}
		printed <- fmt.Sprintf("ticket %d", n)
		_, _ = w.Write(body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func waitFor(t *testing.T, printed <-chan string, want string) {
	t.Helper()
	for {
		select {
		case text := <-printed:
			if text == want {
				return
			}
		case <-time.After(time.Minute):
			require.Fail(t, "never printed", want)
		}
	}
}

// heard reports whether all wanted lines were printed, in any order, before the output paused.
func heard(t *testing.T, printed <-chan string, wanted []string) bool {
	t.Helper()
	for len(wanted) > 0 {
		select {
		case text := <-printed:
			wanted = slices.DeleteFunc(wanted, func(want string) bool { return strings.HasPrefix(text, want) })
		case <-time.After(5 * time.Second):
			return false
		}
	}
	return true
}

// browse opens a page in a headless Chromium until the test ends.
func browse(t *testing.T, url string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-browser-") //nolint:usetesting // Chromium may still write while it dies
	require.NoError(t, err)
	browser := chromium(t.Context(), t, "--user-data-dir="+dir, "--remote-debugging-port=0", url)
	require.NoError(t, browser.Start())
	t.Cleanup(func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
		_ = os.RemoveAll(dir)
	})
}

// render loads a page in a headless Chromium and returns its document once the scripts have had time to build it.
func render(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	page, err := chromium(ctx, t, "--user-data-dir="+t.TempDir(), "--virtual-time-budget=8000", "--dump-dom", url).Output()
	require.NoError(t, err)
	return string(page)
}

func chromium(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	require.NotEmpty(t, path, "no Chromium: make test-browser installs one")
	return exec.CommandContext(ctx, path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync",
	}, args...)...)
}
