use std::collections::HashMap;
use std::sync::Arc;

use crate::Provider;

/// How a token is shown: a few of its first characters and a hash, enough to tell accounts apart and too little to use.
pub fn fingerprint(token: &str) -> String {
    // A token of the sandbox is seldom secret, but somebody will point a real configuration at it.
    let shown = (token.chars().count() / 2).min(6);
    let start: String = token.chars().take(shown).collect();
    format!("{start}…{:06x}", fnv(token.as_bytes()) & 0xff_ffff)
}

/// FNV-1a: short, and the same in every version of everything, so that fingerprints and repeats can be relied on.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    fnv_on(0xcbf2_9ce4_8422_2325, bytes)
}

/// Continues a hash with more bytes.
pub(crate) fn fnv_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The accounts and destinations seen so far, each kept once and known by a number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    accounts_by_token: [HashMap<Box<str>, u32>; 5],
    pub(crate) accounts: Vec<Account>,
    destinations_by_name: HashMap<Arc<str>, u32>,
    destinations: Vec<Arc<str>>,
}

/// One token at one provider.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) provider: Provider,
    pub(crate) fingerprint: Arc<str>,
    /// GroupMe's `user_id`.
    pub(crate) user: u64,
}

impl Names {
    /// A call without a token is of the account "".
    pub(crate) fn account(&mut self, provider: Provider, token: &str) -> u32 {
        let by_token = &mut self.accounts_by_token[provider as usize];
        if let Some(&account) = by_token.get(token) {
            return account;
        }
        let account = count(self.accounts.len());
        by_token.insert(token.into(), account);
        let fingerprint = if token.is_empty() {
            String::new()
        } else {
            fingerprint(token)
        };
        self.accounts.push(Account {
            provider,
            fingerprint: fingerprint.into(),
            user: fnv(token.as_bytes()) >> 24,
        });
        account
    }

    pub(crate) fn destination(&mut self, name: &str) -> u32 {
        if let Some(&destination) = self.destinations_by_name.get(name) {
            return destination;
        }
        let destination = count(self.destinations.len());
        let name: Arc<str> = name.into();
        self.destinations.push(Arc::clone(&name));
        self.destinations_by_name.insert(name, destination);
        destination
    }

    pub(crate) fn fingerprint(&self, account: u32) -> &str {
        &self.accounts[account as usize].fingerprint
    }

    pub(crate) fn destination_name(&self, destination: u32) -> &str {
        &self.destinations[destination as usize]
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn a_fingerprint_never_shows_more_than_half_of_a_token() {
        assert_eq!(
            fingerprint("groupme-token-of-ops").split('…').next(),
            Some("groupm")
        );
        assert_eq!(fingerprint("abc").split('…').next(), Some("a"));
    }

    #[test]
    fn tokens_with_the_same_start_have_different_fingerprints() {
        assert_ne!(
            fingerprint("groupme-token-1"),
            fingerprint("groupme-token-2")
        );
    }
}
