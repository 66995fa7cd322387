-- A principal may have so many tickets at a time: they are counted when it makes another. There are few rows, those of
-- a minute or two.

-- +goose Up

CREATE INDEX stream_tickets_principal_idx ON millrace.stream_tickets (principal, expires_at);
