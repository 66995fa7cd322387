//go:build browser

package main

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

var (
	axe         = flag.String("axe", "", "axe.min.js of axe-core, which make test-browser fetches")
	screenshots = flag.String("screenshots", "", "a directory for pictures of the board")
)

// TestBrowserBoard looks at the board in both themes, with axe, with a provider down and orders that need a decision.
// Then it uses the board by keyboard alone.
func TestBrowserBoard(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, *axe, "make test-browser passes -axe")
	program, err := os.ReadFile(*axe)
	require.NoError(t, err)
	m := startDev(t, "--data", storetest.Dir(t))
	faults := `{"payment":{"refuseRate":1,"operations":["void"]},"shipping":{"down":true}}`
	status, _, body := do(t, http.MethodPut, m.simulators+"/faults", faults)
	require.Equal(t, http.StatusOK, status, string(body))
	var stuck string
	for range 6 {
		m.place(seedOrder)
		stuck = m.place(`{"customerId":"linus","items":[{"productId":9999,"quantity":1,"price":5}]}`).OrderID
	}

	p := openTab(t)
	p.visit(m.ops + "/board/")
	p.until(`document.body.innerText.includes("The breaker of shipping is open")`)
	p.until(`document.body.innerText.includes("orders need a decision")`)
	p.until(`document.querySelectorAll(".chart canvas").length === 3`)
	cause := "?step=void_payment&state=refused&code=provider_refused"
	for _, theme := range []string{"light", "dark"} {
		p.call("Emulation.setEmulatedMedia", map[string]any{
			"features": []map[string]any{{"name": "prefers-color-scheme", "value": theme}},
		})
		for name, path := range map[string]string{
			"board": "", "lane": "lanes/shipping", "decisions": "attention" + cause, "order": "orders/" + stuck,
			"findings": "findings", "webhooks": "webhooks", "audit": "audit", "search": "search?q=linus",
			"missing": "lanes/none",
		} {
			p.visit(m.ops + "/board/" + path)
			if name == "board" || name == "lane" {
				p.until(`document.querySelectorAll(".chart canvas").length === 3`)
			}
			p.eval(string(program), nil)
			var found []json.RawMessage
			p.eval(`axe.run().then((r) => r.violations.map((v) => ({id: v.id, nodes: v.nodes.map((n) => n.html + " " +
				n.failureSummary)})))`, &found)
			require.Empty(t, found, "%s %s: %s", theme, name, found)
			p.picture(name + "-" + theme)
		}
	}
	require.NotEmpty(t, p.errors, "a missing page is logged as an error of the network")
	p.errors = nil

	p.visit(m.ops + "/board/")
	// Every control is reached by Tab, in the order of the document, and is seen to have the focus.
	const controls = `[...document.querySelectorAll("a[href], button, input, [tabindex='0']")].filter((e) =>
		e.checkVisibility()).length`
	var all, reached int
	p.eval(controls, &all)
	p.eval(`window.reached = new Set(), window.unseen = []; document.addEventListener("focusin", (e) => {
		reached.add(e.target.id || e.target.href || e.target.tagName);
		if (getComputedStyle(e.target).outlineStyle === "none") unseen.push(e.target.outerHTML);
	})`, nil)
	for range all + 2 {
		p.press("Tab", 9)
	}
	p.eval("reached.size", &reached)
	require.GreaterOrEqual(t, reached+1, all, "the button of the search has no name of its own")
	var unseen []string
	p.eval("unseen", &unseen)
	require.Empty(t, unseen)

	// The search, then the page of an order.
	p.eval("document.activeElement.blur()", nil)
	p.press("/", 191)
	p.until(`document.activeElement.id === "q"`)
	p.call("Input.insertText", map[string]any{"text": stuck})
	p.press("Enter", 13)
	p.until(fmt.Sprintf(`location.pathname === "/board/orders/%s" && document.readyState === "complete"`, stuck))
	p.until(`document.body.innerText.includes("Millrace cannot go on by itself")`)

	// A lane is paused in one page, and another page shows it without being loaded again.
	other := openTab(t)
	other.visit(m.ops + "/board/")
	p.visit(m.ops + "/board/lanes/email")
	p.eval(`document.getElementById("reason").focus()`, nil)
	p.call("Input.insertText", map[string]any{"text": "The mail server moves"})
	p.press("Enter", 13)
	p.until(`document.readyState === "complete" &&
		document.getElementById("hold")?.innerText.includes("The mail server moves")`)
	begin := time.Now()
	other.until(`document.getElementById("now").innerText.includes("The mail server moves")`)
	t.Logf("the other page showed it %s later", time.Since(begin).Round(time.Millisecond))
	p.picture("paused-dark")

	// The page says so when nothing answers any more.
	other.eval(`window.XMLHttpRequest.prototype.send = function () {}; heard = 0`, nil)
	other.until(`!document.getElementById("stale").hidden`)
	require.Empty(t, p.errors)
	require.Empty(t, other.errors)
}

// picture saves what a page looks like, if pictures are wanted.
func (p *tab) picture(name string) {
	p.t.Helper()
	if *screenshots == "" {
		return
	}
	var out struct{ Data string }
	shot := p.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true})
	require.NoError(p.t, json.Unmarshal(shot, &out))
	content, err := base64.StdEncoding.DecodeString(out.Data)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(*screenshots, name+".png"), content, 0o600))
}
