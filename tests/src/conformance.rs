//! What every broker must do for Tidings: the port's promises as checks, run against each adapter.
//!
//! A check sees a fresh and empty broker through a [`Fixture`], and nothing but the port. The macros at the end make a
//! test of every check, so that each shows by its name: [`conforms!`](crate::conforms) for what every broker must do,
//! [`conforms_over_amqp!`](crate::conforms_over_amqp) for what only a client that speaks AMQP can do to it, and
//! [`survives_outages!`](crate::survives_outages) for a broker that goes away. A broker for which the last two mean
//! nothing says so: it lists every one of their tests as ignored, with the reason.

#![allow(missing_docs, reason = "the name of a check says what it checks")]

mod amqp;
mod fixture;
mod load;
mod owner;
mod reading;
mod sending;

pub mod announcing;
pub mod carrying;
pub mod crashing;
pub mod delaying;
pub mod hostility;
pub mod keeping;
pub mod outages;
pub mod owning;
pub mod publishing;
pub mod settling;
pub mod topology;

pub use fixture::{
    Embedded, Fixture, LeftOut, OverAmqp, OwnNode, SharedNode, V3_10, V4_3, Version,
};

use std::{future::Future, time::Duration};

use crate::PATIENCE;

/// Waits for what must come, and says what it was where it does not.
async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(PATIENCE, what, future).await
}

async fn within<T>(patience: Duration, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience, future)
        .await
        .unwrap_or_else(|_| panic!("expected within {patience:?}: {what}"))
}

/// Tests of what every broker must do.
#[macro_export]
macro_rules! conforms {
    ($fixture:ty) => {
        $crate::checks! { test($fixture)
            publishing: [
                a_confirmed_message_is_queued,
                an_unknown_account_is_named,
                what_is_too_large_is_refused_with_its_size,
                ten_thousand_are_confirmed_in_a_pipeline,
                each_of_many_gets_its_own_result,
                what_was_published_is_confirmed_before_closing,
                messages_keep_their_order,
            ]
            owning: [
                one_at_a_time_owns_a_lane,
                a_closed_lane_is_handed_over_in_its_old_order,
                lanes_are_owned_apart,
                a_window_bounds_what_is_held,
                a_killed_owner_is_replaced,
                a_frozen_owner_is_replaced_and_learns_of_it,
                the_fence_holds_while_connected,
            ]
            delaying: [
                a_delayed_message_is_never_early_and_hardly_late,
                ten_thousand_due_in_one_second_are_hardly_late,
                a_delay_goes_on_while_nobody_is_connected,
                two_weeks_are_placed_and_visible,
                what_is_due_already_is_not_delayed,
                what_is_due_beyond_the_delays_is_put_back_all_the_same,
                a_delayed_message_to_an_unknown_account_is_unroutable,
                a_message_goes_through_the_delays_again_and_again,
                the_delays_tell_what_waits_and_that_it_moves,
            ]
            settling: [
                a_settled_message_never_comes_again,
                a_message_put_back_comes_with_its_new_headers,
                a_buried_message_is_a_dead_letter,
                the_ledger_has_the_decision_before_its_effect_shows,
                settling_out_of_order_settles_each,
                repeating_makes_the_effect_without_a_record,
                what_is_left_comes_again,
                thirty_returns_lose_nothing,
            ]
            crashing: [
                a_crash_after_the_record_loses_nothing,
                a_crash_after_the_effect_loses_nothing,
                a_crash_after_the_acknowledgement_loses_nothing,
                a_crash_while_burying_loses_nothing,
            ]
            keeping: [
                tenure_notes_are_read_by_another,
                the_ledger_reads_the_same_twice,
                the_ledger_is_read_from_any_point,
                the_ledger_is_read_while_it_is_written,
                an_empty_ledger_ends,
                who_follows_the_ledger_since_a_moment_misses_nothing,
                dead_letters_read_the_same_twice,
                dead_letters_are_read_from_any_point,
                dead_letters_are_read_while_they_are_written,
                no_dead_letters_is_an_end_too,
                what_is_done_about_letters_stands_behind_them,
            ]
            carrying: [
                bytes_stay_as_they_are,
                the_largest_body_passes_through_everything,
                every_header_travels,
                the_longest_history_travels_through_the_delays,
            ]
            announcing: [
                everybody_hears_an_announcement,
                nothing_is_kept_for_who_was_not_there,
            ]
            topology: [
                what_was_applied_verifies,
                applying_again_changes_nothing,
                a_missing_lane_is_named,
                a_lane_can_be_added_later,
            ]
        }
    };
}

/// Tests of what only a client that speaks AMQP can do to the broker. Either of a fixture, or `none` with the reason.
#[macro_export]
macro_rules! conforms_over_amqp {
    ($mode:ident($($with:tt)*)) => {
        $crate::checks! { $mode($($with)*)
            hostility: [
                garbage_in_headers_loses_no_message,
                a_death_history_does_not_lose_a_message_in_the_delays,
                a_bare_body_from_any_client_is_delivered,
                garbage_in_the_ledger_is_passed_over,
                garbage_among_the_dead_is_passed_over,
                garbage_in_announcements_is_passed_over,
                a_lane_declared_otherwise_is_named,
                a_deleted_lane_ends_its_ownership,
                a_ledger_that_refused_for_a_while_is_written_in_full,
                a_level_that_stands_still_is_named,
            ]
        }
    };
}

/// Tests with a broker that goes away. Either of a fixture, or `none` with the reason.
#[macro_export]
macro_rules! survives_outages {
    ($mode:ident($($with:tt)*)) => {
        $crate::checks! { $mode($($with)*)
            outages: [
                what_is_asked_while_the_broker_is_away_fails_by_name,
                nothing_is_lost_when_the_broker_is_killed_under_load,
                nothing_is_lost_when_the_broker_is_away_for_a_minute,
                delays_go_on_over_a_restart,
                the_ledger_is_followed_over_an_outage,
                announcements_are_heard_again,
                a_decision_cut_off_is_recorded_afterwards,
                what_is_held_too_long_costs_the_lane_and_nothing_else,
                the_fence_falls_while_the_broker_is_frozen,
                a_memory_alarm_blocks_and_passes,
            ]
        }
    };
}

/// A test of each check: `test(FIXTURE)` runs it, `none("REASON")` lists it as ignored for that reason.
#[doc(hidden)]
#[macro_export]
macro_rules! checks {
    (test($fixture:ty) $($module:ident: [$($check:ident),* $(,)?])*) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $check() {
                    use $crate::conformance::{self, Fixture};
                    match <$fixture>::fresh().await {
                        Ok(mut fixture) => conformance::$module::$check(&mut fixture).await,
                        Err(why) => eprintln!("{why}"),
                    }
                }
            )*
        })*
    };
    (none($why:literal) $($module:ident: [$($check:ident),* $(,)?])*) => {
        $(mod $module {
            $(
                #[test]
                #[ignore = $why]
                fn $check() {
                    panic!($why);
                }
            )*
        })*
    };
}
