-- Open findings are looked at again, those first that have waited longest.

-- +goose Up

ALTER TABLE millrace.reconciliation_findings ADD COLUMN rechecked_at timestamptz NOT NULL DEFAULT 'epoch';

CREATE INDEX reconciliation_findings_open_idx ON millrace.reconciliation_findings (rechecked_at, provider, kind, key)
    WHERE state = 'open';

-- Providers are asked again about what they gave no answer to, in the orders that need attention, the newest order first.
-- The last that was asked about; zero: the next one is the newest.
ALTER TABLE millrace.reconciliation_progress ADD COLUMN asked_before uuid NOT NULL
    DEFAULT '00000000-0000-0000-0000-000000000000';
