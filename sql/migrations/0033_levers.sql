-- The levers that operators pull by hand: a paused lane, or a stopped intake. Each has a reason and an end, so that a
-- lever that is forgotten ends by itself.

-- +goose Up

-- One row for each lever that was pulled and not let go. A lane is a provider's, and has its queue's name. After
-- ends_at the row counts no more.
CREATE TABLE millrace.levers (
    kind text NOT NULL,
    lane text NOT NULL, -- empty for the intake
    reason text NOT NULL,
    actor text NOT NULL,
    began_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,

    CONSTRAINT levers_pkey PRIMARY KEY (kind, lane),
    CONSTRAINT levers_kind_known CHECK (kind IN ('lane', 'intake')),
    CONSTRAINT levers_lane_of_lane CHECK ((kind = 'lane') = (lane <> '')),
    CONSTRAINT levers_lane_length CHECK (char_length(lane) <= 100),
    CONSTRAINT levers_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200),
    CONSTRAINT levers_actor_length CHECK (char_length(actor) BETWEEN 1 AND 200),
    CONSTRAINT levers_ends_at_range CHECK (ends_at > began_at AND ends_at <= began_at + interval '7 days')
);

-- Programs of the version before need not know of levers.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (33, 30) ON CONFLICT DO NOTHING;
