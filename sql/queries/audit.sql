-- name: AuditInsert :exec
INSERT INTO millrace.audit_log (at, actor, role, action, target, request_id, remote_address, detail)
SELECT
    unnest(@at::timestamptz[]), unnest(@actors::text[]), unnest(@roles::text[]), unnest(@actions::text[]),
    unnest(@targets::text[]), unnest(@request_ids::text[]), unnest(@remote_addresses::text[]),
    unnest(@details::text[])::jsonb;

-- name: AuditList :many
-- AuditList reads the latest entries, newest first.
SELECT * FROM millrace.audit_log ORDER BY id DESC LIMIT @page_size;
