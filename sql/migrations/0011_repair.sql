-- When open findings were last checked again. The finding that has waited longest comes first.

-- +goose Up

ALTER TABLE millrace.reconciliation_findings ADD COLUMN rechecked_at timestamptz NOT NULL DEFAULT 'epoch';

CREATE INDEX reconciliation_findings_open_idx ON millrace.reconciliation_findings (rechecked_at, provider, kind, key)
    WHERE state = 'open';

-- Providers are asked again about unanswered steps of orders that need attention, newest order first. asked_before is
-- the last order that was asked about; zero means that the next one is the newest.
ALTER TABLE millrace.reconciliation_progress ADD COLUMN asked_before uuid NOT NULL
    DEFAULT '00000000-0000-0000-0000-000000000000';
