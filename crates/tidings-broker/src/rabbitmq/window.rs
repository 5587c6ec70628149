//! Which publish the broker really took: lapin's confirmations put right.
//!
//! lapin hands a returned message to whichever confirmation resolves next, not to its own. But it hands them out in the
//! order in which they came back, at least one for each confirmation while there are any, and the broker returns a
//! message before it confirms it. So of the messages up to some one, no more returns can be waiting inside lapin than
//! confirmations are still to come: once all of them are confirmed, every return among them has been handed out, be it
//! to a later publish. Hence a publish is judged when it and all before it are confirmed, with all the returns seen
//! until then.

use std::collections::{HashMap, VecDeque};

/// The publishes of one channel that are not judged yet, in their order.
#[derive(Debug)]
pub(super) struct Window<J> {
    first: u64,
    slots: VecDeque<Slot<J>>,
    returned: HashMap<u64, u32>,
    broken: Option<String>,
}

#[derive(Debug)]
struct Slot<J> {
    job: J,
    /// Tells what a returned message was.
    mark: u64,
    said: Option<Said>,
}

/// What a confirmation said by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Ack,
    Nack,
    /// None came: the channel broke first.
    Broke(String),
}

/// What became of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The broker has it.
    Taken,
    /// Nothing is bound there.
    Returned,
    /// The broker could not keep it.
    Nacked,
    /// Nobody knows.
    Lost(String),
}

impl<J> Default for Window<J> {
    fn default() -> Self {
        Self {
            first: 0,
            slots: VecDeque::new(),
            returned: HashMap::new(),
            broken: None,
        }
    }
}

impl<J> Window<J> {
    /// A publish is on its way; gives its number.
    pub(super) fn sent(&mut self, job: J, mark: u64) -> u64 {
        self.slots.push_back(Slot {
            job,
            mark,
            said: None,
        });
        self.first + self.slots.len() as u64 - 1
    }

    /// The confirmation of a publish came.
    pub(super) fn said(&mut self, number: u64, said: Said) {
        let slot = number
            .checked_sub(self.first)
            .and_then(|index| self.slots.get_mut(usize::try_from(index).ok()?));
        if let Some(slot) = slot {
            slot.said = Some(said);
        }
    }

    /// The oldest publish that is not judged.
    pub(super) fn oldest(&self) -> Option<&J> {
        self.slots.front().map(|slot| &slot.job)
    }

    /// A message came back, with any confirmation.
    pub(super) fn returned(&mut self, mark: u64) {
        *self.returned.entry(mark).or_default() += 1;
    }

    /// The next publish that can be judged. To be asked once every confirmation that has come was told.
    pub(super) fn judge(&mut self) -> Option<(J, Judgement)> {
        self.slots.front()?.said.as_ref()?;
        let Slot { job, mark, said } = self.slots.pop_front()?;
        self.first += 1;
        if self.came_back(mark) {
            return Some((job, Judgement::Returned));
        }
        // Where an earlier confirmation never came, the return of a confirmed one may be inside lapin for ever.
        let judgement = match (said?, &self.broken) {
            (Said::Nack, _) => Judgement::Nacked,
            (Said::Broke(why), _) => {
                self.broken = Some(why.clone());
                Judgement::Lost(why)
            }
            (Said::Ack, Some(why)) => Judgement::Lost(why.clone()),
            (Said::Ack, None) => Judgement::Taken,
        };
        Some((job, judgement))
    }

    fn came_back(&mut self, mark: u64) -> bool {
        if self.returned.is_empty() {
            return false;
        }
        let Some(count) = self.returned.get_mut(&mark) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.returned.remove(&mark);
        }
        true
    }

    /// Gives up on all that is left.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = J> + '_ {
        self.slots.drain(..).map(|slot| slot.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(publishes: u64) -> Window<u64> {
        let mut window = Window::default();
        for job in 0..publishes {
            assert_eq!(window.sent(job, job), job);
        }
        window
    }

    fn judged(window: &mut Window<u64>) -> Vec<(u64, Judgement)> {
        std::iter::from_fn(|| window.judge()).collect()
    }

    use Judgement::{Lost, Nacked, Returned, Taken};

    #[test]
    fn a_return_that_came_with_anothers_confirmation_is_given_to_its_own() {
        let mut window = window(3);
        window.said(2, Said::Ack);
        window.returned(1);
        window.said(1, Said::Ack);
        assert_eq!(judged(&mut window), []);
        window.said(0, Said::Ack);
        assert_eq!(judged(&mut window), [(0, Taken), (1, Returned), (2, Taken)]);
    }

    #[test]
    fn nothing_is_judged_before_all_that_was_sent_earlier() {
        let mut window = window(3);
        window.said(0, Said::Ack);
        window.said(2, Said::Nack);
        assert_eq!(judged(&mut window), [(0, Taken)]);
        window.said(1, Said::Ack);
        assert_eq!(judged(&mut window), [(1, Taken), (2, Nacked)]);
    }

    #[test]
    fn a_confirmed_publish_behind_a_broken_one_is_not_certain() {
        let mut window = window(3);
        window.said(0, Said::Ack);
        window.said(2, Said::Ack);
        window.said(1, Said::Broke("gone".into()));
        let gone = || Lost("gone".into());
        assert_eq!(judged(&mut window), [(0, Taken), (1, gone()), (2, gone())]);
    }

    #[test]
    fn the_same_mark_twice_takes_two_returns() {
        let mut window = Window::default();
        for job in 0..3 {
            window.sent(job, 7);
            window.said(job, Said::Ack);
        }
        window.returned(7);
        window.returned(7);
        assert_eq!(
            judged(&mut window),
            [(0, Returned), (1, Returned), (2, Taken)]
        );
    }
}
