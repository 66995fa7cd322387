-- name: ReconcileProgress :many
SELECT
    provider, state, reconciled_to, log_cursor, ran_at, asked_before,
    coalesce(span_to, '0001-01-01 00:00:00Z')::timestamptz AS span_to, span_cursor, span_listed
FROM millrace.reconciliation_progress ORDER BY provider;

-- name: ReconcileProgressWrite :exec
INSERT INTO millrace.reconciliation_progress (
    provider, state, reconciled_to, log_cursor, ran_at, span_to, span_cursor, span_listed
)
VALUES (
    @provider, @state, @reconciled_to, @log_cursor, @ran_at,
    nullif(@span_to::timestamptz, '0001-01-01 00:00:00Z'), @span_cursor, @span_listed
)
ON CONFLICT (provider) DO UPDATE
SET state = EXCLUDED.state, reconciled_to = EXCLUDED.reconciled_to, log_cursor = EXCLUDED.log_cursor,
    ran_at = EXCLUDED.ran_at, span_to = EXCLUDED.span_to, span_cursor = EXCLUDED.span_cursor,
    span_listed = EXCLUDED.span_listed;

-- name: ReconcileAsked :exec
-- ReconcileAsked stores the order down to which a provider was asked again.
UPDATE millrace.reconciliation_progress SET asked_before = @asked_before WHERE provider = @provider;

-- name: FindingsWrite :many
-- FindingsWrite adds findings or updates existing ones, and reports which are new. A resolved finding that is seen
-- again is open again. An accepted finding stays accepted.
INSERT INTO millrace.reconciliation_findings (
    provider, kind, key, order_id, detail, state, first_seen_at, last_seen_at, rechecked_at
)
SELECT
    unnest(@providers::text[]), unnest(@kinds::text[]), unnest(@keys::text[]),
    unnest(@order_ids::text[]), unnest(@details::text[]), 'open',
    @at, @at, @at
ON CONFLICT (provider, kind, key) DO UPDATE
SET detail = EXCLUDED.detail, last_seen_at = EXCLUDED.last_seen_at,
    state = CASE reconciliation_findings.state WHEN 'accepted' THEN 'accepted' ELSE 'open' END
RETURNING (first_seen_at = last_seen_at)::boolean AS fresh;

-- name: FindingsClose :many
-- FindingsClose closes open findings about keys.
UPDATE millrace.reconciliation_findings f SET state = @state
FROM (SELECT unnest(@providers::text[]) AS provider, unnest(@kinds::text[]) AS kind, unnest(@keys::text[]) AS key) s
WHERE f.provider = s.provider AND f.kind = s.kind AND f.key = s.key AND f.state = 'open'
RETURNING f.*;

-- name: FindingsRecheck :many
-- FindingsRecheck reads a page of the open findings that have not been checked again since a moment, after a given
-- finding. The findings that have waited longest come first.
SELECT * FROM millrace.reconciliation_findings
WHERE state = 'open' AND rechecked_at < @before
    AND (rechecked_at, provider, kind, key)
        > (@after_rechecked_at::timestamptz, @after_provider::text, @after_kind::text, @after_key::text)
ORDER BY rechecked_at, provider, kind, key LIMIT @page_size;

-- name: FindingsRechecked :exec
-- FindingsRechecked records when findings were checked again, and when they were last confirmed.
UPDATE millrace.reconciliation_findings f SET rechecked_at = s.rechecked_at, last_seen_at = s.last_seen_at
FROM (
    SELECT unnest(@providers::text[]) AS provider, unnest(@kinds::text[]) AS kind, unnest(@keys::text[]) AS key,
        unnest(@rechecked_at::timestamptz[]) AS rechecked_at, unnest(@last_seen_at::timestamptz[]) AS last_seen_at
) s
WHERE f.provider = s.provider AND f.kind = s.kind AND f.key = s.key;

-- name: FindingsKnown :one
-- FindingsKnown reports whether a kind of finding about a key was ever made and did not resolve itself.
SELECT EXISTS (
    SELECT FROM millrace.reconciliation_findings WHERE provider = @provider AND kind = @kind AND key = @key AND state <> 'resolved'
);

-- name: FindingsList :many
SELECT * FROM millrace.reconciliation_findings WHERE state = @state ORDER BY first_seen_at DESC, key LIMIT @page_size;

-- name: FindingsOpen :many
-- FindingsOpen counts the latest open findings. BETWEEN and the first column of ORDER BY keep the planner to the index.
SELECT o.provider, o.kind, count(*) AS findings FROM (
    SELECT f.provider, f.kind FROM millrace.reconciliation_findings f WHERE f.state BETWEEN 'open' AND 'open'
    ORDER BY f.state, f.first_seen_at DESC LIMIT @most
) o
GROUP BY o.provider, o.kind;

-- name: UnsettledWrite :exec
-- UnsettledWrite stores effects that could not be compared yet. An effect that is stored already keeps its due time.
INSERT INTO millrace.reconciliation_unsettled (provider, key, order_id, took_effect_at, due_at)
SELECT
    @provider, unnest(@keys::text[]), unnest(@order_ids::text[]), unnest(@took_effect_at::timestamptz[]), @due_at
ON CONFLICT (provider, key) DO UPDATE SET took_effect_at = EXCLUDED.took_effect_at
WHERE reconciliation_unsettled.took_effect_at < EXCLUDED.took_effect_at;

-- name: UnsettledDue :many
-- UnsettledDue reads a page of a provider's effects to compare again. The effects that have waited longest come first.
SELECT key, order_id, took_effect_at FROM millrace.reconciliation_unsettled
WHERE provider = @provider AND due_at < @before
ORDER BY due_at, key LIMIT @page_size;

-- name: UnsettledDelete :exec
DELETE FROM millrace.reconciliation_unsettled WHERE provider = @provider AND key = ANY (@keys::text[]);

-- name: UnsettledPostpone :exec
UPDATE millrace.reconciliation_unsettled SET due_at = @due_at WHERE provider = @provider AND key = ANY (@keys::text[]);
