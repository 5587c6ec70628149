//! Who may see a page, and who may act.
//!
//! - The `Host` must be one of loopback's names where the console listens there: a foreign name that was made to lead
//!   to this machine is turned away.
//! - Where credentials are asked for, each request brings them.
//! - What acts is a POST with this origin, the console's own cookie (which no other site's request carries) and its
//!   token (which no other site can read).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, distr::Alphanumeric};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::Visitors;

/// What every answer says to the browser: run and load nothing but the console's own, and show it in no frame.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // `no-referrer` would take the origin from the console's own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Who may come in: users with a password each, or whoever has the token.
#[derive(Debug, Default)]
pub struct Credentials(Vec<(Option<String>, SecretString)>);

/// Why a file has no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// There is nobody in it.
    #[error("it names nobody: write `user:password` or a token, one a line")]
    Nobody,
    /// Too easy to guess.
    #[error("line {0}: the password or token is shorter than {MIN} characters")]
    Short(usize),
}

/// Shortest password or token, in characters.
const MIN: usize = 8;

impl Credentials {
    /// Reads `user:password` or a token from each line; blank lines and those that begin with `#` count for nothing.
    ///
    /// # Errors
    /// When there is none, or one is shorter than 8 characters.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let mut all = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, secret) = match line.split_once(':') {
                Some((user, password)) => (Some(user.to_owned()), password),
                None => (None, line),
            };
            if secret.chars().count() < MIN {
                return Err(CredentialsError::Short(number));
            }
            all.push((user, SecretString::from(secret)));
        }
        match all.len() {
            0 => Err(CredentialsError::Nobody),
            _ => Ok(Self(all)),
        }
    }

    /// Who it is, where the secret is right. With a token, whoever they say they are.
    fn user(&self, authorization: &str) -> Option<String> {
        let (scheme, value) = authorization.split_once(' ')?;
        let (user, secret) = if scheme.eq_ignore_ascii_case("bearer") {
            (String::new(), value.trim().to_owned())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = BASE64_STANDARD.decode(value.trim()).ok()?;
            let (user, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
            (user.to_owned(), secret.to_owned())
        } else {
            return None;
        };
        let right = self.0.iter().any(|(known, expected)| {
            known.as_ref().is_none_or(|known| *known == user)
                && same(&secret, expected.expose_secret())
        });
        let name = if user.is_empty() { "token" } else { &user };
        right.then(|| format!("{name} (console)"))
    }
}

/// Whether an address can be reached from elsewhere.
#[must_use]
pub fn is_public(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// The rules of one console.
#[derive(Debug)]
pub(super) struct Guard {
    /// The names that it answers to; any where there are none.
    hosts: Vec<String>,
    visitors: Visitors,
    /// In every form; no other site can read it.
    token: String,
    /// Cookies are shared by all ports of a host: the name has it.
    cookie_name: String,
    /// In the cookie; no other site's request carries it.
    cookie: String,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) struct User(pub(super) String);

impl Guard {
    pub(super) fn new(address: SocketAddr, visitors: Visitors) -> Self {
        let port = address.port();
        let hosts = match is_public(address) {
            true => Vec::new(),
            false => ["localhost", "127.0.0.1", "[::1]"]
                .map(|name| format!("{name}:{port}"))
                .into_iter()
                .chain([address.to_string()])
                .collect(),
        };
        Self {
            hosts,
            visitors,
            token: random(),
            cookie_name: format!("tidings-dlq-{port}"),
            cookie: random(),
        }
    }

    /// What every form of the console's carries.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether a form is the console's own.
    pub(super) fn is_own(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| same(token, &self.token))
    }

    fn knows_host(&self, headers: &HeaderMap) -> bool {
        self.hosts.is_empty()
            || text(headers, header::HOST)
                .is_some_and(|host| self.hosts.iter().any(|known| known == host))
    }

    fn user(&self, headers: &HeaderMap) -> Option<User> {
        let Some(credentials) = &self.visitors.credentials else {
            return Some(User(self.visitors.local.clone()));
        };
        credentials
            .user(text(headers, header::AUTHORIZATION)?)
            .map(User)
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter();
        cookies
            .filter_map(|cookies| cookies.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == self.cookie_name && same(value, &self.cookie))
    }

    fn may_act(&self, headers: &HeaderMap) -> bool {
        let origin = text(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
        origin.is_some_and(|(_, host)| text(headers, header::HOST) == Some(host))
            && self.has_cookie(headers)
    }
}

/// Lets a request through, or says why not.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let has_cookie = guard.has_cookie(headers);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if !guard.knows_host(headers) {
        let why =
            "This console does not answer to that name: open it at the address that it printed.\n";
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    } else if !reads && !guard.may_act(headers) {
        let why = "That did not come from this console: go back, reload the page, and try again.\n";
        (StatusCode::FORBIDDEN, why).into_response()
    } else if let Some(user) = guard.user(headers) {
        request.extensions_mut().insert(user);
        next.run(request).await
    } else {
        let ask = [(
            header::WWW_AUTHENTICATE,
            r#"Basic realm="Tidings", charset="UTF-8""#,
        )];
        (StatusCode::UNAUTHORIZED, ask, "Who are you?\n").into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let (name, value) = (&guard.cookie_name, &guard.cookie);
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict");
    if let Some(cookie) = HeaderValue::from_str(&cookie).ok().filter(|_| !has_cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Takes as long whatever is wrong.
fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

fn random() -> String {
    let characters = rand::rng().sample_iter(Alphanumeric);
    characters.take(32).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, secret: &str) -> String {
        format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{secret}"))
        )
    }

    #[test]
    fn users_and_tokens_come_in_and_nobody_else() {
        let credentials =
            Credentials::parse("# us\nann:correct horse\n\nabcdefgh12345678\n").unwrap();
        for (authorization, expected) in [
            (basic("ann", "correct horse"), Some("ann (console)")),
            (basic("bob", "correct horse"), None),
            (basic("ann", "wrong"), None),
            (basic("bob", "abcdefgh12345678"), Some("bob (console)")),
            ("Bearer abcdefgh12345678".into(), Some("token (console)")),
            ("Bearer correct horse".into(), None),
            ("Digest x".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(
                credentials.user(&authorization).as_deref(),
                expected,
                "{authorization}"
            );
        }
        assert_eq!(
            Credentials::parse("\n# nobody\n").unwrap_err(),
            CredentialsError::Nobody
        );
        assert_eq!(
            Credentials::parse("\nann:short").unwrap_err(),
            CredentialsError::Short(2)
        );
        assert!(!format!("{credentials:?}").contains("horse"));
    }

    #[test]
    fn loopback_is_not_public_however_it_is_written() {
        for (address, expected) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }
}
