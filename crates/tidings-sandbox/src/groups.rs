use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::call::{From, Page};
use crate::clock::Moment;

/// Messages with the same `source_guid` within this time are one.
const DEDUPLICATED: Duration = Duration::from_secs(60);

/// What GroupMe knows: each group's messages, and the guids of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Numbers of messages, ascending, by group.
    messages: HashMap<u32, Vec<u64>>,
    recent: HashMap<(u32, Arc<str>), Moment>,
    oldest_first: VecDeque<(u32, Arc<str>)>,
}

impl Groups {
    /// Whether the group has had this guid within the last minute.
    pub(crate) fn has(&mut self, group: u32, guid: &Arc<str>, now: Moment) -> bool {
        self.forget(now);
        self.recent.contains_key(&(group, Arc::clone(guid)))
    }

    /// Takes a message in that [`Groups::has`] not. Numbers come in ascending order.
    pub(crate) fn add(&mut self, group: u32, guid: &Arc<str>, number: u64, now: Moment) {
        self.messages.entry(group).or_default().push(number);
        let key = (group, Arc::clone(guid));
        self.recent.insert(key.clone(), now);
        self.oldest_first.push_back(key);
    }

    /// Takes a message out; whether it was there.
    pub(crate) fn delete(&mut self, group: u32, number: u64) -> bool {
        let Some(messages) = self.messages.get_mut(&group) else {
            return false;
        };
        let found = messages.binary_search(&number);
        found.map(|position| messages.remove(position)).is_ok()
    }

    /// How many messages the group has, and those of the page in the order of the page.
    pub(crate) fn page(&self, group: u32, page: Page) -> (usize, Vec<u64>) {
        let messages = self
            .messages
            .get(&group)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let before = |number| &messages[..messages.partition_point(|&m| m < number)];
        let after = |number| &messages[messages.partition_point(|&m| m <= number)..];
        let newest_of = |some: &[u64]| some.iter().rev().take(page.limit).copied().collect();
        let numbers = match page.from {
            From::Newest => newest_of(messages),
            From::Before(number) => newest_of(before(number)),
            From::Since(number) => newest_of(after(number)),
            From::After(number) => after(number).iter().take(page.limit).copied().collect(),
        };
        (messages.len(), numbers)
    }

    fn forget(&mut self, now: Moment) {
        while let Some(key) = self.oldest_first.front() {
            if self
                .recent
                .get(key)
                .is_some_and(|&at| now.since(at) < DEDUPLICATED)
            {
                return;
            }
            self.recent.remove(key);
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(1_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_guid_is_known_for_a_minute_in_its_group() {
        let (mut groups, guid) = (Groups::default(), Arc::from("g"));
        groups.add(1, &guid, 1, at(0));
        assert!(groups.has(1, &guid, at(59)));
        assert!(!groups.has(2, &guid, at(59)));
        assert!(!groups.has(1, &guid, at(60)));
    }

    #[test]
    fn since_is_the_newest_after_and_after_the_next() {
        let mut groups = Groups::default();
        for number in 1..=9 {
            groups.add(1, &Arc::from(number.to_string()), number, at(0));
        }
        let page = |from| groups.page(1, Page { from, limit: 3 }).1;
        assert_eq!(page(From::Newest), [9, 8, 7]);
        assert_eq!(page(From::Before(7)), [6, 5, 4]);
        assert_eq!(page(From::Since(2)), [9, 8, 7]);
        assert_eq!(page(From::After(2)), [3, 4, 5]);
        assert_eq!(page(From::Before(1)), [0; 0]);
    }

    #[test]
    fn a_deleted_message_is_gone_and_still_deduplicates() {
        let (mut groups, guid) = (Groups::default(), Arc::from("g"));
        groups.add(1, &guid, 1, at(0));
        assert!(groups.delete(1, 1));
        assert!(!groups.delete(1, 1));
        assert_eq!(
            groups.page(
                1,
                Page {
                    from: From::Newest,
                    limit: 20
                }
            ),
            (0, vec![])
        );
        assert!(groups.has(1, &guid, at(1)));
    }
}
