package board

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace-orders/millrace/store"
)

// mostRows is how many rows a page lists.
const mostRows = 100

type findingsData struct {
	Compared []store.Reconciliation
	Findings []store.Finding
}

func (b *board) findings(w http.ResponseWriter, r *http.Request) {
	s, err := b.slow.get(r.Context())
	if err != nil {
		b.fail(w, r, err)
		return
	}
	b.show(w, r, http.StatusOK, "findings", "Reconciliation", findingsData{s.Compared, s.Findings})
}

func (b *board) webhooks(w http.ResponseWriter, r *http.Request) {
	s, err := b.slow.get(r.Context())
	if err != nil {
		b.fail(w, r, err)
		return
	}
	b.show(w, r, http.StatusOK, "webhooks", "Webhooks that fail", s.Webhooks)
}

func (b *board) audit(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	entries, err := b.config.Store.Audit.List(ctx, mostRows)
	if err != nil {
		b.fail(w, r, err)
		return
	}
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		rows[i] = newAuditRow(e)
	}
	b.show(w, r, http.StatusOK, "audit", "Audit log", rows)
}

// auditRow is an entry of the audit log with its details as text.
type auditRow struct {
	store.AuditEntry

	Refused bool
	Details []string
}

const mostDetail = 200 // characters; the page says how many more there are

func newAuditRow(e store.AuditEntry) auditRow {
	row := auditRow{AuditEntry: e}
	for name, value := range e.Detail {
		if name == "allowed" {
			row.Refused = value == false
			continue
		}
		runes := []rune(strings.Trim(store.AuditText(value), `"`))
		text := name + ": " + string(runes[:min(len(runes), mostDetail)])
		if more := len(runes) - mostDetail; more > 0 {
			text += fmt.Sprintf(" … and %d more characters, which millrace audit prints", more)
		}
		row.Details = append(row.Details, text)
	}
	slices.Sort(row.Details)
	return row
}
