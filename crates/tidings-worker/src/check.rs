//! Trying a configuration before it is used.

use secrecy::SecretString;
use tidings_model::{
    Account, Config,
    config::{AccountConfig, SecretSource},
};
use tidings_providers::{Check, Client};

/// Checks each account: whether its secret is where the configuration says, whether a client can be made of it, and
/// with `online` whether the provider takes it. Words for people, or what is wrong.
pub async fn check(
    config: &Config,
    secrets: &(dyn Fn(&SecretSource) -> Result<SecretString, String> + Sync),
    online: bool,
) -> Vec<(Account, Result<String, String>)> {
    let mut results = Vec::new();
    for (account, wanted) in &config.accounts {
        results.push((
            account.clone(),
            check_account(account, wanted, secrets, online).await,
        ));
    }
    results
}

async fn check_account(
    account: &Account,
    config: &AccountConfig,
    secrets: &(dyn Fn(&SecretSource) -> Result<SecretString, String> + Sync),
    online: bool,
) -> Result<String, String> {
    let secret =
        secrets(&config.secret).map_err(|why| format!("its secret, {}: {why}", config.secret))?;
    let client = Client::new(account, config, secret).map_err(|error| error.to_string())?;
    if !online {
        return Ok("ok".into());
    }
    match client.check().await {
        Check::Works => Ok("ok, and the provider takes its secret".into()),
        Check::NoHarmlessCall => {
            Ok("ok; the provider has no harmless call to try its secret with".into())
        }
        Check::Refused(words) => Err(format!("the provider refuses its secret: {words}")),
        Check::CannotTell(words) => Err(format!(
            "the provider did not say whether its secret works: {words}"
        )),
    }
}
