use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use tidings_model::{Account, Provider, config::AccountConfig};

use crate::{groupme, request::Base};

/// Why no calls can be made for an account. It never shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There is no secret, or it cannot be sent.
    #[error("the secret of account {account} {why}")]
    Secret {
        /// Whose.
        account: Account,
        /// What is wrong with it, and what would be right.
        why: &'static str,
    },
    /// The address is no address of an API.
    #[error("base_url {url:?} of account {account} {why}")]
    BaseUrl {
        /// Whose.
        account: Account,
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Pingup's URL needs a business.
    #[error(
        "account {account} needs `business`, the name that Pingup's URL has, other than \".\" and \"..\""
    )]
    Business {
        /// Whose.
        account: Account,
    },
    /// Nothing to verify the provider's certificate with.
    #[error(
        "account {account} cannot use TLS: {why}; install the system's root certificates (ca-certificates), or name a file of them in SSL_CERT_FILE"
    )]
    Tls {
        /// Whose.
        account: Account,
        /// What TLS says.
        why: String,
    },
    /// The HTTP client was refused.
    #[error("no HTTP client for account {account}: {why}")]
    Http {
        /// Whose.
        account: Account,
        /// What it says.
        why: String,
    },
}

/// Where the account's calls go.
pub(crate) fn base(account: &Account, config: &AccountConfig) -> Result<Base, ClientError> {
    let wrong = |why: String| ClientError::BaseUrl {
        account: account.clone(),
        url: config.base_url.clone(),
        why,
    };
    let url = Url::parse(&config.base_url).map_err(|error| wrong(format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https")
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(wrong(
            "is not like https://host/path, without ? and #".into(),
        ));
    }
    let base = Base::new(&config.base_url);
    if account.provider() != Provider::Pingup {
        return Ok(base);
    }
    match config.business.as_deref() {
        None | Some("" | "." | "..") => Err(ClientError::Business {
            account: account.clone(),
        }),
        Some(business) => Ok(Base::new(&base.join([business]))),
    }
}

/// The header that proves who calls; Grupo's secret is a field of its form.
pub(crate) fn credentials(
    account: &Account,
    secret: &SecretString,
) -> Result<HeaderMap, ClientError> {
    let wrong = |why| ClientError::Secret {
        account: account.clone(),
        why,
    };
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return Err(wrong("is empty"));
    }
    let (name, value) = match account.provider() {
        Provider::Grupo => return Ok(HeaderMap::new()),
        Provider::Groupme => (HeaderName::from_static(groupme::TOKEN), secret.to_owned()),
        Provider::Whatspie | Provider::Raven | Provider::Pingup => {
            (AUTHORIZATION, format!("Bearer {secret}"))
        }
    };
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| wrong("cannot be sent in a header: it may have visible ASCII characters alone, and no line end"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(name, value)]))
}
