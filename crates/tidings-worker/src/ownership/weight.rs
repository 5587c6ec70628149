use tidings_model::{Account, WorkerId};

/// How much a worker is called to a lane (rendezvous hashing): the heaviest owns it. A worker that comes or goes moves
/// only its own lanes.
///
/// The same in every process and version: a fleet that disagrees over it would have two workers at a lane.
pub(super) fn weight(account: &Account, worker: &WorkerId) -> u64 {
    // No account or worker has a zero byte, so the two cannot be confused. FNV-1a alone hardly moves the upper bits for
    // the last bytes, which is where worker ids differ: SplitMix64's last step spreads them.
    let bytes = account
        .as_str()
        .bytes()
        .chain([0])
        .chain(worker.as_str().bytes());
    spread(fnv1a(bytes))
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn spread(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(number: usize) -> Account {
        format!("raven.lane-{number}").parse().unwrap()
    }

    fn owner(account: &Account, workers: &[WorkerId]) -> usize {
        (0..workers.len())
            .max_by_key(|worker| weight(account, &workers[*worker]))
            .unwrap()
    }

    #[test]
    fn the_hashes_are_the_published_ones() {
        assert_eq!(fnv1a("".bytes()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("foobar".bytes()), 0x8594_4171_f739_67e8);
        assert_eq!(spread(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn a_weight_is_the_same_in_every_version() {
        let weight = weight(&"groupme.ops".parse().unwrap(), &"host-1-00000000".into());
        assert_eq!(weight, 3_147_572_228_055_547_534);
    }

    #[test]
    fn the_lanes_are_shared_evenly() {
        let workers: Vec<WorkerId> = (0..5)
            .map(|n| format!("host-{n}-0000000{n}").into())
            .collect();
        let mut shares = [0; 5];
        for number in 0..1000 {
            shares[owner(&lane(number), &workers)] += 1;
        }
        assert!(
            shares.iter().all(|share| (140..260).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn a_newcomer_takes_lanes_and_moves_none_between_others() {
        let workers: Vec<WorkerId> = (0..5)
            .map(|n| format!("host-{n}-0000000{n}").into())
            .collect();
        let moved = (0..1000)
            .map(|number| {
                (
                    owner(&lane(number), &workers[..4]),
                    owner(&lane(number), &workers),
                )
            })
            .filter(|(before, after)| before != after);
        assert!(moved.into_iter().all(|(_, after)| after == 4));
    }
}
