use proptest::prelude::*;

use super::*;

fn pingup(text: &str) -> PingupDelay {
    text.parse().unwrap()
}

#[test]
fn every_delay_of_pingups_page_and_of_the_contract_is_read() {
    let pages = [
        ("2w", 2 * WEEK),
        ("2d", 2 * DAY),
        ("14h", 14 * HOUR),
        ("60s", 60),
        ("1m", 60),
        ("10m", 600),
    ];
    let contract = [
        ("30s", 30),
        ("6s", 6),
        ("1h", HOUR),
        ("7d", WEEK),
        ("180d", 180 * DAY),
        ("15m", 900),
    ];
    for (text, seconds) in pages.into_iter().chain(contract) {
        assert_eq!(
            Delay::parse(text).map(Delay::as_secs),
            Ok(seconds),
            "{text}"
        );
        assert_eq!(pingup(text).delay().as_secs(), seconds, "{text}");
        assert_eq!(pingup(text).to_string(), text);
    }
}

#[test]
fn a_month_has_30_days_and_a_year_365() {
    assert_eq!(pingup("1M").delay().as_secs(), 30 * DAY);
    assert_eq!(pingup("8y").delay().as_secs(), 8 * 365 * DAY);
    assert!(
        Delay::parse("1M").is_err() && Delay::parse("1y").is_err(),
        "they are Pingup's alone"
    );
}

#[test]
fn a_delay_is_written_as_briefly_as_it_can_be() {
    for (text, brief) in [
        ("60s", "1m"),
        ("90s", "90s"),
        ("14d", "2w"),
        ("24h", "1d"),
        ("7d", "1w"),
        ("007h", "7h"),
    ] {
        assert_eq!(Delay::parse(text).unwrap().to_string(), brief);
    }
}

#[test]
fn what_is_not_a_delay_is_told_what_is() {
    for text in [
        "", "s", "5", "0s", "00w", "-5s", "+5s", " 5s", "5 s", "5s ", "1h30m", "1.5h", "5S", "5ms",
        "٣s", "5é",
    ] {
        let error = Delay::parse(text).unwrap_err().to_string();
        assert!(
            error.contains("s, m, h, d, w") && error.contains(&format!("{text:?}")),
            "{error}"
        );
        let error = text.parse::<PingupDelay>().unwrap_err().to_string();
        assert!(error.contains("s, m, h, d, w, M, y"), "{error}");
    }
}

#[test]
fn a_delay_ends_where_the_brokers_levels_end() {
    assert_eq!(Delay::parse("268435455s"), Ok(Delay::MAX));
    for text in [
        "268435456s",
        "444w",
        "18446744073709551615w",
        "99999999999999999999s",
    ] {
        let error = Delay::parse(text).unwrap_err().to_string();
        assert!(error.contains("268435455 seconds"), "{error}");
    }
    assert!("9y".parse::<PingupDelay>().is_err());
}

#[test]
fn the_error_does_not_repeat_a_text_without_end() {
    assert!(
        Delay::parse(&"9".repeat(10_000))
            .unwrap_err()
            .to_string()
            .len()
            < 300
    );
}

#[test]
fn pingup_is_told_what_is_left_of_a_delay() {
    let minute = pingup("1m");
    let left = |millis| minute.remaining(Duration::from_millis(millis));
    assert_eq!(left(0).as_deref(), Some("1m"));
    assert_eq!(left(999).as_deref(), Some("1m"));
    assert_eq!(left(1_000).as_deref(), Some("59s"));
    assert_eq!(left(2_000).as_deref(), Some("58s"));
    assert_eq!(left(2_001).as_deref(), Some("58s"), "rounded up");
    assert_eq!(left(59_999).as_deref(), Some("1s"));
    assert_eq!(left(60_000), None);
    assert_eq!(left(u64::MAX), None);
}

proptest! {
    #[test]
    fn a_delay_survives_being_written(seconds in 1..=Delay::MAX.as_secs()) {
        let text = format!("{seconds}s");
        let delay = Delay::parse(&text).unwrap();
        prop_assert_eq!(delay.as_secs(), seconds);
        prop_assert!(delay.to_string().len() <= text.len());
        let json = serde_json::to_string(&delay).unwrap();
        prop_assert_eq!(serde_json::from_str::<Delay>(&json).unwrap(), delay);
    }

    #[test]
    fn a_pingup_delay_keeps_its_text(text in "0{0,2}[1-9][0-9]{0,2}[smhd]|[1-9]w|[1-9]M|[1-8]y") {
        let json = serde_json::to_string(&pingup(&text)).unwrap();
        prop_assert_eq!(&json, &format!("{text:?}"));
        prop_assert_eq!(serde_json::from_str::<PingupDelay>(&json).unwrap(), pingup(&text));
    }

    #[test]
    fn what_is_left_is_a_delay_that_ends_when_the_first_would(seconds in 1..100_000u64, millis in 0..200_000_000u64) {
        let elapsed = Duration::from_millis(millis);
        let delay = pingup(&format!("{seconds}s"));
        let left = delay.remaining(elapsed).map(|text| Delay::parse(&text).unwrap().as_duration());
        prop_assert_eq!(left.is_none(), elapsed >= Duration::from_secs(seconds));
        if let Some(left) = left {
            let end = elapsed + left;
            prop_assert!(end >= Duration::from_secs(seconds) && end < Duration::from_secs(seconds + 1));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,30}") {
        let _ = (Delay::parse(&text), text.parse::<PingupDelay>());
    }
}
