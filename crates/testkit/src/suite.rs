//! One call in a store's tests.

/// Makes a test of each function in [`conformance`](crate::conformance).
///
/// `make` is called once a test and gives a function that opens a store which is empty at first.
/// `persistent` adds the tests for stores that outlive their process, `bounded` those for stores
/// that can be full: it must hold 2 MiB and be full before 200 MiB.
///
/// ```
/// # #![allow(unused_imports, dead_code)]
/// use vouchsafe_store::MemoryStore;
///
/// fn memory() -> impl Fn() -> MemoryStore {
///     || MemoryStore::new(4 << 20)
/// }
///
/// vouchsafe_testkit::suite!(memory, bounded);
/// ```
#[macro_export]
macro_rules! suite {
    ($make:path $(, $more:ident)*) => {
        $crate::suite! { @tests $make;
            nothing_is_there_at_first
            a_load_sees_the_last_swap
            a_swap_compares
            versions_are_never_reused
            spaces_are_apart
            a_sweep_drops_what_expired_and_nothing_else
            a_scan_walks_in_order_and_resumes
            too_large_a_value_is_refused
            an_event_counts_once
            a_lost_race_costs_one_swap
            a_keep_costs_no_swap
            an_unanswered_swap_is_recognised
            no_single_fault_loses_or_doubles_an_event
            sixty_four_racers_lose_nothing
            one_of_sixty_four_swaps_wins
            each_cell_is_linearisable
            a_dropped_future_leaves_the_cell_whole
        }
        $($crate::suite! { @more $more $make })*
    };
    (@more bounded $make:path) => {
        $crate::suite! { @tests $make; full_is_an_answer_and_drops_nothing }
    };
    (@more persistent $make:path) => {
        $crate::suite! { @tests $make; a_restart_changes_nothing }
    };
    (@tests $make:path; $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::$name(&$make());
        }
    )*};
}
