-- Which migrations were applied, as goose keeps it. Not under goose's usual name, which may be an application's.
CREATE TABLE millrace.schema_version (
    id integer NOT NULL GENERATED ALWAYS AS IDENTITY,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp timestamp NOT NULL DEFAULT now(),

    CONSTRAINT schema_version_pkey PRIMARY KEY (id)
);

INSERT INTO millrace.schema_version (version_id, is_applied) VALUES (0, true);
