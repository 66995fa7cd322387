-- The latest observations of each queue. Verification uses them to leave out queues that were shut until a moment ago,
-- and queues whose backlog shrinks. Heartbeats write them.

-- +goose Up

CREATE TABLE millrace.queue_attendance (
    queue text NOT NULL,
    paused_at timestamptz, -- when it was last seen paused by an operator
    shut_at timestamptz,   -- when every living process last kept away from it, because a provider's breaker was open
    worked_at timestamptz, -- when a process last worked a job of it

    CONSTRAINT queue_attendance_pkey PRIMARY KEY (queue),
    CONSTRAINT queue_attendance_queue_length CHECK (char_length(queue) BETWEEN 1 AND 200)
) WITH (fillfactor = 50);
