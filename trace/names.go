package trace

import (
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/millrace-orders/millrace/orders"
)

// This file has all names of spans and attributes. They follow the semantic conventions for HTTP, databases and
// messaging. The conventions for messaging may still change.

// The attributes that no convention has.
const (
	orderKey   = "order.id"
	requestKey = "request.id"
	stepKey    = "order.step"
	attemptKey = "attempt"
	outcomeKey = "outcome"
)

const deliverSpan = "send webhook"

// SpanOf returns the name of the span of an attempt at a step. Reserving checks the inventory: its span has the name
// that it has in the architecture which Millrace replaces.
func SpanOf(step orders.StepName) string {
	if step == orders.ReserveInventory {
		return "CheckInventory"
	}
	var name strings.Builder
	for word := range strings.SplitSeq(string(step), "_") {
		if word != "" {
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return name.String()
}

func httpMethod(method string) attribute.KeyValue { return semconv.HTTPRequestMethodKey.String(method) }
func httpRoute(route string) attribute.KeyValue   { return semconv.HTTPRoute(route) }
func httpStatus(status int) attribute.KeyValue    { return semconv.HTTPResponseStatusCode(status) }
func errorType(class string) attribute.KeyValue   { return semconv.ErrorTypeKey.String(class) }
func errorStatus(status int) attribute.KeyValue   { return errorType(strconv.Itoa(status)) }

func database(operation string, callers int) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName(operation), semconv.DBOperationBatchSize(callers),
	}
}

func processing(queue string, id orders.ID, request string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String("river"), semconv.MessagingOperationTypeProcess,
		semconv.MessagingOperationName("process"), semconv.MessagingDestinationName(queue),
		attribute.String(orderKey, id.String()), attribute.String(requestKey, request),
	}
}

func sending(message string, number int) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String("webhook"), semconv.MessagingOperationTypeSend,
		semconv.MessagingOperationName("send"), semconv.MessagingMessageID(message), attribute.Int(attemptKey, number),
	}
}

// server has the address of a server. The rest of a webhook's URL may be a secret of its owner, and is left out.
func server(u *url.URL) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.ServerAddress(u.Hostname()), semconv.URLScheme(u.Scheme)}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443, "smtp": 587, "smtps": 465}[u.Scheme]
	}
	return append(attrs, semconv.ServerPort(port))
}
