//! Opaque ids. A client must not compare a provider's ids or read an age from them, so these neither grow nor shrink:
//! they are the count of messages, scrambled by a multiplication that can be undone.

const BITS: u64 = (1 << 48) - 1;
const SCRAMBLE: u64 = 0x9E37_79B9_7F4B;
const UNSCRAMBLE: u64 = inverse(SCRAMBLE);

/// The id of the `number`th message: below 2^48, so a JSON number keeps it exactly.
pub(crate) fn id(number: u64) -> u64 {
    number.wrapping_mul(SCRAMBLE) & BITS
}

/// The number of the message with this id.
pub(crate) fn number(id: u64) -> u64 {
    id.wrapping_mul(UNSCRAMBLE) & BITS
}

/// The inverse of an odd number modulo 2^64: each of Newton's steps doubles the bits that are right, from three.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut step = 0;
    while step < 5 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::{id, number};

    #[test]
    fn an_id_leads_back_to_its_number() {
        for n in (0..100_000).chain([(1 << 48) - 1]) {
            assert_eq!(number(id(n)), n);
        }
    }

    #[test]
    fn ids_do_not_tell_which_message_is_older() {
        let grew = (1..1000).filter(|&n| id(n + 1) > id(n)).count();
        assert!((100..900).contains(&grew), "{grew} of 999 ids grew");
    }
}
