package board

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// A process that finds one kind of trouble twice, such as at two providers, counts once, and both are shown.
func TestTroubleWorries(t *testing.T) {
	t.Parallel()
	process := func(id string, live bool, texts ...string) store.Process {
		p := store.Process{ID: id, Role: "work", Live: live}
		for _, text := range texts {
			p.Troubles = append(p.Troubles, store.Trouble{Alert: "MillraceProviderMisconfigured", Text: text})
		}
		return p
	}
	shown := func(processes ...store.Process) (texts []string) {
		troubleWorries(processes, func(w worry) { texts = append(texts, w.Text) })
		return texts
	}
	both := process("a", true, "Payment.", "Shipping.")
	require.Equal(t, []string{"Process a (work): Payment. Shipping."}, shown(both))
	require.Equal(t, []string{"Process b (work): Payment. Also in 1 other process."},
		shown(process("dead", false, "Payment."), process("b", true, "Payment."), both))
}
