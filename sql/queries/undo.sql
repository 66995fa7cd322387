-- name: UndosRead :many
-- UndosRead reads what was begun about effects of a provider.
SELECT * FROM millrace.reconciliation_undos WHERE provider = @provider AND key = ANY(@keys::text[]);

-- name: UndoInsert :one
-- UndoInsert stores the intent to undo an effect, and reports whether it is new.
WITH added AS (
    INSERT INTO millrace.reconciliation_undos (
        provider, key, order_id, step, undo_key, request, state, reference, detail, began_at, settled_at
    )
    VALUES (
        @provider, @key, @order_id, @step, @undo_key, @request, @state::text, '', '', @at::timestamptz,
        CASE WHEN @state::text = 'pending' THEN NULL ELSE @at::timestamptz END
    )
    ON CONFLICT ON CONSTRAINT reconciliation_undos_pkey DO NOTHING RETURNING 1
)
SELECT EXISTS (SELECT FROM added) AS fresh;

-- name: UndoFinish :execrows
-- UndoFinish stores the outcome of an undo that has none.
UPDATE millrace.reconciliation_undos
SET state = @state, reference = @reference, detail = @detail, settled_at = @at::timestamptz
WHERE provider = @provider AND key = @key AND state = 'pending';

-- name: FindingsOfKeys :many
-- FindingsOfKeys reads the findings of a kind about keys of a provider.
SELECT * FROM millrace.reconciliation_findings
WHERE provider = @provider AND kind = @kind AND key = ANY(@keys::text[]);

-- name: FindingsLock :many
-- FindingsLock reads the findings of a kind about keys of a provider, and keeps other writers from them.
SELECT * FROM millrace.reconciliation_findings
WHERE provider = @provider AND kind = @kind AND key = ANY(@keys::text[])
ORDER BY key FOR UPDATE;
