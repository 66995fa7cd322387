//go:build browser

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"
)

// tab is a page in a headless Chromium, which a test steers over the DevTools protocol.
type tab struct {
	t      *testing.T
	conn   *websocket.Conn
	last   int
	errors []string // what the browser complained of: exceptions, and what the content security policy blocked
}

type devtoolsMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct{ Message string }
}

// openTab starts a browser with one page.
func openTab(t *testing.T) *tab {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-browser-") //nolint:usetesting // Chromium may still write while it dies
	require.NoError(t, err)
	browser := chromium(t.Context(), t, "--user-data-dir="+dir, "--remote-debugging-port=0", "--remote-allow-origins=*",
		"--window-size=1280,1000", "about:blank")
	require.NoError(t, browser.Start())
	t.Cleanup(func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
		_ = os.RemoveAll(dir)
	})
	var port string
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort")) //nolint:gosec // a directory of this test
		port, _, _ = strings.Cut(string(text), "\n")
		return err == nil && port != ""
	}, time.Minute, 50*time.Millisecond)
	status, _, body := do(t, http.MethodPut, "http://127.0.0.1:"+port+"/json/new?about:blank", "")
	require.Equal(t, http.StatusOK, status, string(body))
	var target struct{ WebSocketDebuggerURL string }
	require.NoError(t, json.Unmarshal(body, &target))
	conn, err := websocket.Dial(target.WebSocketDebuggerURL, "", "http://127.0.0.1:"+port)
	require.NoError(t, err)
	conn.MaxPayloadBytes = 64 << 20
	t.Cleanup(func() { _ = conn.Close() })
	page := &tab{t: t, conn: conn}
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		page.call(domain+".enable", nil)
	}
	return page
}

// call has the browser do something, and collects its complaints meanwhile.
func (p *tab) call(method string, params map[string]any) json.RawMessage {
	p.t.Helper()
	result, problem := p.ask(method, params)
	require.Empty(p.t, problem, method)
	return result
}

// ask is call for what the browser may refuse; problem says why it did.
func (p *tab) ask(method string, params map[string]any) (result json.RawMessage, problem string) {
	p.t.Helper()
	p.last++
	if params == nil {
		params = map[string]any{}
	}
	require.NoError(p.t, p.conn.SetDeadline(time.Now().Add(2*time.Minute)))
	require.NoError(p.t, websocket.JSON.Send(p.conn, map[string]any{"id": p.last, "method": method, "params": params}))
	for {
		var m devtoolsMessage
		require.NoError(p.t, websocket.JSON.Receive(p.conn, &m), method)
		switch {
		case m.ID == p.last:
			if m.Error != nil {
				return nil, m.Error.Message
			}
			return m.Result, ""
		case m.Method == "Runtime.exceptionThrown",
			m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"error"`):
			p.errors = append(p.errors, string(m.Params))
		}
	}
}

// eval runs a program in the page and returns its value. It waits for a promise.
func (p *tab) eval(program string, value any) {
	p.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	result := p.call("Runtime.evaluate", map[string]any{
		"expression": program, "awaitPromise": true, "returnByValue": true,
	})
	require.NoError(p.t, json.Unmarshal(result, &out))
	require.Empty(p.t, string(out.ExceptionDetails), program)
	if value != nil {
		require.NoError(p.t, json.Unmarshal(out.Result.Value, value), program)
	}
}

// until waits for a condition in the page. A page that is being replaced meets no condition.
func (p *tab) until(condition string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		result, problem := p.ask("Runtime.evaluate", map[string]any{
			"expression": "Boolean(" + condition + ")", "returnByValue": true,
		})
		return problem == "" && strings.Contains(string(result), `"value":true`)
	}, time.Minute, 50*time.Millisecond, condition)
}

// visit loads a page.
func (p *tab) visit(url string) {
	p.t.Helper()
	p.call("Page.navigate", map[string]any{"url": url})
	p.until(fmt.Sprintf("location.href === %q && document.readyState === 'complete'", url))
}

// press presses a key.
func (p *tab) press(key string, code int) {
	p.t.Helper()
	text := ""
	switch {
	case key == "Enter":
		text = "\r"
	case len(key) == 1:
		text = key
	}
	event := map[string]any{"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text, "type": "keyDown"}
	p.call("Input.dispatchKeyEvent", event)
	event = map[string]any{"key": key, "code": key, "windowsVirtualKeyCode": code, "type": "keyUp"}
	p.call("Input.dispatchKeyEvent", event)
}
