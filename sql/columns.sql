-- Columns that migrations 31 and 37 add within blocks, which sqlc does not read. Only sqlc reads this file: without it, the
-- queries that read these columns cannot be generated.
ALTER TABLE millrace.orders ADD COLUMN standing text;
ALTER TABLE millrace.orders ADD COLUMN request_id text;
ALTER TABLE millrace.orders ADD COLUMN traceparent text;
