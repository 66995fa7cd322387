-- River's two GIN indexes serve searches in the arguments and the metadata of jobs. Nothing here searches them, and they
-- are a quarter of what a whole order writes to the log of the database.

-- +goose Up

DROP INDEX IF EXISTS millrace.river_job_args_index;
DROP INDEX IF EXISTS millrace.river_job_metadata_index;
