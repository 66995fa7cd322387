-- The answer to a command is stored with its idempotency key. Folding it from the log again is not an option: the log
-- is pruned, and may be long. The answer is the change of the order, as JSON. Older keys have no answer; they are
-- deleted after a week.

-- +goose Up

ALTER TABLE millrace.order_commands ADD COLUMN IF NOT EXISTS answer bytea
    CONSTRAINT order_commands_answer_length CHECK (octet_length(answer) <= 2097152);
