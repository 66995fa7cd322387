-- The message about a webhook that Millrace disabled is WebhookDisabled: "endpoint" was a second word for a webhook.

-- +goose Up

-- allow update: an owner has at most 20 webhooks, and few ask for this type by its name
UPDATE millrace.webhook_endpoints SET event_types = array_replace(event_types, 'EndpointDisabled', 'WebhookDisabled')
WHERE 'EndpointDisabled' = ANY(event_types);

-- There is one such message for each webhook that was disabled. A message that was sent keeps its body: all its attempts
-- carry the same bytes.
UPDATE millrace.webhook_deliveries SET
    event_type = 'WebhookDisabled',
    body = CASE WHEN attempts = 0 THEN replace(body, '"type":"EndpointDisabled"', '"type":"WebhookDisabled"') ELSE body END
WHERE endpoint_id IN (SELECT id FROM millrace.webhook_endpoints) AND order_id IS NULL AND event_type = 'EndpointDisabled';

-- A program of the version before still writes the old type. Until it ends, a webhook that asks for the new one by its
-- name misses that program's messages of the type.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (45, 30) ON CONFLICT DO NOTHING;
