//! What ended dead, and the inspector that acts on it.

use std::{collections::BTreeMap, process::Output};

use serde_json::{Value, json};
use tidings_model::{DeadLetter, Reason, Verdicted};
use tidings_sandbox::{Fault, Faults, On as Calls, Operation, Provider};

use super::{Fleet, ONE_OF_EACH, lines, messages};
use crate::eventually;

/// What a provider says to a message that it will never take.
pub fn refusal(provider: Provider) -> Fault {
    match provider {
        Provider::Grupo => {
            Fault::status(200).body(json!({"success": false, "error_key": "user_not_found"}))
        }
        Provider::Raven => Fault::status(404),
        Provider::Pingup => Fault::status(400)
            .body(json!({"success": false, "message": "The conversation is not open"})),
        Provider::WhatsPie => Fault::status(422),
        Provider::GroupMe => Fault::status(400),
    }
}

/// What each provider says to a message that it will never take.
pub fn refusals() -> Faults {
    ONE_OF_EACH
        .into_iter()
        .map(|(_, provider)| refusal(provider).on(Calls::from(provider).operation(Operation::Send)))
        .fold(Faults::none(), Faults::fault)
}

impl Fleet {
    /// So many messages of an account die, of what its provider will never take; then the provider works again. A worker
    /// must run.
    pub async fn bury(&self, account: &str, count: usize) {
        self.sandbox.set_faults(&refusals()).await;
        let ids = self.send(&messages(account, "m", count)).await;
        self.ended(&ids).await;
        self.open_letters(count).await;
        self.sandbox.heal().await;
    }

    /// Waits until so many letters are open.
    pub async fn open_letters(&self, count: usize) -> Vec<DeadLetter> {
        eventually("every letter is there", async || {
            let letters = self.letters().await;
            match letters.len() {
                found if found == count => Ok(letters),
                found => Err(format!("{found} of {count}")),
            }
        })
        .await
    }

    /// Runs `tidings-dlq` to its end.
    pub async fn dlq(&self, arguments: &[&str]) -> Output {
        self.command("tidings-dlq", arguments).run("").await
    }

    /// Runs `tidings-dlq`, which must do all of it, and returns what it said, a line of JSON each.
    ///
    /// # Panics
    /// Where it fails.
    pub async fn dlq_does(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.dlq(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        lines(&output.stdout)
    }

    /// Runs `tidings-dlq`, which must fail in part, and returns what it said, a line of JSON each.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn dlq_fails(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.dlq(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        lines(&output.stdout)
    }

    /// How one generation of each message ended so far: delivered, or why not.
    pub fn ends_of(&self, generation: u32) -> BTreeMap<String, Option<Reason>> {
        let mut ends = BTreeMap::new();
        for decision in self.ledger.decisions() {
            if let Verdicted::Ended { outcome, .. } = &decision.verdicted
                && outcome.generation() == generation
            {
                let id = outcome.id().to_string();
                ends.entry(id).or_insert_with(|| outcome.reason());
            }
        }
        ends
    }

    /// Waits until so many messages of a generation have ended, and returns how many were delivered.
    pub async fn delivered_of(&self, generation: u32, count: usize) -> usize {
        let ends = eventually("every message of a generation has ended", async || {
            let ends = self.ends_of(generation);
            match ends.len() {
                found if found >= count => Ok(ends),
                found => Err(format!("{found} of {count}")),
            }
        });
        let ends = ends.await;
        ends.values().filter(|reason| reason.is_none()).count()
    }
}
