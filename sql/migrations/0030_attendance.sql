-- What each queue's processes were seen doing, so that verification takes no queue for neglected that was shut until a
-- moment ago, or that is being worked off. Heartbeats write it.

-- +goose Up

CREATE TABLE millrace.queue_attendance (
    queue text NOT NULL,
    paused_at timestamptz, -- when it was last seen paused by an operator
    shut_at timestamptz,   -- when every living process last kept away from it, because a provider's breaker was open
    worked_at timestamptz, -- when a process last worked a job of it

    CONSTRAINT queue_attendance_pkey PRIMARY KEY (queue),
    CONSTRAINT queue_attendance_queue_length CHECK (char_length(queue) BETWEEN 1 AND 200)
) WITH (fillfactor = 50);
