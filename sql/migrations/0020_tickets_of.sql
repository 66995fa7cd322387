-- A principal may have a limited number of tickets at a time. They are counted when the principal makes another ticket.
-- There are few rows: those of a minute or two.

-- +goose Up

CREATE INDEX stream_tickets_principal_idx ON millrace.stream_tickets (principal, expires_at);
