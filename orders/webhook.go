package orders

// WebhookJob is the args of the River job that sends an endpoint what waits for it.
type WebhookJob struct {
	EndpointID ID `json:"endpoint_id"`
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
