//! What the ledger says about the tenures of one lane, and so what a redelivered message is.

use std::collections::{HashSet, VecDeque};

use tidings_model::{Left, MessageId, Tenure, WorkerId};

/// The newest tenures of one lane, in ledger order, each with its note where it left one.
#[derive(Debug, Default)]
pub(crate) struct Tenures {
    known: VecDeque<(Tenure, Option<Left>)>,
}

/// Which redelivered messages may have been sent by an earlier tenure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inheritance {
    /// Only these.
    Only(HashSet<MessageId>),
    /// Any.
    All,
}

/// What precedes a tenure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// A note says what is left.
    Noted(Inheritance),
    /// This worker's tenure left no note, or none yet.
    NoNote(WorkerId),
    /// No earlier tenure is remembered here.
    Nothing,
}

impl Inheritance {
    /// Whether a redelivered message may have been sent.
    pub(crate) fn covers(&self, id: &MessageId) -> bool {
        match self {
            Self::Only(ids) => ids.contains(id),
            Self::All => true,
        }
    }

    /// The note of a tenure that leaves what it inherited, and these too.
    pub(crate) fn note(&self, undecided: Vec<MessageId>) -> Left {
        match self {
            Self::All => Left::All,
            Self::Only(_) => Left::Only(undecided),
        }
    }
}

impl Tenures {
    /// Enough to see past a few workers that opened the lane and never used it.
    const KEPT: usize = 16;

    pub(crate) fn opened(&mut self, tenure: Tenure) {
        if self.known.iter().any(|(known, _)| *known == tenure) {
            return;
        }
        if self.known.len() == Self::KEPT {
            self.known.pop_front();
        }
        self.known.push_back((tenure, None));
    }

    /// A tenure's note; one of a tenure that is not remembered stands for itself.
    pub(crate) fn noted(&mut self, tenure: &Tenure, left: Left) {
        match self.known.iter_mut().find(|(known, _)| known == tenure) {
            Some((_, note)) => *note = Some(left),
            None => {
                self.opened(tenure.clone());
                if let Some((_, note)) = self.known.back_mut() {
                    *note = Some(left);
                }
            }
        }
    }

    /// A tenure that was told of again. Reading began behind its opening where it is not known, so that it is older than all
    /// that are.
    pub(crate) fn restated(&mut self, tenure: Tenure, left: Option<Left>) {
        let is_full = self.known.len() == Self::KEPT;
        match self.known.iter_mut().find(|(known, _)| *known == tenure) {
            Some((_, note)) => *note = note.take().or(left),
            None if is_full => {}
            None => self.known.push_front((tenure, left)),
        }
    }

    /// The newest tenure that could have left anything, with its note where it wrote one.
    pub(crate) fn last(&self) -> Option<&(Tenure, Option<Left>)> {
        let touched = |(_, note): &&(Tenure, Option<Left>)| *note != Some(Left::Untouched);
        self.known.iter().rev().find(touched)
    }

    pub(crate) fn has_opened(&self, tenure: &Tenure) -> bool {
        self.known.iter().any(|(known, _)| known == tenure)
    }

    /// What a tenure finds, or what the newest one leaves where it is not among them.
    pub(crate) fn before_or_newest(&self, mine: &Tenure) -> Before {
        if self.has_opened(mine) {
            self.before(mine)
        } else {
            Self::find(self.known.iter().rev())
        }
    }

    /// What a tenure finds, as far as is known now.
    pub(crate) fn before(&self, mine: &Tenure) -> Before {
        Self::find(
            self.known
                .iter()
                .rev()
                .skip_while(|(tenure, _)| tenure != mine)
                .skip(1),
        )
    }

    fn find<'a>(newest_first: impl Iterator<Item = &'a (Tenure, Option<Left>)>) -> Before {
        for (tenure, note) in newest_first {
            return match note {
                Some(Left::Untouched) => continue,
                Some(Left::All) => Before::Noted(Inheritance::All),
                Some(Left::Only(ids)) => {
                    Before::Noted(Inheritance::Only(ids.iter().cloned().collect()))
                }
                None => Before::NoNote(tenure.worker.clone()),
            };
        }
        Before::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(worker: &str, number: u64) -> Tenure {
        Tenure {
            account: "groupme.ops".parse().unwrap(),
            worker: worker.into(),
            number,
        }
    }

    fn only(ids: &[&str]) -> Inheritance {
        Inheritance::Only(ids.iter().map(|id| id.parse().unwrap()).collect())
    }

    #[test]
    fn a_note_says_what_is_left() {
        let mut tenures = Tenures::default();
        tenures.opened(tenure("a", 1));
        tenures.noted(&tenure("a", 1), Left::Only(vec!["m".parse().unwrap()]));
        tenures.opened(tenure("b", 1));
        assert_eq!(tenures.before(&tenure("b", 1)), Before::Noted(only(&["m"])));
    }

    #[test]
    fn a_crash_leaves_no_note_until_its_worker_writes_it_late() {
        let mut tenures = Tenures::default();
        tenures.opened(tenure("a", 1));
        tenures.opened(tenure("b", 1));
        assert_eq!(tenures.before(&tenure("b", 1)), Before::NoNote("a".into()));
        tenures.noted(&tenure("a", 1), Left::Only(vec![]));
        assert_eq!(tenures.before(&tenure("b", 1)), Before::Noted(only(&[])));
    }

    #[test]
    fn a_tenure_that_touched_nothing_is_looked_through() {
        let mut tenures = Tenures::default();
        tenures.opened(tenure("a", 1));
        tenures.opened(tenure("b", 1));
        tenures.noted(&tenure("b", 1), Left::Untouched);
        tenures.opened(tenure("c", 1));
        assert_eq!(tenures.before(&tenure("c", 1)), Before::NoNote("a".into()));
    }

    #[test]
    fn a_tenure_that_is_told_of_again_precedes_what_was_read() {
        let mut tenures = Tenures::default();
        tenures.opened(tenure("b", 1));
        tenures.noted(&tenure("b", 1), Left::Untouched);
        tenures.restated(tenure("a", 1), None);
        tenures.opened(tenure("c", 1));
        assert_eq!(tenures.before(&tenure("c", 1)), Before::NoNote("a".into()));
        tenures.noted(&tenure("a", 1), Left::Only(vec![]));
        tenures.restated(tenure("a", 1), None);
        assert_eq!(tenures.before(&tenure("c", 1)), Before::Noted(only(&[])));
    }

    #[test]
    fn the_last_tenure_is_the_newest_that_touched_anything() {
        let mut tenures = Tenures::default();
        assert_eq!(tenures.last(), None);
        tenures.opened(tenure("a", 1));
        tenures.opened(tenure("b", 1));
        tenures.noted(&tenure("b", 1), Left::Untouched);
        assert_eq!(tenures.last(), Some(&(tenure("a", 1), None)));
    }

    #[test]
    fn without_an_earlier_tenure_nothing_is_known() {
        let mut tenures = Tenures::default();
        tenures.opened(tenure("a", 1));
        assert_eq!(tenures.before(&tenure("a", 1)), Before::Nothing);
    }

    #[test]
    fn what_was_inherited_whole_is_passed_on_whole() {
        assert_eq!(Inheritance::All.note(vec![]), Left::All);
        assert_eq!(only(&["m"]).note(vec![]), Left::Only(vec![]));
    }
}
