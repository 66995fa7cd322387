-- name: ReconcileProgress :many
SELECT * FROM reconciliation_progress ORDER BY provider;

-- name: ReconcileProgressWrite :exec
INSERT INTO reconciliation_progress (provider, state, reconciled_to, log_cursor, ran_at)
VALUES (@provider, @state, @reconciled_to, @log_cursor, @ran_at)
ON CONFLICT (provider) DO UPDATE
SET state = EXCLUDED.state, reconciled_to = EXCLUDED.reconciled_to, log_cursor = EXCLUDED.log_cursor,
    ran_at = EXCLUDED.ran_at;

-- name: FindingsWrite :many
-- FindingsWrite adds findings, or sees them again. One that was resolved and is seen again is open again; what somebody
-- has accepted stays so. It says which are new.
INSERT INTO reconciliation_findings (provider, kind, key, order_id, detail, state, first_seen_at, last_seen_at)
SELECT
    unnest(@providers::text[]), unnest(@kinds::text[]), unnest(@keys::text[]),
    unnest(@order_ids::text[]), unnest(@details::text[]), 'open',
    @at, @at
ON CONFLICT (provider, kind, key) DO UPDATE
SET detail = EXCLUDED.detail, last_seen_at = EXCLUDED.last_seen_at,
    state = CASE reconciliation_findings.state WHEN 'accepted' THEN 'accepted' ELSE 'open' END
RETURNING (first_seen_at = last_seen_at)::boolean AS fresh;

-- name: FindingsSettle :many
-- FindingsSettle moves findings of keys out of the open ones.
UPDATE reconciliation_findings f SET state = @state
FROM (SELECT unnest(@providers::text[]) AS provider, unnest(@kinds::text[]) AS kind, unnest(@keys::text[]) AS key) s
WHERE f.provider = s.provider AND f.kind = s.kind AND f.key = s.key AND f.state = 'open'
RETURNING f.*;

-- name: FindingsList :many
SELECT * FROM reconciliation_findings WHERE state = @state ORDER BY first_seen_at DESC, key LIMIT @page_size;

-- name: FindingsOpen :many
-- FindingsOpen counts the open findings.
SELECT provider, kind, count(*) AS findings FROM reconciliation_findings WHERE state = 'open' GROUP BY provider, kind;
