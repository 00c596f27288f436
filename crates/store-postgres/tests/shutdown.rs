//! The last handle of a store, in whoever's hands it is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use common::{key, put, save, shared, value};
use vouchsafe_store::Cells;
use vouchsafe_testkit::abandon;

/// A server shuts down while a call is under way, and the store's own thread is the last to know it.
#[test]
fn a_store_whose_own_thread_drops_it_ends() {
    let schema = shared().fresh_schema();
    let mut under_way = 0;
    for _ in 0..40 {
        let store = common::open_shared(&schema, None);
        let told = abandon(async move {
            let _ = store.load(key(1)).await;
        });
        // An answer may be there before this thread looks.
        if let Some(told) = told {
            under_way += 1;
            assert_eq!(told.recv_timeout(common::PATIENT), Ok(true));
        }
    }
    assert!(under_way > 0, "every answer was there at once");
}

#[test]
fn closing_finishes_what_was_handed_over() {
    let schema = shared().fresh_schema();
    let (store, other) = (common::open_shared(&schema, None), common::open_shared(&schema, None));
    let was = save(&store, key(1), b"first");
    shared().psql(&format!(
        "CREATE FUNCTION {schema}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_sleep(0.5);
             RETURN NEW;
         END $$;
         CREATE TRIGGER slow BEFORE UPDATE ON {schema}.vouchsafe_cells
             FOR EACH ROW EXECUTE FUNCTION {schema}.slow()"
    ));
    {
        let mut swap = pin!(store.swap(key(1), Some(was), put(b"second")));
        assert!(swap.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(store);
    assert_eq!(value(&other, key(1)).unwrap(), b"second");
}
