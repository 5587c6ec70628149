//! Which deliveries to acknowledge, in as few frames as can be.

use std::collections::VecDeque;

/// How many frames one round of stragglers may have. RabbitMQ passes on 32 acknowledgements that a quorum queue has not
/// applied yet, keeps the others back in the channel, and forgets them if that closes.
const BURST: usize = 16;

/// The deliveries of one channel: their tags count up from 1.
///
/// The settled ones in front are acknowledged with one frame. One behind a gap is given a round's time for the gap to
/// close, and is then acknowledged by itself, so that a slow message does not hold the others in the window.
#[derive(Debug)]
pub(super) struct Acks {
    first: u64,
    slots: VecDeque<Slot>,
    settled: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Held,
    Settled,
    Waited,
    Acknowledged,
}

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) tag: u64,
    pub(super) multiple: bool,
}

impl Default for Acks {
    fn default() -> Self {
        Self {
            first: 1,
            slots: VecDeque::new(),
            settled: 0,
        }
    }
}

impl Acks {
    /// A delivery is in our hands.
    pub(super) fn delivered(&mut self, tag: u64) {
        while self.first + (self.slots.len() as u64) <= tag {
            self.slots.push_back(Slot::Held);
        }
    }

    /// A delivery may be acknowledged.
    pub(super) fn settled(&mut self, tag: u64) {
        let slot = tag
            .checked_sub(self.first)
            .and_then(|index| self.slots.get_mut(usize::try_from(index).ok()?));
        if let Some(slot) = slot
            && *slot == Slot::Held
        {
            *slot = Slot::Settled;
            self.settled += 1;
        }
    }

    /// Whether some are settled and not acknowledged.
    pub(super) fn waiting(&self) -> bool {
        self.settled > 0
    }

    /// A frame for what is settled in front, and the tags that it settles.
    pub(super) fn front(&mut self) -> (Option<Ack>, Vec<u64>) {
        let mut tags = Vec::new();
        while let Some(slot) = self.slots.front().filter(|slot| **slot != Slot::Held) {
            // What is acknowledged already must not be named again: the broker closes the channel for that.
            if *slot != Slot::Acknowledged {
                tags.push(self.first);
            }
            self.first += 1;
            self.slots.pop_front();
        }
        self.settled -= tags.len();
        let multiple = tags.len() > 1;
        (
            tags.last().map(|tag| Ack {
                tag: *tag,
                multiple,
            }),
            tags,
        )
    }

    /// Frames for what has been behind a gap since the last time this was asked, at most [`BURST`].
    pub(super) fn stragglers(&mut self) -> Vec<Ack> {
        let mut frames = Vec::new();
        for (tag, slot) in (self.first..).zip(&mut self.slots) {
            match slot {
                Slot::Settled => *slot = Slot::Waited,
                Slot::Waited if frames.len() < BURST => {
                    *slot = Slot::Acknowledged;
                    self.settled -= 1;
                    frames.push(Ack {
                        tag,
                        multiple: false,
                    });
                }
                Slot::Waited | Slot::Held | Slot::Acknowledged => {}
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(tag: u64) -> Ack {
        Ack {
            tag,
            multiple: false,
        }
    }

    fn many(tag: u64) -> Ack {
        Ack {
            tag,
            multiple: true,
        }
    }

    fn delivered(tags: u64) -> Acks {
        let mut acks = Acks::default();
        (1..=tags).for_each(|tag| acks.delivered(tag));
        acks
    }

    #[test]
    fn what_is_settled_in_front_is_one_frame() {
        let mut acks = delivered(5);
        for tag in [2, 1, 3] {
            acks.settled(tag);
        }
        assert_eq!(acks.front(), (Some(many(3)), vec![1, 2, 3]));
        assert!(!acks.waiting());
        assert_eq!(acks.front(), (None, vec![]));
    }

    #[test]
    fn one_behind_a_gap_waits_a_round_and_is_then_acknowledged_by_itself() {
        let mut acks = delivered(4);
        acks.settled(3);
        assert_eq!(acks.front(), (None, vec![]));
        assert!(acks.waiting());
        assert_eq!(acks.stragglers(), []);
        acks.settled(4);
        assert_eq!(acks.stragglers(), [one(3)]);
        acks.settled(1);
        acks.settled(2);
        // 3 is gone already: the frame names 4, and covers 1, 2 and 4.
        assert_eq!(acks.front(), (Some(many(4)), vec![1, 2, 4]));
        assert!(!acks.waiting());
    }

    #[test]
    fn a_frame_never_names_what_was_acknowledged_before() {
        let mut acks = delivered(2);
        acks.settled(2);
        acks.stragglers();
        assert_eq!(acks.stragglers(), [one(2)]);
        assert_eq!(acks.stragglers(), []);
        acks.settled(1);
        assert_eq!(acks.front(), (Some(one(1)), vec![1]));
        acks.delivered(3);
        acks.settled(3);
        assert_eq!(acks.front(), (Some(one(3)), vec![3]));
    }

    #[test]
    fn stragglers_come_in_bursts_that_the_broker_can_take() {
        let mut acks = delivered(41);
        (2..=41).for_each(|tag| acks.settled(tag));
        let rounds = [0, 16, 16, 8, 0].map(|frames| (frames, acks.stragglers().len()));
        assert!(
            rounds.iter().all(|(wanted, sent)| wanted == sent),
            "{rounds:?}"
        );
        acks.settled(1);
        assert_eq!(acks.front(), (Some(one(1)), vec![1]));
    }

    #[test]
    fn settling_twice_or_what_was_never_delivered_changes_nothing() {
        let mut acks = delivered(1);
        for tag in [0, 1, 1, 9] {
            acks.settled(tag);
        }
        assert_eq!(acks.front(), (Some(one(1)), vec![1]));
        acks.settled(1);
        assert_eq!(acks.front(), (None, vec![]));
    }
}
