use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidings_model::{Account, Reason};

/// Into how many equal spans the time between the first and the last letter is cut.
pub const SPANS: usize = 24;

/// Letters that died of the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Their account, where known.
    pub account: Option<Account>,
    /// Why they are dead.
    pub reason: Reason,
    /// What their last errors have in common.
    pub signature: String,
    /// How many there are.
    pub count: u64,
    /// How many of them may have been delivered all the same.
    pub maybe_delivered: u64,
    /// When the first one died.
    pub first_seen: Timestamp,
    /// When the last one died.
    pub last_seen: Timestamp,
    /// How many died in each of the [`SPANS`] between the first and the last letter of all groups.
    pub over_time: Vec<u64>,
}

/// Groups letters by account, reason and signature.
#[derive(Debug, Default)]
pub struct Groups<'l>(HashMap<Key<'l>, Members>);

type Key<'l> = (Option<&'l Account>, Reason, &'l str);

#[derive(Debug, Default)]
struct Members {
    maybe_delivered: u64,
    dead_at: Vec<Timestamp>,
}

/// One letter, as far as it is grouped by.
#[derive(Debug, Clone, Copy)]
pub struct Member<'l> {
    /// Its account, where known.
    pub account: Option<&'l Account>,
    /// Why it is dead.
    pub reason: Reason,
    /// What its last error has in common with others.
    pub signature: &'l str,
    /// When it died.
    pub dead_at: Timestamp,
    /// Whether it may have been delivered all the same.
    pub maybe_delivered: bool,
}

impl<'l> FromIterator<Member<'l>> for Groups<'l> {
    fn from_iter<I: IntoIterator<Item = Member<'l>>>(letters: I) -> Self {
        let mut groups = Self::default();
        for letter in letters {
            let key = (letter.account, letter.reason, letter.signature);
            let members = groups.0.entry(key).or_default();
            members.maybe_delivered += u64::from(letter.maybe_delivered);
            members.dead_at.push(letter.dead_at);
        }
        groups
    }
}

impl Groups<'_> {
    /// The groups, the largest first.
    #[must_use]
    pub fn list(&self) -> Vec<Group> {
        let moments = || self.0.values().flat_map(|members| &members.dead_at);
        let (Some(first), Some(last)) = (moments().min(), moments().max()) else {
            return Vec::new();
        };
        let mut groups: Vec<_> = self
            .0
            .iter()
            .filter_map(|(key, members)| group(*key, members, (*first, *last)))
            .collect();
        groups.sort_by(|a, b| {
            let named =
                |group: &Group| (group.account.clone(), group.reason, group.signature.clone());
            b.count.cmp(&a.count).then_with(|| named(a).cmp(&named(b)))
        });
        groups
    }
}

fn group(
    (account, reason, signature): Key<'_>,
    members: &Members,
    all: (Timestamp, Timestamp),
) -> Option<Group> {
    let mut over_time = vec![0; SPANS];
    for at in &members.dead_at {
        over_time[span(*at, all)] += 1;
    }
    Some(Group {
        account: account.cloned(),
        reason,
        signature: signature.to_owned(),
        count: members.dead_at.len() as u64,
        maybe_delivered: members.maybe_delivered,
        first_seen: *members.dead_at.iter().min()?,
        last_seen: *members.dead_at.iter().max()?,
        over_time,
    })
}

fn span(at: Timestamp, (first, last): (Timestamp, Timestamp)) -> usize {
    let whole = last
        .duration_since(first)
        .max(SignedDuration::from_nanos(1));
    let share = at.duration_since(first).as_nanos() * SPANS as i128 / whole.as_nanos();
    usize::try_from(share).map_or(0, |span| span.min(SPANS - 1))
}

/// How many over time, a character a span: blank where there were none, the highest block where most were.
#[must_use]
pub fn sparkline(over_time: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = over_time.iter().copied().max().unwrap_or(0);
    let block = |count: u64| match count {
        0 => ' ',
        count => {
            BLOCKS[usize::try_from((count * 8).div_ceil(most) - 1)
                .unwrap_or(0)
                .min(7)]
        }
    };
    over_time.iter().map(|count| block(*count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter<'l>(account: &'l Account, signature: &'l str, second: i64) -> Member<'l> {
        Member {
            account: Some(account),
            reason: Reason::Rejected,
            signature,
            dead_at: Timestamp::from_second(second).unwrap(),
            maybe_delivered: second % 2 == 1,
        }
    }

    #[test]
    fn what_died_of_the_same_is_counted_and_the_largest_group_comes_first() {
        let (ops, crm) = ("groupme.ops".parse().unwrap(), "raven.crm".parse().unwrap());
        let letters = [
            letter(&ops, "404 gone", 240),
            letter(&crm, "404 gone", 0),
            letter(&ops, "404 gone", 1),
            letter(&ops, "400 no", 239),
        ];
        let groups = letters.into_iter().collect::<Groups<'_>>().list();
        let first = &groups[0];
        assert_eq!((first.count, first.maybe_delivered), (2, 1));
        assert_eq!(first.first_seen.as_second(), 1);
        assert_eq!(first.last_seen.as_second(), 240);
        assert_eq!((first.over_time[0], first.over_time[SPANS - 1]), (1, 1));
        assert_eq!(first.over_time.iter().sum::<u64>(), 2);
        let signatures: Vec<_> = groups
            .iter()
            .map(|group| group.signature.as_str())
            .collect();
        assert_eq!(signatures, ["404 gone", "400 no", "404 gone"]);
        assert_eq!(Groups::default().list(), []);
    }

    #[test]
    fn letters_of_one_moment_have_a_line_too() {
        let ops = "groupme.ops".parse().unwrap();
        let one = [letter(&ops, "", 7)]
            .into_iter()
            .collect::<Groups<'_>>()
            .list();
        assert_eq!(one[0].over_time[0], 1);
    }

    #[test]
    fn a_line_is_as_high_as_the_most() {
        assert_eq!(sparkline(&[0, 1, 4, 8, 80]), " ▁▁▁█");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(sparkline(&[1, 2]), "▄█");
    }
}
