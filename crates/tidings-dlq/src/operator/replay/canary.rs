/// What became of the messages that went first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canary {
    /// They are not all sent, or have not all ended.
    Out,
    /// All were delivered.
    Passed,
    /// So many were not.
    Failed(u64),
}

impl Canary {
    /// `outcomes` are those of the first that were sent, where they have one; `wanted` is how many are to go first;
    /// `refused` could not be sent at all.
    pub(super) fn judge(
        outcomes: impl Iterator<Item = Option<bool>>,
        wanted: usize,
        refused: u64,
    ) -> Self {
        let (mut ended, mut died) = (0, 0);
        for delivered in outcomes.take(wanted).flatten() {
            ended += 1;
            died += u64::from(!delivered);
        }
        match (ended == wanted, died + refused) {
            (true, 0) => Self::Passed,
            (false, _) if refused == 0 => Self::Out,
            (_, failed) => Self::Failed(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_canary_must_have_ended_delivered() {
        use Canary::{Failed, Out, Passed};
        let (delivered, died) = (Some(true), Some(false));
        for (outcomes, wanted, refused, expected) in [
            (&[][..], 0, 0, Passed),
            (&[], 2, 0, Out),
            (&[delivered], 2, 0, Out),
            (&[died, None], 2, 0, Out),
            (&[delivered, delivered, died], 2, 0, Passed),
            (&[delivered, died], 2, 0, Failed(1)),
            (&[delivered, None], 2, 1, Failed(1)),
        ] {
            let judged = Canary::judge(outcomes.iter().copied(), wanted, refused);
            assert_eq!(
                judged, expected,
                "{outcomes:?} of {wanted}, {refused} refused"
            );
        }
    }
}
