//! The table and its statements: who may use it, what the store refuses, and how it is written.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{fresh, is_unavailable, key, put, save, shared, value};
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_crypto::RootKey;
use vouchsafe_store::{Cells, Encrypted, MAX_CELL, Put, StoreError, Swap};
use vouchsafe_store_postgres::{PostgresBuilder, PostgresError, PostgresStore};
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{PostgresServer, SeededEntropy, block_on};

fn builder(schema: &str) -> PostgresBuilder {
    common::builder(&shared().url(), schema).danger_accept_unsynced()
}

fn refused(builder: PostgresBuilder) -> PostgresError {
    block_on(builder.open()).unwrap_err()
}

#[test]
fn updates_are_heap_only() {
    // Of its own: a transaction of others keeps the rows that it may still see.
    let server = PostgresServer::start();
    let schema = server.fresh_schema();
    let store = common::open(common::builder(&server.url(), &schema).danger_accept_unsynced());
    let random = SeededEntropy::new(1);
    for number in 0..1_000 {
        // As charges do: longer and shorter, and each time with another end.
        let bytes = vec![7; usize::try_from(100 + random.below(60)).unwrap()];
        let until = Timestamp::from_micros(i64::try_from(number * 1_000_003).unwrap());
        let key = key(number % 50);
        let was = block_on(store.load(key)).unwrap().version();
        let put = Put::save(bytes, until, fresh());
        assert_eq!(block_on(store.swap(key, was, put)).unwrap(), Swap::Done);
    }
    // Its connections tell their counts when they end.
    drop(store);
    let counts = || {
        let query = format!(
            "SELECT n_tup_ins, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
             WHERE schemaname = '{schema}'"
        );
        let row = server.psql(&query);
        let counts: Vec<u64> = row.split('|').map(|count| count.parse().unwrap()).collect();
        counts
    };
    assert!(eventually(|| counts()[..2] == [50, 950]), "{:?}", counts());
    let hot = counts()[2];
    assert!(hot >= 900, "{hot} of 950 updates were heap-only");
}

#[test]
fn there_is_one_table_with_the_keys_index() {
    let schema = shared().fresh_schema();
    drop(common::open(builder(&schema)));
    let query = format!(
        "SELECT relkind, relname FROM pg_class
         WHERE relnamespace = '{schema}'::regnamespace ORDER BY relname"
    );
    assert_eq!(shared().psql(&query), "r|vouchsafe_cells\ni|vouchsafe_cells_pkey");
    // With room for updates in each block, and values as they are.
    let table = format!("'{schema}.vouchsafe_cells'::regclass");
    let options = shared().psql(&format!("SELECT reloptions FROM pg_class WHERE oid = {table}"));
    let storage = shared().psql(&format!(
        "SELECT attstorage FROM pg_attribute WHERE attrelid = {table} AND attname = 'bytes'"
    ));
    assert_eq!((options.as_str(), storage.as_str()), ("{fillfactor=70}", "e"));
}

#[test]
fn the_printed_statements_make_what_opening_makes() {
    let (printed, made) = (shared().fresh_schema(), shared().fresh_schema());
    let none = refused(builder(&printed).no_migration());
    assert!(
        none.to_string().contains(&format!("no table \"{printed}\".vouchsafe_cells")),
        "{none}"
    );
    shared().psql(&PostgresStore::schema(&printed).unwrap());
    let store = common::open(builder(&printed).no_migration());
    save(&store, key(1), b"x");
    drop(common::open(builder(&made)));
    let definition = |schema: &str| {
        let columns = shared().psql(&format!(
            "SELECT attname, atttypid::regtype, attnotnull, attstorage FROM pg_attribute
             WHERE attrelid = '{schema}.vouchsafe_cells'::regclass AND attnum > 0 ORDER BY attnum"
        ));
        let function = shared()
            .psql(&format!("SELECT pg_get_functiondef('{schema}.vouchsafe_swap'::regproc)"))
            .replace(schema, "S");
        (columns, function)
    };
    assert_eq!(definition(&printed), definition(&made));
    // A word of SQL is a name like any other.
    assert!(PostgresStore::schema("select").unwrap().contains("\"select\".vouchsafe_cells"));
    assert!(!PostgresStore::schema("public").unwrap().contains("CREATE SCHEMA"));
}

