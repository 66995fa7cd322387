-- The answer to a command is kept with its idempotency key: the log that it would be folded from is pruned, and may be long.
-- It is what changes of the order, as JSON. Keys that are older than this have none; they are forgotten in a week.

-- +goose Up

ALTER TABLE millrace.order_commands ADD COLUMN IF NOT EXISTS answer bytea
    CONSTRAINT order_commands_answer_length CHECK (octet_length(answer) <= 2097152);
