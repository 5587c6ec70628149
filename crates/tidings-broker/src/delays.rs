use std::time::Duration;

/// What waits in the delays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delays {
    /// The levels at which something waits, or whose movement was tried; the shortest first.
    pub levels: Vec<DelayLevel>,
    /// Messages that fell due and found no lane. A worker makes dead letters of them.
    pub unroutable: u64,
}

/// One level of the delays: those whose remaining wait is at least its time, and less than twice that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayLevel {
    /// For how long the level holds a message: a power of two of seconds.
    pub holds: Duration,
    /// How many are there.
    pub waiting: u64,
    /// Whether they leave it.
    pub moves: Moves,
}

/// Whether messages leave a level when their time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// They do.
    Yes,
    /// They do not: what waits there stands still, for everybody.
    No,
    /// It takes longer to find out than was asked for.
    Untried,
}

impl Delays {
    /// The levels that stand still.
    pub fn standing_still(&self) -> impl Iterator<Item = &DelayLevel> {
        self.levels.iter().filter(|level| level.moves == Moves::No)
    }
}
