-- River's two GIN indexes serve searches in the arguments and the metadata of jobs. Millrace does not search them, and
-- they are a quarter of the WAL that a whole order writes.

-- +goose Up

DROP INDEX IF EXISTS millrace.river_job_args_index;
DROP INDEX IF EXISTS millrace.river_job_metadata_index;