#[test]
fn eight_that_open_at_once_make_one_table() {
    let schema = shared().fresh_schema();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let schema = &schema;
            scope.spawn(move || {
                let store = common::open(builder(schema).connections(1));
                save(&store, key(number), b"x");
            });
        }
    });
    let store = common::open(builder(&schema));
    assert_eq!(block_on(store.scan(Space::Account, None, 100)).unwrap().len(), 8);
}

#[test]
fn another_schema_is_refused() {
    let schema = shared().fresh_schema();
    drop(common::open(builder(&schema)));
    for (comment, expected) in [("'vouchsafe cells, schema 2'", "schema 2"), ("NULL", "")] {
        shared().psql(&format!("COMMENT ON TABLE {schema}.vouchsafe_cells IS {comment}"));
        match refused(builder(&schema)) {
            PostgresError::Schema { found, .. } => assert!(found.ends_with(expected), "{found}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let names = ["", "Upper", "a-b", "a\"b", "1a", "a b", "é", &"a".repeat(64)];
    for name in names {
        let refused = refused(builder(name));
        assert!(matches!(refused, PostgresError::Option { option: "schema", .. }), "{refused}");
        assert!(PostgresStore::schema(name).is_err());
    }
    for name in ["a", "_", "a1", &"a".repeat(63)] {
        assert!(PostgresStore::schema(name).is_ok(), "{name}");
    }
    for connections in [0, 65] {
        let refused = refused(builder("a").connections(connections));
        assert!(matches!(refused, PostgresError::Option { option: "connections", .. }));
    }
    for time in [Duration::ZERO, Duration::from_secs(3601)] {
        let deadline = refused(builder("a").deadline(time));
        assert!(matches!(deadline, PostgresError::Option { option: "deadline", .. }));
        let connecting = refused(builder("a").connect_timeout(time));
        assert!(matches!(connecting, PostgresError::Option { option: "connect_timeout", .. }));
    }
}

#[test]
fn a_password_is_not_shown() {
    let url = format!("postgres://vouchsafe:hunter2@127.0.0.1:{}/vouchsafe", shared().port());
    let builder = common::builder(&url, &shared().fresh_schema()).danger_accept_unsynced();
    let shown = format!("{builder:?}");
    let store = common::open(builder);
    assert!(shown.starts_with("PostgresBuilder { schema: \"test_"), "{shown}");
    assert!(shown.ends_with("connections: 4, deadline: 60s, max_bytes: None, .. }"), "{shown}");
    assert_eq!(format!("{store:?}"), "PostgresStore { room: None, .. }");
}

#[test]
fn a_server_that_is_not_there_or_does_not_sync_is_refused() {
    let refused_ = refused(common::builder(&shared().url(), "a"));
    assert!(matches!(refused_, PostgresError::Unsafe { setting: "fsync" }), "{refused_}");
    // Nobody listens on the port 1; and nobody here is called so.
    let nobody = common::builder("postgres://vouchsafe@127.0.0.1:1/vouchsafe", "a");
    assert!(matches!(refused(nobody), PostgresError::Refused { .. }));
    let stranger = format!("postgres://stranger@127.0.0.1:{}/vouchsafe", shared().port());
    let refused_ = refused(common::builder(&stranger, "a"));
    assert!(refused_.to_string().contains("stranger"), "{refused_}");
    // One that takes the connection and says nothing.
    let server = PostgresServer::start();
    server.pause();
    let paused = common::builder(&server.url(), "public");
    let refused_ = refused(paused.connect_timeout(Duration::from_millis(100)));
    assert!(matches!(refused_, PostgresError::Silent(_)), "{refused_}");
    server.resume();
}

#[test]
fn a_table_without_its_function_is_refused_with_what_the_server_says() {
    let schema = shared().fresh_schema();
    drop(common::open(builder(&schema)));
    shared().psql(&format!("DROP FUNCTION {schema}.vouchsafe_swap"));
    // However long it takes to come so far.
    let says = |seconds: u32| {
        let patience = Duration::from_secs(seconds.into());
        match refused(builder(&schema).connect_timeout(patience)) {
            PostgresError::Refused { reason } => {
                assert!(reason.contains("vouchsafe_swap"), "{reason}");
                true
            }
            PostgresError::Silent(_) => false,
            other => panic!("{other}"),
        }
    };
    assert!([1, 10, 60].into_iter().any(says));
}

/// What a database may say of its sessions, and what holds in the store's.
const SETTINGS: [(&str, &str, &str); 9] = [
    ("search_path", "nowhere", "pg_catalog"),
    // Four fifths of the deadline.
    ("statement_timeout", "1h", "48s"),
    ("lock_timeout", "1h", "48s"),
    ("idle_session_timeout", "1h", "0"),
    ("default_transaction_isolation", "serializable", "read committed"),
    ("default_transaction_read_only", "on", "off"),
    ("plan_cache_mode", "force_custom_plan", "force_generic_plan"),
    ("jit", "on", "off"),
    ("synchronous_commit", "off", "on"),
];

#[test]
fn commits_wait_for_the_disk_whatever_the_database_says() {
    let schema = shared().fresh_schema();
    // A database of its own, as the settings are the database's.
    shared().psql(&format!("CREATE DATABASE {schema}"));
    let say = |name: &str, value: &str| {
        shared().psql(&format!("ALTER DATABASE {schema} SET {name} = '{value}'"));
    };
    SETTINGS.into_iter().for_each(|(name, value, _)| say(name, value));
    let psql = |statements: &str| {
        let mut psql = shared().psql_command(&schema);
        psql.env("PGOPTIONS", "-c default_transaction_read_only=off").args(["-c", statements]);
        let output = psql.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(psql("SHOW synchronous_commit"), "off");
    let url = format!("postgres://vouchsafe@127.0.0.1:{}/{schema}", shared().port());
    let open = || common::open(common::builder(&url, "public").danger_accept_unsynced());
    let store = open();
    let names = SETTINGS.map(|(name, ..)| name).join("', '");
    psql(&format!(
        "CREATE TABLE public.seen (name text, value text);
         CREATE FUNCTION public.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.seen SELECT name, current_setting(name)
             FROM unnest(ARRAY['{names}', 'transaction_isolation']) AS name;
             RETURN NEW;
         END $$;
         CREATE TRIGGER look BEFORE INSERT ON public.vouchsafe_cells
             FOR EACH ROW EXECUTE FUNCTION public.look()"
    ));
    save(&store, key(1), b"x");
    let seen = psql("SELECT name, value FROM public.seen");
    let mut expected = SETTINGS.map(|(name, _, value)| format!("{name}|{value}")).to_vec();
    expected.push("transaction_isolation|read committed".to_owned());
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    // One that waits for the standbys, too, is let wait.
    say("synchronous_commit", "remote_apply");
    save(&open(), key(2), b"x");
    let commits = "SELECT value FROM public.seen WHERE name = 'synchronous_commit'";
    assert_eq!(psql(commits), "on\nremote_apply");
}

/// Makes the next updates of the store's table in `schema` fail so often, with this SQLSTATE.
fn fail(schema: &str, state: &str, times: u32) {
    shared().psql(&format!(
        "CREATE SEQUENCE {schema}.tries;
         CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('{schema}.tries') <= {times} THEN
                 RAISE EXCEPTION 'no' USING ERRCODE = '{state}', DETAIL = 'with a value';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER fail BEFORE UPDATE ON {schema}.vouchsafe_cells
             FOR EACH ROW EXECUTE FUNCTION {schema}.fail()"
    ));
}

fn tries(schema: &str) -> String {
    shared().psql(&format!("SELECT last_value FROM {schema}.tries"))
}

#[test]
fn what_the_server_undid_is_tried_again_and_not_for_ever() {
    for state in ["40001", "40P01"] {
        for (times, done, tried) in [(3, true, "4"), (100, false, "4")] {
            let schema = shared().fresh_schema();
            let store = common::open(builder(&schema));
            let was = save(&store, key(1), b"first");
            fail(&schema, state, times);
            let answer = block_on(store.swap(key(1), Some(was), put(b"second")));
            assert_eq!(matches!(answer, Ok(Swap::Done)), done, "{answer:?}");
            assert_eq!(is_unavailable(&answer), !done);
            assert_eq!(tries(&schema), tried);
            let expected: &[u8] = if done { b"second" } else { b"first" };
            assert_eq!(value(&store, key(1)).unwrap(), expected);
        }
    }
}

#[test]
fn a_full_disk_is_an_answer_and_other_refusals_are_not_repeated() {
    for state in ["53100", "42501"] {
        let schema = shared().fresh_schema();
        let store = common::open(builder(&schema));
        let was = save(&store, key(1), b"first");
        fail(&schema, state, 100);
        let answer = block_on(store.swap(key(1), Some(was), put(b"second")));
        if state == "53100" {
            assert!(matches!(answer, Ok(Swap::Full)), "{answer:?}");
        } else {
            let said = answer.unwrap_err().to_string();
            assert!(said.contains("no (SQLSTATE 42501)") && !said.contains("value"), "{said}");
        }
        assert_eq!(tries(&schema), "1");
        assert_eq!(value(&store, key(1)).unwrap(), b"first");
    }
}

#[test]
fn a_value_that_no_writer_wrote_is_an_error_and_no_fresh_start() {
    let schema = shared().fresh_schema();
    let store = common::open(builder(&schema));
    save(&store, key(1), b"x");
    shared().psql(&format!(
        "UPDATE {schema}.vouchsafe_cells SET bytes = convert_to(repeat('x', {}), 'UTF8')",
        MAX_CELL + 1
    ));
    let is_corrupt = |error: StoreError| matches!(error, StoreError::Corrupt(at) if at == key(1));
    assert!(is_corrupt(block_on(store.load(key(1))).unwrap_err()));
    assert!(is_corrupt(block_on(store.swap(key(1), None, put(b"y"))).unwrap_err()));
}

#[test]
fn the_servers_time_comes_with_every_cell() {
    let schema = shared().fresh_schema();
    let store = common::open(builder(&schema));
    let now = || {
        let micros = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        Timestamp::from_micros(shared().psql(micros).parse().unwrap())
    };
    save(&store, key(1), b"x");
    for asked in [key(1), key(2)] {
        let before = now();
        let loaded = block_on(store.load(asked)).unwrap().time.unwrap();
        let between = now();
        let Swap::Conflict(shown) = block_on(store.swap(asked, Some(fresh()), put(b"y"))).unwrap()
        else {
            panic!("no conflict")
        };
        let shown = shown.time.unwrap();
        assert!(before <= loaded && loaded <= between && between <= shown && shown <= now());
    }
}

/// Not of the moment at which the call began to wait.
#[test]
fn the_time_of_a_conflict_is_that_of_its_answer() {
    let schema = shared().fresh_schema();
    let store = common::open(builder(&schema));
    let was = save(&store, key(1), b"x");
    let table = format!("{schema}.vouchsafe_cells");
    let mut host =
        Host::begin(&format!("UPDATE {table} SET version = gen_random_uuid() RETURNING 1"));
    std::thread::scope(|scope| {
        let swap = scope.spawn(|| block_on(store.swap(key(1), Some(was), put(b"y"))).unwrap());
        let waits = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE NOT granted AND query LIKE '%{schema}%vouchsafe_swap%'"
        );
        assert!(eventually(|| shared().psql(&waits) == "1"));
        let micros = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let before: i64 = shared().psql(micros).parse().unwrap();
        host.end("COMMIT");
        let Swap::Conflict(shown) = swap.join().unwrap() else { panic!("no conflict") };
        assert!(shown.time.unwrap().micros() >= before);
    });
}

#[test]
fn a_sweep_leaves_what_somebody_is_changing() {
    let schema = shared().fresh_schema();
    let store = common::open(builder(&schema));
    let expired = |number| {
        let put = Put::save(vec![1; 3000], Timestamp::EPOCH, fresh());
        assert_eq!(block_on(store.swap(key(number), None, put)).unwrap(), Swap::Done);
    };
    (0..20).for_each(expired);
    let mut host = Host::begin(&format!(
        "SELECT 1 FROM {schema}.vouchsafe_cells WHERE digest = '00000000-0000-0000-0000-000000000007'
         FOR UPDATE"
    ));
    let later = Timestamp::EPOCH.after(Duration::from_secs(1));
    assert_eq!(block_on(store.sweep(later, 100)).unwrap(), 19);
    host.end("ROLLBACK");
    assert_eq!(block_on(store.sweep(later, 100)).unwrap(), 1);
    assert_eq!(block_on(store.sweep(later, 100)).unwrap(), 0);
}

#[test]
fn a_hosts_rollback_undoes_nothing_of_ours() {
    let schema = shared().fresh_schema();
    let store = common::open(builder(&schema));
    shared().psql(&format!("CREATE TABLE {schema}.host (name text)"));
    let mut host = Host::begin(&format!("INSERT INTO {schema}.host VALUES ('ada') RETURNING 1"));
    save(&store, key(1), b"charged");
    host.end("ROLLBACK");
    assert_eq!(value(&store, key(1)).unwrap(), b"charged");
    assert_eq!(shared().psql(&format!("SELECT count(*) FROM {schema}.host")), "0");
}

/// A transaction of the host's own, on a connection of its own.
struct Host(std::process::Child);

impl Host {
    /// Begins with a statement that returns a row.
    fn begin(statement: &str) -> Self {
        use std::io::{BufRead, BufReader, Write};
        use std::process::Stdio;
        let mut psql = shared().psql_command("vouchsafe");
        let mut host = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let text = format!("BEGIN;\n{statement};\n");
        host.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        let mut row = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut row).unwrap();
        assert_eq!(row, "1\n");
        Self(host)
    }

    fn end(&mut self, how: &str) {
        use std::io::Write;
        let mut stdin = self.0.stdin.take().unwrap();
        stdin.write_all(format!("{how};\n").as_bytes()).unwrap();
        drop(stdin);
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn room_is_counted_anew_after_others_wrote() {
    let schema = shared().fresh_schema();
    let bounded = || common::open(builder(&schema).max_bytes(100_000));
    let (one, other) = (bounded(), bounded());
    let fill = |store: &PostgresStore, numbers: std::ops::Range<u64>| {
        let fits = |number: &u64| {
            block_on(store.swap(key(*number), None, put(&[7; 872]))).unwrap() == Swap::Done
        };
        numbers.take_while(fits).count()
    };
    assert_eq!(fill(&one, 0..1000), 100);
    // The other has not heard of it, until it sweeps; one that opens now has.
    assert_eq!(fill(&other, 1000..1010), 10);
    assert_eq!(block_on(other.sweep(Timestamp::EPOCH, 100)).unwrap(), 0);
    assert_eq!(fill(&other, 2000..2010), 0);
    assert_eq!(fill(&bounded(), 2000..2010), 0);
    let late = CellKey::new(Space::Account, [0xFF; 16]);
    assert_eq!(block_on(other.swap(late, None, Put::Erase)).unwrap(), Swap::Done);
    // A conflict is told before there being no room.
    let conflict = block_on(other.swap(key(1), None, put(&[7; 872]))).unwrap();
    assert!(matches!(conflict, Swap::Conflict(_)), "{conflict:?}");
}

#[test]
fn the_table_of_a_sealed_store_shows_nothing() {
    let text = b"ada@example.org 192.0.2.7 locked";
    let schema = shared().fresh_schema();
    let store = common::open(builder(&schema));
    let shows = || {
        let query = format!("SELECT bytes FROM {schema}.vouchsafe_cells");
        let hex: String = text[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        shared().psql(&query).contains(&hex)
    };
    save(&Encrypted::new(&store, RootKey::new(&[1; 32])), key(1), text);
    assert!(!shows());
    save(&store, key(2), text);
    assert!(shows(), "the search finds what is not sealed");
}
