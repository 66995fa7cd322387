package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

const (
	webhooksPath = "/api/webhooks"
	webhookPath  = webhooksPath + "/{webhookId}"
)

// Errors of webhooks.
var (
	errWebhookNotFound = problems.New(problems.NotFound, "webhook_not_found", "The webhook does not exist.").
				For(store.ErrWebhookNotFound)
	errTooManyWebhooks = problems.New(problems.Conflict, "too_many_webhooks", "The owner has too many webhooks.").
				Detailed("The owner has %d webhooks already. Delete one first.", store.MaxWebhooks).For(store.ErrTooManyWebhooks)
	errWebhookDisabled = problems.New(problems.Conflict, "webhook_disabled",
		"The webhook is disabled. Enable it first.").For(store.ErrWebhookDisabled)
	errRotating = problems.New(problems.Conflict, "secret_rotating",
		"The previous secret is still valid. Wait, or end it with previousValidSeconds 0.").
		For(store.ErrRotating)
)

// webhookErrors returns the errors of all operations on webhooks and those of one operation.
func webhookErrors(own ...*problems.Error) []*problems.Error {
	return append(own, errWebhookNotFound, errTooManyWebhooks, errWebhookDisabled, errRotating, errKeyReused)
}

// tagWebhooks is the operations' group in the document.
const tagWebhooks = "Webhooks"

// webhookOperations are the operations on webhooks.
type webhookOperations struct {
	webhooks   *store.Webhooks
	deliveries *store.Deliveries
	policy     webhook.Policy
	now        func() time.Time
}

func (o webhookOperations) all() []operation {
	return []operation{
		declare(operation{
			Operation: huma.Operation{
				OperationID: "createWebhook", Method: http.MethodPost, Path: webhooksPath, Tags: []string{tagWebhooks},
				Summary: "Create a webhook",
				Description: "Sends events of orders to an address from now on, signed as Standard Webhooks defines it. Only " +
					"this answer contains the secret. A customer can have 20 webhooks, and so can each other principal.",
				DefaultStatus: http.StatusCreated,
			},
			permission: permitWebhookChange, errors: webhookErrors(),
		}, o.createWebhook),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "listWebhooks", Method: http.MethodGet, Path: webhooksPath, Tags: []string{tagWebhooks},
				Summary: "List webhooks", Description: "The caller's webhooks, oldest first. An admin sees all webhooks.",
			},
			permission: permitWebhooks, errors: webhookErrors(),
		}, o.listWebhooks),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getWebhook", Method: http.MethodGet, Path: webhookPath, Tags: []string{tagWebhooks},
				Summary: "Get a webhook", Description: "The webhook's settings and its current state.",
			},
			permission: permitWebhooks, errors: webhookErrors(),
		}, o.getWebhook),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "updateWebhook", Method: http.MethodPatch, Path: webhookPath, Tags: []string{tagWebhooks},
				Summary: "Change a webhook",
				Description: "Changes the webhook's settings. While a webhook is disabled, new events are not sent to it, and " +
					"not later either. Deliveries that were already waiting go on when it is enabled, unless they have expired.",
			},
			permission: permitWebhookChange, errors: webhookErrors(),
		}, o.updateWebhook),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "deleteWebhook", Method: http.MethodDelete, Path: webhookPath, Tags: []string{tagWebhooks},
				Summary:       "Delete a webhook",
				Description:   "Deletes the webhook and its deliveries. A message that is being sent still arrives.",
				DefaultStatus: http.StatusNoContent,
			},
			permission: permitWebhookChange, errors: webhookErrors(),
		}, o.deleteWebhook),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "rotateWebhookSecret", Method: http.MethodPost, Path: webhookPath + "/secret",
				Tags:    []string{tagWebhooks},
				Summary: "Rotate a webhook's secret",
				Description: "Makes a new secret, which only this answer contains. For a while, messages are signed with both " +
					"the new and the previous secret. During that time, another rotation is refused (409), unless it ends the " +
					"previous secret at once.",
			},
			permission: permitWebhookChange, errors: webhookErrors(),
		}, o.rotateWebhook),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "pingWebhook", Method: http.MethodPost, Path: webhookPath + "/ping", Tags: []string{tagWebhooks},
				Summary:       "Send a test message",
				Description:   "Sends a message of the type Ping. Read the delivery to see its outcome.",
				DefaultStatus: http.StatusAccepted,
			},
			permission: permitWebhookChange, errors: webhookErrors(),
		}, o.pingWebhook),
	}
}

// owner returns the owner whose webhooks the principal may see and change.
func (p Principal) owner() store.Owner {
	o := store.Owner{Principal: p.Name, Everybody: p.Role == roles.Admin}
	if p.Role == roles.Customer {
		o.CustomerID = p.CustomerID
	}
	return o
}

type createWebhookInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes it safe to repeat the request: the same request under the same key gets the same webhook again, as long as the webhook exists. 1 to 255 visible ASCII characters"`
	Body           NewWebhook
}

type secretOutput struct{ Body WebhookWithSecret }

