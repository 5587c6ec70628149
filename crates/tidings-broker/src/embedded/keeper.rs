use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rusqlite::{Connection, params};
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{Core, batch::Batch, clock, headers, lease, place::Place, queue, settle::LOST};
use crate::{BrokerError, Delivery, FENCE, Ticket};

/// At most so many bytes of bodies are handed out at once, unless one alone is larger.
const MAX_BYTES: usize = 8 << 20;

/// How soon the file is tried again after an error.
const AGAIN: Duration = Duration::from_millis(200);

/// Serves one place at a lane: stands by, takes the lane, renews its lease, hands messages out, lets it go.
pub(super) struct Keeper {
    pub(super) core: Arc<Core>,
    pub(super) place: Arc<Place>,
    /// This process among the owners.
    pub(super) owner: Arc<str>,
    pub(super) news: watch::Receiver<()>,
    pub(super) closing: CancellationToken,
    /// Up to here everything was handed out in this tenure.
    pub(super) handed: i64,
}

/// What one turn of an owner brought.
enum Turn {
    Lost,
    Held {
        messages: Vec<Message>,
        /// There may be more than fitted.
        more: bool,
        /// When the next falls due.
        due: Option<i64>,
        /// The lease outlasts the fence.
        fenced: bool,
    },
}

/// A message as the file has it.
struct Message {
    seq: i64,
    returns: i64,
    headers: String,
    body: Bytes,
}

impl Keeper {
    pub(super) async fn keep(mut self) {
        if let Some(tenure) = self.stand_by().await {
            self.place.own(tenure);
            self.own(tenure).await;
        }
        self.place.end();
    }

    /// Waits until the lane is ours; `None` when it is not wanted any more.
    async fn stand_by(&mut self) -> Option<i64> {
        let pace = self.core.pace;
        loop {
            self.news.borrow_and_update();
            let wait = match self.try_to_take().await {
                Ok(Ok(tenure)) => return Some(tenure),
                Ok(Err(left)) => left.min(pace.renew),
                Err(error) => {
                    tracing::warn!(lane = %self.place.name, %error, "cannot look who owns the lane");
                    pace.renew
                }
            };
            let looked = Instant::now();
            tokio::select! {
                () = self.closing.cancelled() => return None,
                () = time::sleep(wait) => {}
                changed = self.news.changed() => {
                    changed.ok()?;
                    // Much is written where the owner is busy: that need not be looked at each time.
                    time::sleep_until(looked + pace.look * 2).await;
                }
            }
        }
    }

    /// Takes the lane, or says how long somebody else has it.
    async fn try_to_take(&self) -> Result<Result<i64, Duration>, BrokerError> {
        let (lane, length) = (self.place.lane, self.core.pace.lease);
        let owners = self.core.owners.clone();
        let (left, ended) = self
            .core
            .reader
            .read(move |db| {
                let Some(lease) = lease::look(db, lane)? else {
                    return Ok((0, None));
                };
                let left = lease.left(clock::uptime(), length);
                let ended = |owner: &String| left > 0 && owners.has_ended(owner);
                Ok((left, lease.owner.filter(ended)))
            })
            .await?;
        if left > 0 && ended.is_none() {
            return Ok(Err(Duration::from_millis(left.unsigned_abs())));
        }
        let asked_at = Instant::now();
        let owner = Arc::clone(&self.owner);
        let take =
            move |batch: &mut Batch<'_>| lease::take(batch, lane, &owner, ended.as_deref(), length);
        Ok(match self.core.writer.ask(take).await? {
            Some(tenure) => {
                self.place.fence.confirmed(asked_at);
                Ok(tenure)
            }
            None => Err(self.core.pace.look),
        })
    }

