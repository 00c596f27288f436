//! The table, the function that swaps, and the version of both.

use tokio_postgres::{Client, GenericClient};

use crate::PostgresError;

/// The table's comment. Another one is refused, never guessed at.
pub(crate) const SCHEMA: &str = "vouchsafe cells, schema 1";
/// Serialises nodes that create the table at the same moment: `VSc1`.
const LOCK: i64 = 0x5653_6331;

/// The statements; `@` stands for the schema.
///
/// No index but the key's: `until` changes with nearly every swap, and an index on it would keep
/// updates from being heap-only. A sweep walks the table block by block instead. Values are mostly
/// sealed, so compressing them would only cost.
///
/// The function is in the database so that a lost race costs one round trip: each of its statements
/// sees what was committed before it, which a single statement does not.
const STATEMENTS: &str = r#"CREATE TABLE @.vouchsafe_cells (
    digest uuid NOT NULL,
    version uuid NOT NULL,
    until bigint NOT NULL,
    space smallint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (space, digest)
) WITH (fillfactor = 70);
ALTER TABLE @.vouchsafe_cells ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE FUNCTION @.vouchsafe_swap(
    at_space smallint, at_digest uuid, expected uuid,
    put_version uuid, put_until bigint, put_bytes bytea, room bigint,
    OUT outcome smallint, OUT grown bigint,
    OUT is_version uuid, OUT is_bytes bytea, OUT is_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    fits boolean := true;
BEGIN
    LOOP
        IF room IS NOT NULL THEN
            -- A version is never used twice, so what it was of has this length until the end.
            grown := coalesce(octet_length(put_bytes) + 128, 0) - coalesce((
                SELECT octet_length(c.bytes) + 128 FROM @.vouchsafe_cells c
                WHERE c.space = at_space AND c.digest = at_digest AND c.version = expected), 0);
            fits := grown <= greatest(room, 0);
        END IF;
        IF fits AND (expected IS NOT NULL OR put_version IS NOT NULL) THEN
            IF expected IS NULL THEN
                INSERT INTO @.vouchsafe_cells (space, digest, version, until, bytes)
                VALUES (at_space, at_digest, put_version, put_until, put_bytes)
                ON CONFLICT DO NOTHING;
            ELSIF put_version IS NULL THEN
                DELETE FROM @.vouchsafe_cells c
                WHERE c.space = at_space AND c.digest = at_digest AND c.version = expected;
            ELSE
                UPDATE @.vouchsafe_cells c
                SET version = put_version, until = put_until, bytes = put_bytes
                WHERE c.space = at_space AND c.digest = at_digest AND c.version = expected;
            END IF;
            IF FOUND THEN
                outcome := 0; -- done
                RETURN;
            END IF;
        END IF;
        SELECT c.version, CASE WHEN octet_length(c.bytes) <= 1048576 THEN c.bytes END
        INTO is_version, is_bytes FROM @.vouchsafe_cells c
        WHERE c.space = at_space AND c.digest = at_digest;
        grown := 0;
        IF is_version IS DISTINCT FROM expected THEN
            outcome := 1; -- conflict
            is_at := clock_timestamp();
            RETURN;
        ELSIF NOT fits THEN
            outcome := 2; -- full
            is_bytes := NULL;
            RETURN;
        ELSIF expected IS NULL AND put_version IS NULL THEN
            outcome := 0;
            RETURN;
        END IF;
        -- Somebody's cell was in the way and is gone: once more.
    END LOOP;
END
$$;
"#;

/// The statements that make the table in the schema `name`.
pub(crate) fn statements(name: &str) -> String {
    let create = match name {
        "public" => String::new(),
        name => format!("CREATE SCHEMA IF NOT EXISTS {};\n", quoted(name)),
    };
    let comment = format!("COMMENT ON TABLE @.vouchsafe_cells IS '{SCHEMA}';\n");
    create + &[STATEMENTS, &comment].concat().replace('@', &quoted(name))
}

/// Quoted, as a word may be a keyword.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A name that PostgreSQL takes unquoted, so that nothing in it can mean anything else.
pub(crate) fn validate(name: &str) -> Result<(), PostgresError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let digit_first = name.starts_with(|first: char| first.is_ascii_digit());
    if name.is_empty() || name.len() > 63 || digit_first || !name.bytes().all(plain) {
        let reason = format!("{name:?} is not made of a-z, 0-9 and _, or longer than 63");
        return Err(PostgresError::Option { option: "schema", reason });
    }
    Ok(())
}

/// Makes the table where there is none.
pub(crate) async fn migrate(client: &mut Client, name: &str) -> Result<(), PostgresError> {
    if found(client, name).await?.is_some() {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // Another node may have been first.
    if found(&transaction, name).await?.is_none() {
        transaction.batch_execute(&statements(name)).await?;
    }
    Ok(transaction.commit().await?)
}

/// Refuses a table that is missing or of another version.
pub(crate) async fn check(client: &Client, name: &str) -> Result<(), PostgresError> {
    match found(client, name).await? {
        None => Err(PostgresError::Missing { table: table(name) }),
        Some(found) if found == SCHEMA => Ok(()),
        Some(found) => Err(PostgresError::Schema { table: table(name), found, known: SCHEMA }),
    }
}

/// The table's comment, if there is the table. Asked of the catalog, whose answer holds what was
/// committed when the statement began.
const FOUND: &str = "SELECT coalesce(obj_description(c.oid, 'pg_class'), '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = 'vouchsafe_cells'";

async fn found(client: &impl GenericClient, name: &str) -> Result<Option<String>, PostgresError> {
    let row = client.query_opt(FOUND, &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn table(name: &str) -> String {
    format!("{}.vouchsafe_cells", quoted(name))
}
