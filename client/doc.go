// Package client talks to Millrace: it places orders, follows them live and lists them.
//
//	c, err := client.New("https://orders.example.com", client.WithToken(token))
//	…
//	order, err := c.Place(ctx, client.NewOrder{
//		CustomerID: "1",
//		Items:      []client.Item{{ProductID: 1, Quantity: 2, Price: client.MustAmount("29.99")}},
//	})
//	…
//	order, err = c.Wait(ctx, order.ID)
//
// A [Client] is made once and shared. Every call takes a context, which limits the call with all its retries.
//
// # Retries
//
// The client repeats temporary failures with growing, random pauses: failed connections, answers that are cut off, 408,
// 429 and 5xx. It honours Retry-After up to a minute. Repeating is safe for orders as well. Every call that changes
// something carries an idempotency key, the same for all its attempts, and the server carries it out once. To be safe
// across restarts of your own program, too, choose the key yourself: [WithIdempotencyKey].
//
// # Following
//
// [Client.Events] is an iterator over an order's events. It yields each event once and in sequence, over as many
// connections as necessary, and ends when the order is finished. To continue later, pass the Version of the last event
// that you have handled.
//
//	for event, err := range c.Events(ctx, order.ID, 0) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Progress, event.Message)
//	}
//
// [Client.Feed] does this for all orders at once. [Client.FeedPage] reads the same events page by page.
//
// # Versions
//
// An order's Version is its ETag. [WithIfNoneMatch] reads an order only if it has changed. [WithMinimumVersion] reads
// an order that is at least as new as a known version. [WithIfMatch] changes an order only if it has not changed.
//
// If the server has read replicas, the client sends what it has seen with each request (Millrace-Position), so lists
// and pages of the feed show its own writes. What a program heard from a stream or a webhook is not part of it: read
// the order itself, or list with a new [Client].
//
// # Undoing
//
// [Client.Cancel] undoes an order that is under way, and [Client.Refund] gives back money of a completed order.
// An operator decides with [Client.Settle] about one that needs attention.
//
// # Webhooks
//
// [Client.CreateWebhook] creates a webhook, to which the server sends events. [VerifyWebhook] checks them where they
// arrive.
//
// # Errors
//
// A refused request returns a [*Problem], with a code for programs:
//
//	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code == client.CodeValidationFailed {
//		for _, field := range problem.Fields {
//			fmt.Println(field.Location, field.Message)
//		}
//	}
//
// The codes are constants, and docs/problems.md explains each; a newer server may have more. [IsNotFound],
// [IsArchived], [IsConflict], [IsStale] and [IsRateLimited] answer the common questions. An id that is not a UUID is an
// [*InvalidIDError], and a missing event is a [*MissingEventError]. Every other error comes from the connection or the
// context.
//
// # Money
//
// Amounts are exact decimals in the currency's units ([Amount]), made from text with [ParseAmount] or [MustAmount].
// They print with the decimals of their currency. The package never converts an amount to a float64, which cannot hold
// 29.99.
//
// # Everything else
//
// [Client.API] is the generated client (package oas). It has every operation of the API, with the same token, keys,
// retries and errors.
package client