func (o webhookOperations) createWebhook(ctx context.Context, in *createWebhookInput) (*secretOutput, error) {
	who := exchangeOf(ctx).principal
	if in.Body.CustomerID != "" {
		if err := in.Body.CustomerID.check("body.customerId"); err != nil {
			return nil, err
		}
	} else if who.Role == roles.Customer {
		in.Body.CustomerID = customerID(who.CustomerID)
	}
	if !who.Owns(string(in.Body.CustomerID)) {
		return nil, errForbidden.Detailed("A customer can only receive events of its own orders: customerId must be its own.")
	}
	if wrong := line("description", in.Body.Description); wrong != nil {
		return nil, &orders.InvalidError{Fields: wrong}
	}
	if err := o.checkURL(in.Body.URL); err != nil {
		return nil, err
	}
	n := store.NewWebhook{
		Owner: who.owner(), CustomerID: string(in.Body.CustomerID), URL: in.Body.URL, EventTypes: plain(in.Body.EventTypes),
		Description: in.Body.Description, Secret: webhook.NewSecret(),
	}
	if in.IdempotencyKey != "" {
		var err error
		if n.IdempotencyKey, err = parseIdempotencyKey(in.IdempotencyKey); err != nil {
			return nil, err
		}
		request, err := json.Marshal(in.Body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		sum := sha256.Sum256(request)
		n.Fingerprint = sum[:]
	}
	made, err := o.webhooks.Make(ctx, n)
	if err != nil {
		return nil, err
	}
	return newSecretOutput(made), nil
}

func (o webhookOperations) checkURL(url string) error {
	if err := o.policy.Check(url); err != nil {
		return &orders.InvalidError{Fields: []orders.FieldError{{Field: "url", Message: err.Error()}}}
	}
	return nil
}

type listWebhooksInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Webhooks per page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page"`
}

type listWebhooksOutput struct {
	Link string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	Body WebhookPage
}

func (o webhookOperations) listWebhooks(ctx context.Context, in *listWebhooksInput) (*listWebhooksOutput, error) {
	found, err := list[store.Webhook]{
		path: webhooksPath, filter: url.Values{}, scope: "webhooks", width: len(orders.ID{}),
		read: func(after []byte, limit int) ([]store.Webhook, error) {
			return o.webhooks.List(ctx, exchangeOf(ctx).principal.owner(), idOf(after), limit)
		},
		position: func(w store.Webhook) []byte { return w.ID[:] },
	}.page(in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &listWebhooksOutput{Link: found.link, Body: WebhookPage{
		Webhooks: show(found, newWebhook), NextCursor: found.next,
	}}, nil
}

// idOf returns the id in a position; zero for the first page.
func idOf(position []byte) (id orders.ID) {
	copy(id[:], position)
	return id
}

// WebhookInput is the input of all operations on one webhook. It is exported because Huma ignores embedded structs that
// are not.
type WebhookInput struct {
	WebhookID orderID `path:"webhookId" doc:"The webhook's id"`
}

func (in WebhookInput) id() (orders.ID, error) { return in.WebhookID.parseAt("path.webhookId") }

type webhookOutput struct{ Body Webhook }

func (o webhookOperations) getWebhook(ctx context.Context, in *WebhookInput) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := o.webhooks.Get(ctx, exchangeOf(ctx).principal.owner(), id)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{newWebhook(found)}, nil
}

type updateWebhookInput struct {
	WebhookInput
	Body WebhookChange
}

func (o webhookOperations) updateWebhook(ctx context.Context, in *updateWebhookInput) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	change := store.WebhookChange{URL: in.Body.URL, Description: in.Body.Description, Enabled: in.Body.Enabled}
	if in.Body.Description != nil {
		if wrong := line("description", *in.Body.Description); wrong != nil {
			return nil, &orders.InvalidError{Fields: wrong}
		}
	}
	if in.Body.URL != nil {
		if err := o.checkURL(*in.Body.URL); err != nil {
			return nil, err
		}
	}
	if in.Body.EventTypes != nil {
		change.EventTypes = new(plain(*in.Body.EventTypes))
	}
	changed, err := o.webhooks.Change(ctx, exchangeOf(ctx).principal.owner(), id, change)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{newWebhook(changed)}, nil
}

func (o webhookOperations) deleteWebhook(ctx context.Context, in *WebhookInput) (*struct{}, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, o.webhooks.Delete(ctx, exchangeOf(ctx).principal.owner(), id)
}

type rotateWebhookInput struct {
	WebhookInput
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes it safe to repeat the request: the key of the last rotation gets its secret again. 1 to 255 visible ASCII characters"`
	Body           *SecretRotation
}

func (o webhookOperations) rotateWebhook(ctx context.Context, in *rotateWebhookInput) (*secretOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	key := ""
	if in.IdempotencyKey != "" {
		if key, err = parseIdempotencyKey(in.IdempotencyKey); err != nil {
			return nil, err
		}
	}
	overlap := defaultOverlap
	if in.Body != nil && in.Body.PreviousValidSeconds != nil {
		overlap = time.Duration(*in.Body.PreviousValidSeconds) * time.Second
	}
	owner := exchangeOf(ctx).principal.owner()
	rotated, err := o.webhooks.Rotate(ctx, owner, id, webhook.NewSecret(), key, overlap)
	if err != nil {
		return nil, err
	}
	return newSecretOutput(rotated), nil
}

func (o webhookOperations) pingWebhook(ctx context.Context, in *WebhookInput) (*deliveryOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	body := webhook.NoticeBody(webhook.Ping, id, "", o.now())
	made, err := o.deliveries.Notify(ctx, exchangeOf(ctx).principal.owner(), id, webhook.Ping, body)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{newDelivery(made)}, nil
}

// plain sorts the types and removes duplicates, so that equal sets are equal lists.
func plain(types []WebhookEventType) []string {
	list := make([]string, len(types))
	for i, t := range types {
		list[i] = string(t)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
