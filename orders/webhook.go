package orders

// WebhookJob is the args of the River job that sends a webhook its due messages.
type WebhookJob struct {
	WebhookID ID `json:"webhook_id" river:"unique"`
	// Owner is the customer or principal whose share of the workers the job uses. It is not part of the job's
	// uniqueness: a webhook that a different key has taken over must not get a second job.
	Owner string `json:"owner"`
}

// Kind names the job.
func (WebhookJob) Kind() string { return "deliver_webhooks" }

// The queues of WebhookJob. Failing webhooks have workers of their own: however many of them hang, they never delay
// the webhooks that work.
const (
	WebhookQueue        = "webhooks"
	FailingWebhookQueue = "webhooks_failing"
)

// WebhookAttempts is how often a message is sent before Millrace gives up.
const WebhookAttempts = 10
