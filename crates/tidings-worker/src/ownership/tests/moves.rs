//! How long lanes stand still when they move. Each is tried with several fleets.

use super::fleet::Fleet;

const LANES: usize = 8;

fn fleets(workers: usize) -> impl Iterator<Item = Fleet> {
    (0..10).map(move |seed| Fleet::settled(seed, workers, LANES))
}

#[test]
fn a_sole_worker_starts_within_a_second() {
    let mut fleet = Fleet::new(1, LANES);
    fleet.join((0..LANES).collect());
    fleet.run_for(1_000);
    fleet.assert_settled();
}

#[test]
fn workers_that_start_together_take_nothing_from_each_other() {
    for seed in 0..10 {
        let mut fleet = Fleet::new(seed, LANES);
        (0..4).for_each(|_| fleet.join((0..LANES).collect()));
        fleet.run_for(3_000);
        fleet.assert_settled();
        assert_eq!(fleet.places_given as usize, LANES);
    }
}

#[test]
fn a_lane_moves_to_a_newcomer_in_a_blink() {
    for mut fleet in fleets(2) {
        fleet.join((0..LANES).collect());
        fleet.run_for(2_000);
        fleet.assert_settled();
        assert!(fleet.longest_gap < 300, "{}", fleet.longest_gap);
    }
}

#[test]
fn a_worker_that_stops_leaves_its_lanes_to_others_within_a_second() {
    for mut fleet in fleets(3) {
        fleet.drain(0);
        fleet.run_for(2_000);
        fleet.assert_settled();
        assert!(fleet.longest_gap < 1_000, "{}", fleet.longest_gap);
    }
}

#[test]
fn the_lanes_of_a_killed_worker_move_within_four_seconds() {
    for mut fleet in fleets(3) {
        fleet.kill(0);
        fleet.run_for(5_000);
        fleet.assert_settled();
        assert!(fleet.longest_gap < 4_000, "{}", fleet.longest_gap);
    }
}

#[test]
fn the_lanes_of_a_frozen_worker_move_once_the_broker_drops_it_and_come_back_when_it_wakes() {
    for mut fleet in fleets(3) {
        fleet.trouble(0).frozen = fleet.now() + 90_000;
        fleet.run_for(90_000);
        assert!(fleet.longest_gap < 25_000, "{}", fleet.longest_gap);
        fleet.forget_gaps();
        fleet.run_for(5_000);
        fleet.assert_settled();
        assert!(fleet.longest_gap < 300, "{}", fleet.longest_gap);
    }
}

#[test]
fn the_lanes_of_a_worker_that_is_cut_off_move_once_the_broker_drops_it() {
    for mut fleet in fleets(3) {
        fleet.trouble(0).cut = fleet.now() + 60_000;
        fleet.run_for(60_000);
        assert!(fleet.longest_gap < 25_000, "{}", fleet.longest_gap);
        assert!(fleet.lanes_of(0).is_empty());
    }
}

#[test]
fn a_broker_that_stands_still_moves_no_lane() {
    for mut fleet in fleets(4) {
        let (places, again) = (fleet.places_given, fleet.now() + 5_000);
        (0..4).for_each(|worker| fleet.trouble(worker).cut = again);
        fleet.run_for(15_000);
        fleet.assert_settled();
        assert_eq!(fleet.places_given, places);
    }
}

#[test]
fn after_a_restart_of_the_broker_everybody_takes_its_own_lanes_again() {
    for mut fleet in fleets(4) {
        let places = fleet.places_given as usize;
        fleet.restart_broker();
        fleet.run_for(9_000);
        fleet.assert_settled();
        assert_eq!(fleet.places_given as usize, places + LANES);
    }
}

#[test]
fn a_rolling_change_of_the_accounts_leaves_no_lane_unserved() {
    for mut fleet in fleets(3) {
        for worker in 0..3 {
            fleet.reload(worker, (1..LANES).collect());
            fleet.run_for(700);
        }
        fleet.run_for(2_000);
        fleet.assert_settled();
        for worker in 0..3 {
            fleet.reload(worker, (0..LANES).collect());
            fleet.run_for(700);
        }
        fleet.run_for(2_000);
        fleet.assert_settled();
        assert!(fleet.longest_gap < 1_000, "{}", fleet.longest_gap);
    }
}

#[test]
fn the_lanes_of_one_that_hears_nobody_and_loses_its_connection_are_taken_by_others() {
    for mut fleet in fleets(3) {
        fleet.trouble(0).deaf = fleet.now() + 60_000;
        fleet.run_for(5_000);
        assert_eq!(fleet.longest_gap, 0);
        fleet.drop_connection(0);
        fleet.run_for(30_000);
        assert!(fleet.longest_gap < 12_000, "{}", fleet.longest_gap);
        assert!(fleet.lanes_of(0).is_empty());
    }
}

#[test]
fn where_the_called_one_gets_no_place_its_lane_goes_on_elsewhere() {
    for mut fleet in fleets(2) {
        fleet.join((0..LANES).collect());
        (0..LANES).for_each(|lane| fleet.refuse(2, lane, 60_000));
        fleet.run_for(10_000);
        assert!(fleet.longest_gap < 300, "{}", fleet.longest_gap);
        // Even where the one that has the lane goes.
        fleet.drain(0);
        fleet.run_for(45_000);
        assert!(fleet.longest_gap < 4_000, "{}", fleet.longest_gap);
        fleet.run_for(20_000);
        fleet.assert_settled();
    }
}
