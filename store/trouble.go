package store

// Trouble is a reason to look closer that a process has found in its own metrics.
type Trouble struct {
	Alert string `json:"alert"` // the alert that fires for it, which has a section in docs/runbook.md
	Text  string `json:"text"`
}
