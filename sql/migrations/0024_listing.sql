-- The position of the comparison with a provider, within a span of time that is too long for one run.

-- +goose Up

-- span_to is the end of the span under way, span_cursor the provider's cursor for its next page, and span_listed
-- reports that there is no next page. Without span_to no span is under way.
ALTER TABLE millrace.reconciliation_progress
    ADD COLUMN IF NOT EXISTS span_to timestamptz,
    ADD COLUMN IF NOT EXISTS span_cursor text NOT NULL DEFAULT ''
        CONSTRAINT reconciliation_progress_span_cursor_length CHECK (octet_length(span_cursor) <= 4000),
    ADD COLUMN IF NOT EXISTS span_listed boolean NOT NULL DEFAULT false;
