-- The keys of callers, and what operators did. Only the hash of a key's secret is stored: a dump of this table opens
-- nothing.

-- +goose Up

CREATE TABLE millrace.api_keys (
    id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    last_four text NOT NULL,
    role text NOT NULL,
    customer_id text NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,

    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_id_length CHECK (char_length(id) = 12),
    CONSTRAINT api_keys_secret_sha256_length CHECK (octet_length(secret_sha256) = 32),
    CONSTRAINT api_keys_last_four_length CHECK (char_length(last_four) = 4),
    CONSTRAINT api_keys_role_known CHECK (role IN ('admin', 'operator', 'viewer', 'service', 'customer')),
    CONSTRAINT api_keys_customer_id_length CHECK (char_length(customer_id) <= 200),
    CONSTRAINT api_keys_customer_id_of_customer CHECK ((role = 'customer') = (customer_id <> '')),
    CONSTRAINT api_keys_name_length CHECK (char_length(name) <= 200)
);

-- Keys are listed newest first.
CREATE INDEX api_keys_created_at_idx ON millrace.api_keys (created_at DESC, id);

CREATE TABLE millrace.audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    request_id text NOT NULL,
    remote_address text NOT NULL,
    detail jsonb NOT NULL,

    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT audit_log_actor_length CHECK (char_length(actor) BETWEEN 1 AND 200),
    CONSTRAINT audit_log_role_length CHECK (char_length(role) <= 20),
    CONSTRAINT audit_log_action_length CHECK (char_length(action) BETWEEN 1 AND 100),
    CONSTRAINT audit_log_target_length CHECK (char_length(target) <= 200),
    CONSTRAINT audit_log_request_id_length CHECK (char_length(request_id) <= 64),
    CONSTRAINT audit_log_remote_address_length CHECK (char_length(remote_address) <= 100),
    CONSTRAINT audit_log_detail_size CHECK (octet_length(detail::text) <= 65536)
);

-- The audit log only grows. The owner of the table can still drop the trigger, so serve can have a role that does not
-- own it: millrace migrate --grant.
-- +goose StatementBegin
CREATE FUNCTION millrace.audit_log_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation', CONSTRAINT = 'audit_log_append_only';
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON millrace.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION millrace.audit_log_refuse_change();
