package jobs

import (
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// However often a webhook's job has lost its process, the next run comes soon.
func TestWebhookJobReturnsSoon(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var worker river.Worker[orders.WebhookJob] = &webhookWorker{now: func() time.Time { return now }}
	for attempt := range 24 {
		job := &river.Job[orders.WebhookJob]{JobRow: &rivertype.JobRow{Attempt: attempt + 1}}
		for range 20 {
			require.WithinRange(t, worker.NextRetry(job), now, now.Add(mostBetweenRuns))
		}
	}
}
