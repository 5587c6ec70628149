//! `lane-owner URL ACCOUNT hold`: owns a lane in a process of its own, to be killed or frozen.
//! `lane-owner URL ACCOUNT bury|put-back POINT`: ends where it settles its first message, as by a crash at that point.
//!
//! It prints `holds N` with each message it has been given, `lost the lane` when it has, and `may call` where a call could
//! start just after it was frozen.

use std::{
    env,
    io::{self, Write},
    time::Duration,
};

use anyhow::{Result, bail};
use jiff::Timestamp;
use tidings_broker::{
    Delivery, Effect, FENCE, Lane, LaneEvent, LaneName, Options, Settlement, connect,
    fault::{self, Point},
};
use tidings_model::{
    Account, BrokerUrl, Decision, Headers, LetterHead, MessageId, Reason, Record, Verdicted,
};
use tokio::time::Instant;

const TICK: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [url, account, what, rest @ ..] = &words[..] else {
        bail!("usage: lane-owner URL ACCOUNT hold|bury|put-back [POINT]");
    };
    let url: BrokerUrl = url.parse()?;
    let account: Account = account.parse()?;
    let broker = connect(&url, Options::new("lane-owner".into())).await?;
    let lane = broker
        .subscribe(LaneName::Account(account.clone()), 10)
        .await?;
    match (what.as_str(), rest) {
        ("hold", []) => hold(lane).await,
        ("bury" | "put-back", [point]) => {
            let point = point.parse::<Point>().map_err(anyhow::Error::msg)?;
            fault::arm(point, 1, fault::Then::Crash);
            crash(lane, &account, what).await
        }
        _ => bail!("{words:?} is not understood"),
    }
}

async fn hold(mut lane: Lane) -> Result<()> {
    let mut clock = tokio::time::interval(TICK);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            // The clock first: what the fence says at the moment of waking is what counts.
            biased;
            _ = clock.tick() => {
                let now = Instant::now();
                if now - last > FENCE && lane.fence.holds(now) {
                    say("was frozen, and may call")?;
                }
                last = now;
            }
            event = lane.events.recv() => match event {
                Some(LaneEvent::Delivered(delivery)) => {
                    say(&format!("holds {}", String::from_utf8_lossy(&delivery.body)))?;
                    delivery.leave();
                }
                Some(LaneEvent::Settled(ticket)) => bail!("{ticket:?} was never given back"),
                Some(LaneEvent::Lost(why)) => say(&format!("lost the lane: {why}"))?,
                None => return Ok(()),
            }
        }
    }
}

async fn crash(mut lane: Lane, account: &Account, how: &str) -> Result<()> {
    while let Some(event) = lane.events.recv().await {
        match event {
            LaneEvent::Delivered(delivery) => {
                let settlement = settlement(&delivery, account, how)?;
                lane.settle.settle(delivery, settlement);
            }
            LaneEvent::Settled(_) => {}
            LaneEvent::Lost(why) => bail!("lost the lane: {why}"),
        }
    }
    Ok(())
}

fn settlement(delivery: &Delivery, account: &Account, how: &str) -> Result<Settlement> {
    let id: MessageId = format!("m-{}", std::str::from_utf8(&delivery.body)?).parse()?;
    let (at, generation) = (Timestamp::now(), delivery.headers.generation);
    let effect = if how == "bury" {
        Effect::Bury(Box::new(LetterHead {
            id: Some(id.clone()),
            account: Some(account.clone()),
            reason: Reason::Rejected,
            attempts: Vec::new(),
            dead_at: at,
            generation,
            maybe_delivered: false,
            stood_at: None,
        }))
    } else {
        Effect::PutBack(Box::new(Headers {
            turn: delivery.headers.turn + 1,
            ..delivery.headers.clone()
        }))
    };
    let verdicted = Verdicted::PutBack {
        id,
        generation,
        account: account.clone(),
        at,
        due: at,
        maybe_delivered: false,
        consent: false,
    };
    let decision = Decision {
        turn: delivery.headers.turn,
        attempt: None,
        verdicted,
    };
    Ok(Settlement {
        record: Some(Record::Decided(Box::new(decision))),
        effect,
        event: None,
    })
}

/// A line, out at once: a test waits for it.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
