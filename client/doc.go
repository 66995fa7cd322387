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
// A [Client] is made once and shared. Every call takes a context, which bounds it with all its retries.
//
// # What is repeated
//
// Failures that may pass are repeated with growing, random pauses: connections that fail or break off in the middle of
// an answer, 408, 429 and 5xx. Retry-After is honoured up to a minute. That is safe for orders as well: every call that
// changes something carries an idempotency key, the same for all its attempts, and the server does it once. To be safe
// across restarts of your own program, too, choose the key yourself: [WithIdempotencyKey].
//
// # Following
//
// [Client.Events] is an iterator over what happens to an order, each event once and in order, over as many connections
// as it takes. It ends when the order is finished. To go on later, pass the Version of the last event that you have
// dealt with.
//
//	for event, err := range c.Events(ctx, order.ID, 0) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Progress, event.Message)
//	}
//
// [Client.Feed] does the same for all orders at once, and [Client.FeedPage] page by page.
//
// # Versions
//
// An order's Version is its ETag. [WithIfNoneMatch] reads an order only if it has changed, [WithMinimumVersion] reads
// it at least as new as a version that is known, and [WithIfMatch] changes it only if it has not changed.
//
// # Undoing
//
// [Client.Cancel] undoes an order that is under way, and [Client.Refund] gives back money of one that is completed.
// An operator decides with [Client.Settle] about one that needs attention.
//
// # Webhooks
//
// [Client.CreateWebhook] has what happens to orders sent to you, and [VerifyWebhook] is for where it arrives.
//
// # Errors
//
// What the server refuses is a [*Problem], with a code for programs:
//
//	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code == client.CodeValidationFailed {
//		for _, field := range problem.Fields {
//			fmt.Println(field.Location, field.Message)
//		}
//	}
//
// The codes are constants, and docs/problems.md says what each means; a newer server may have more. [IsNotFound],
// [IsConflict], [IsStale] and [IsRateLimited] answer the common questions. An id that is no UUID is an
// [*InvalidIDError], an event that does not come a [*MissingEventError]. Every other error is one of the connection or
// of the context.
//
// # Money
//
// Amounts are exact decimals in the currency's units ([Amount]), made from text with [ParseAmount] or [MustAmount].
// They print with the decimals of their currency. There is no way through a float64, which cannot hold 29.99, unless
// you take it yourself.
//
// # Everything else
//
// [Client.API] is the generated client (package oas), which has every operation of the API, with the same token, keys,
// retries and errors.
package client
