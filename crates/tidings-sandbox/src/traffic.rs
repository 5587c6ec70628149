use std::collections::{HashMap, VecDeque};

use crate::clock::Moment;
use crate::received::{Most, Tally};

const WINDOWS: [u64; 4] = [100_000, 1_000_000, 10_000_000, 60_000_000];

/// What each account has done, and how fast.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    accounts: Vec<AccountTraffic>,
    destinations: HashMap<(u32, u32), Window>,
}

#[derive(Debug, Default)]
pub(crate) struct AccountTraffic {
    pub(crate) tally: Tally,
    window: Window,
    most_to_one: [u32; 4],
}

impl Traffic {
    /// Counts a call.
    pub(crate) fn call(&mut self, account: u32, destination: u32, at: Moment) {
        let to_one = self
            .destinations
            .entry((account, destination))
            .or_default()
            .call(at);
        let account = self.account(account);
        account.tally.calls += 1;
        account.window.call(at);
        for (most, now) in account.most_to_one.iter_mut().zip(to_one) {
            *most = now.max(*most);
        }
    }

    pub(crate) fn tally(&mut self, account: u32) -> &mut Tally {
        &mut self.account(account).tally
    }

    /// Accounts by their numbers.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &AccountTraffic> {
        self.accounts.iter()
    }

    fn account(&mut self, account: u32) -> &mut AccountTraffic {
        let index = account as usize;
        if index >= self.accounts.len() {
            self.accounts
                .resize_with(index + 1, AccountTraffic::default);
        }
        &mut self.accounts[index]
    }
}

impl AccountTraffic {
    pub(crate) fn most(&self) -> Most {
        most(self.window.most)
    }

    pub(crate) fn most_to_one(&self) -> Most {
        most(self.most_to_one)
    }
}

fn most([in_100ms, in_1s, in_10s, in_60s]: [u32; 4]) -> Most {
    Most {
        in_100ms,
        in_1s,
        in_10s,
        in_60s,
    }
}

/// The calls of the last minute, and the most that any window of each length ever held.
///
/// A window ends with a call and reaches back to, but not including, its length before: calls exactly a second apart are in
/// no window of one second together.
#[derive(Debug, Default)]
struct Window {
    times: VecDeque<u64>,
    /// How many of `times` are too old for each window.
    past: [usize; 4],
    most: [u32; 4],
}

impl Window {
    /// Counts a call, and tells how many each window now holds.
    fn call(&mut self, at: Moment) -> [u32; 4] {
        self.times.push_back(at.0);
        let mut held = [0; 4];
        for (i, length) in WINDOWS.into_iter().enumerate() {
            while self
                .times
                .get(self.past[i])
                .is_some_and(|&time| time + length <= at.0)
            {
                self.past[i] += 1;
            }
            held[i] = u32::try_from(self.times.len() - self.past[i]).unwrap_or(u32::MAX);
            self.most[i] = self.most[i].max(held[i]);
        }
        let forgotten = self.past[3];
        self.times.drain(..forgotten);
        self.past = self.past.map(|past| past - forgotten);
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most_of(millis: impl IntoIterator<Item = u64>) -> [u32; 4] {
        let mut window = Window::default();
        for at in millis {
            window.call(Moment(at * 1000));
        }
        window.most
    }

    #[test]
    fn calls_a_whole_window_apart_are_not_in_it_together() {
        assert_eq!(most_of([0, 100, 200, 300]), [1, 4, 4, 4]);
        assert_eq!(most_of([0, 99, 200]), [2, 3, 3, 3]);
    }

    #[test]
    fn a_burst_is_remembered_when_it_is_long_past() {
        let burst_then_quiet = (0..50).chain((1..200).map(|s| s * 1000));
        assert_eq!(most_of(burst_then_quiet), [50, 50, 59, 109]);
    }

    #[test]
    fn only_the_last_minute_is_kept() {
        let mut window = Window::default();
        for at in 0..1000 {
            window.call(Moment(at * 1_000_000));
        }
        assert_eq!((window.times.len(), window.most), (60, [1, 1, 10, 60]));
    }
}
