package orders

// WebhookJob is the args of the River job that sends an endpoint what waits for it.
type WebhookJob struct {
	EndpointID ID `json:"endpoint_id" river:"unique"`
	// Owner is the customer or the principal for which a worker counts while it sends. It is no part of what makes a
	// job unique: an endpoint that another key has taken over must not get a second job.
	Owner string `json:"owner"`
}

// Kind names the job.
func (WebhookJob) Kind() string { return "deliver_webhooks" }

// The queues of WebhookJob. Endpoints that are failing have workers of their own, so that however many of them hang
// they hold up nobody else.
const (
	WebhookQueue        = "webhooks"
	FailingWebhookQueue = "webhooks_failing"
)

// WebhookAttempts is how often a message is tried before it is given up.
const WebhookAttempts = 10
