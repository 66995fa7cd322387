package api

import "github.com/danielgtaylor/huma/v2"

// problemCodes are the codes of all problems, for the document. docs/problems.md says what each means; a test holds the
// three against each other.
func problemCodes() []string {
	return []string{
		"bad_request", "body_too_large", "cross_origin", "cursor_expired", "delivery_not_found", "forbidden",
		"idempotency_key_reused", "internal_error", "method_not_allowed", "not_acceptable", "not_found", "not_local",
		"order_changed", "order_not_cancellable", "order_not_found", "order_not_refundable", "order_not_settleable",
		"overloaded", "product_not_found", "rate_limited", "request_timeout", "secret_rotating", "too_many_exports",
		"too_many_in_flight", "too_many_refunds", "too_many_streams", "too_many_tickets", "too_many_tries",
		"too_many_webhooks", "unauthorized", "unavailable", "unsupported_media_type", "validation_failed",
		"version_not_reached", "webhook_disabled", "webhook_not_found",
	}
}

// documentCodes gives the code of a problem its enumeration.
func documentCodes(r huma.Registry, problem *huma.Schema) {
	described := r.SchemaFromRef(problem.Ref)
	described.Properties["code"] = enum(r, "ProblemCode",
		"What went wrong, for programs. What a code means never changes; more may be added, so take one that you do not "+
			"know for its status", problemCodes())
}
