//! A secret is in the request, and nowhere else.

use tidings_model::Verdict;
use tidings_providers::ClientError;

use super::*;
use crate::server::Server;

#[tokio::test]
async fn an_answer_that_repeats_the_secret_is_masked() {
    for provider in Provider::ALL {
        for body in [
            format!(r#"{{"success":false,"message":"no key {SECRET}"}}"#),
            format!("<p>no key {SECRET}</p>"),
        ] {
            let server = Server::answering(400, body).await;
            let answer = attempt(&client(provider, server.url(), LONG), provider).await;
            assert_eq!(answer.verdict, Verdict::Rejected);
            let error = answer.error.unwrap();
            assert!(
                error.contains("no key ***") && !error.contains(SECRET),
                "{error}"
            );
        }
    }
}

#[test]
fn a_client_does_not_show_its_secret() {
    for provider in Provider::ALL {
        let shown = format!("{:?}", client(provider, "http://127.0.0.1:1", LONG));
        assert!(shown.contains("ops") && !shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn a_secret_that_cannot_be_sent_is_refused_without_being_shown() {
    let new = |provider, secret: &str| {
        Client::new(
            &account(provider),
            &config("http://127.0.0.1:1", LONG),
            SecretString::from(secret),
        )
    };
    for provider in Provider::ALL {
        let error = new(provider, "").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the secret of account {provider}.ops is empty")
        );
        // Grupo's goes into a form, where anything can be.
        let broken = new(provider, "hunter2\nX-Evil: 1");
        if provider == Provider::Grupo {
            broken.unwrap();
            continue;
        }
        let error = broken.unwrap_err();
        assert!(matches!(&error, ClientError::Secret { .. }));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn an_address_that_is_none_is_refused_by_name() {
    for url in [
        "",
        "chat.example.com",
        "ftp://example.com",
        "http://example.com/a?b=c",
        "http://example.com/#a",
    ] {
        let error = Client::new(
            &account(Provider::Grupo),
            &config(url, LONG),
            SecretString::from(SECRET),
        )
        .unwrap_err();
        assert!(
            matches!(&error, ClientError::BaseUrl { .. }),
            "{url}: {error}"
        );
        assert!(error.to_string().contains(url));
    }
    for business in [None, Some(""), Some("."), Some("..")] {
        let config = AccountConfig {
            business: business.map(str::to_owned),
            ..config("http://127.0.0.1:1", LONG)
        };
        let error = Client::new(
            &account(Provider::Pingup),
            &config,
            SecretString::from(SECRET),
        )
        .unwrap_err();
        assert!(
            matches!(error, ClientError::Business { .. }),
            "{business:?}"
        );
    }
}