    /// Owns the lane until it is lost or let go.
    async fn own(&mut self, tenure: i64) {
        let mut renewal = self.core.next_renewal();
        let (mut more, mut due) = (true, None);
        while !self.closing.is_cancelled() {
            if self.place.is_over() {
                return;
            }
            let free = self.place.free();
            let ripe = more || due.is_some_and(|due| due <= clock::now());
            let renew = Instant::now() >= renewal;
            if renew || (free > 0 && ripe) {
                let room = if ripe { free } else { 0 };
                let asked_at = Instant::now();
                match self.turn(tenure, room, renew).await {
                    Ok(Turn::Lost) => return self.place.lose(LOST),
                    Ok(Turn::Held {
                        messages,
                        more: cut,
                        due: next,
                        fenced,
                    }) => {
                        if fenced {
                            self.place.fence.confirmed(asked_at);
                        }
                        if room > 0 {
                            (more, due) = (cut, next);
                        }
                        if renew {
                            renewal = self.core.next_renewal();
                        }
                        self.hand_out(messages);
                    }
                    Err(error) if self.core.closing.is_cancelled() => {
                        return self.place.lose(&error.to_string());
                    }
                    Err(error) => {
                        tracing::debug!(lane = %self.place.name, %error, "the lane stands until its file can be written");
                        tokio::select! {
                            () = self.closing.cancelled() => {}
                            () = time::sleep(AGAIN) => {}
                        }
                    }
                }
                continue;
            }
            let next = match due {
                Some(due) if free > 0 => renewal.min(Instant::now() + until(due)),
                _ => renewal,
            };
            tokio::select! {
                () = self.closing.cancelled() => {}
                () = self.place.stirred.notified() => {}
                () = time::sleep_until(next) => {}
                _ = self.news.changed() => more = true,
            }
        }
        self.release(tenure).await;
    }

    /// Checks the tenure, renews its lease where that is due, and takes out what may be handed out now.
    async fn turn(&mut self, tenure: i64, room: usize, renew: bool) -> Result<Turn, BrokerError> {
        if room > 0 {
            // What is written from here on is not yet seen.
            self.news.borrow_and_update();
        }
        let (lane, name) = (self.place.lane, self.place.name.clone());
        let (handed, length) = (self.handed, self.core.pace.lease);
        let turn = move |batch: &mut Batch<'_>| {
            let Some(until) = lease::held(batch, lane, tenure)? else {
                return Ok(Turn::Lost);
            };
            if renew {
                lease::renew(batch, lane, length)?;
            }
            let mut due = None;
            let (mut messages, mut more) = (Vec::new(), false);
            if room > 0 {
                due = queue::ripen(batch, lane, &name)?;
                (messages, more) = next(batch.db, lane, handed, room)?;
            }
            if let Some(last) = messages.last() {
                // Before it is in anybody's hands: whoever owns the lane next will know.
                batch.execute(
                    "UPDATE lanes SET handed = ?2 WHERE lane = ?1",
                    [lane, last.seq],
                )?;
            }
            Ok(Turn::Held {
                messages,
                more,
                due,
                fenced: renew || until.saturating_sub(batch.uptime) >= lease::millis(FENCE),
            })
        };
        self.core.writer.ask(turn).await
    }

    fn hand_out(&mut self, messages: Vec<Message>) {
        if self.closing.is_cancelled() {
            return;
        }
        if let Some(last) = messages.last() {
            self.handed = last.seq;
            self.place
                .deliver(messages.into_iter().map(Delivery::from).collect());
        }
    }

    async fn release(&self, tenure: i64) {
        let (lane, handed) = (self.place.lane, self.handed);
        let release = move |batch: &mut Batch<'_>| lease::release(batch, lane, tenure, handed);
        if let Err(error) = self.core.writer.ask(release).await {
            tracing::warn!(lane = %self.place.name, %error, "the lane could not be let go: its lease runs out by itself");
        }
    }
}

fn until(due: i64) -> Duration {
    Duration::from_millis(u64::try_from(due - clock::now()).unwrap_or(0))
}

/// The next messages of a lane behind the last that was handed out, and whether there may be more.
fn next(
    db: &Connection,
    lane: i64,
    handed: i64,
    room: usize,
) -> rusqlite::Result<(Vec<Message>, bool)> {
    let mut statement = db.prepare_cached(
        "SELECT seq, returns, headers, bytes FROM messages LEFT JOIN bodies USING (body)
         WHERE lane = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![lane, handed, limit])?;
    let mut messages = Vec::new();
    let mut bytes = 0;
    while bytes < MAX_BYTES
        && let Some(row) = rows.next()?
    {
        // A body that is missing is an empty one: it cannot be decoded, and ends as a dead letter.
        let body = row.get_ref(3)?.as_bytes_or_null().ok().flatten();
        let message = Message {
            seq: row.get(0)?,
            returns: row.get(1)?,
            headers: row.get(2)?,
            body: Bytes::copy_from_slice(body.unwrap_or_default()),
        };
        bytes += message.body.len();
        messages.push(message);
    }
    let more = messages.len() == room || bytes >= MAX_BYTES;
    Ok((messages, more))
}

impl From<Message> for Delivery {
    fn from(message: Message) -> Self {
        Self::new(
            Ticket(message.seq.unsigned_abs()),
            message.body,
            headers::decode(&message.headers),
            message.returns > 0,
            u32::try_from(message.returns.max(0)).unwrap_or(u32::MAX),
        )
    }
}
