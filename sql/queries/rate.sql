-- name: RateCount :many
-- RateCount adds requests to their segments. It returns all segments of the same subjects since a time, with the added
-- requests. The rows must be sorted, so that two processes lock them in the same order. The second half reads the state
-- from before the statement, so it leaves out the segments that the first half has changed.
WITH counted AS (
    INSERT INTO millrace.rate_counts AS r (subject, segment_at, requests, last_at)
    SELECT unnest(@subjects::text[]), unnest(@segments_at::timestamptz[]), unnest(@requests::bigint[]),
        unnest(@last_at::timestamptz[])
    ON CONFLICT ON CONSTRAINT rate_counts_pkey DO UPDATE SET
        requests = r.requests + excluded.requests, last_at = greatest(r.last_at, excluded.last_at)
    RETURNING r.subject, r.segment_at, r.requests, r.last_at
)
SELECT c.subject::text AS subject, c.segment_at::timestamptz AS segment_at, c.requests::bigint AS requests,
    c.last_at::timestamptz AS last_at
FROM counted c
UNION ALL
SELECT r.subject, r.segment_at, r.requests, r.last_at FROM millrace.rate_counts r
WHERE r.subject = ANY (@subjects::text[]) AND r.segment_at >= @since::timestamptz AND NOT EXISTS (
    SELECT FROM counted c WHERE c.subject = r.subject AND c.segment_at = r.segment_at
);

-- name: RatePrune :exec
-- RatePrune deletes segments that no window reaches any more.
DELETE FROM millrace.rate_counts WHERE segment_at < @before;
