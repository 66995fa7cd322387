-- name: LeversHeld :many
-- LeversHeld reads the levers that hold now, by the database's clock.
SELECT * FROM millrace.levers WHERE ends_at > now() ORDER BY kind, lane;

-- name: LeverPull :exec
-- LeverPull holds a lever, or gives one that holds another reason and another end.
INSERT INTO millrace.levers (kind, lane, reason, actor, began_at, ends_at)
VALUES (@kind, @lane, @reason, @actor, @began_at, @ends_at)
ON CONFLICT ON CONSTRAINT levers_pkey DO UPDATE SET
    reason = EXCLUDED.reason, actor = EXCLUDED.actor, began_at = EXCLUDED.began_at, ends_at = EXCLUDED.ends_at;

-- name: LeverRelease :exec
DELETE FROM millrace.levers WHERE kind = @kind AND lane = @lane;
