use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Timestamp};
use tidings_model::printable;

use super::row::{LaneRow, Report};

/// Puts the cursor to the left upper corner; what stands there is written over, so that nothing flickers.
const HOME: &str = "\u{1b}[H";
const CLEAR_TO_END_OF_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) columns: u16,
    pub(super) lines: u16,
}

/// A drawing of the live table, over the one before it and no larger than the terminal. `workers`: how many there are, or what
/// it means that there are none.
pub(super) fn screen(
    rows: &[LaneRow<'_>],
    workers: Result<usize, &str>,
    at: Timestamp,
    size: Size,
) -> String {
    let mut drawn = vec![format!(
        "{} lanes, {} workers, {} (Ctrl-C ends)",
        rows.len(),
        workers.unwrap_or_default(),
        short(at)
    )];
    if let Err(nobody) = workers {
        drawn.push(nobody.to_owned());
    } else {
        let mut table = table(rows);
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(size.columns);
        drawn.extend(table.lines());
    }
    // The cursor rests on a line of its own.
    let fits = usize::from(size.lines).saturating_sub(1);
    if drawn.len() > fits {
        drawn.truncate(fits.saturating_sub(1));
        drawn.push("… and more: a larger terminal shows them, and --once shows all".into());
    }
    let lines = drawn
        .iter()
        .map(|line| format!("{line}{CLEAR_TO_END_OF_LINE}\n"));
    format!("{HOME}{}{CLEAR_BELOW}", lines.collect::<String>())
}

pub(super) fn table(rows: &[LaneRow<'_>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "account",
        "state",
        "rate",
        "in flight",
        "ready",
        "drain time",
        "paused until",
        "why",
        "owner",
    ]);
    for row in rows {
        let report = row.report;
        let tells = |tell: fn(Report<'_>) -> Option<String>| {
            let told = report.and_then(tell);
            printable(told.as_deref().unwrap_or("-")).into_owned()
        };
        table.add_row([
            row.account.to_string(),
            row.state.to_owned(),
            tells(|report| Some(rate(report))),
            tells(|report| Some(report.in_flight.to_string())),
            tells(|report| report.ready.map(|ready| ready.to_string())),
            tells(|report| report.drain_seconds.map(in_words)),
            tells(|report| report.paused_until.map(short)),
            tells(|report| report.why.clone()),
            printable(row.owner.map_or("-", |owner| owner.as_str())).into_owned(),
        ]);
    }
    table
}

/// A lane's limit, with a word where it is not the configuration's.
fn rate(report: Report<'_>) -> String {
    let set = if report.orders.set_limits() {
        " (set)"
    } else {
        ""
    };
    format!("{}{set}", report.rate)
}

/// Whole seconds, rounded up: `1h 2m 5s`.
fn in_words(seconds: f64) -> String {
    let seconds = SignedDuration::try_from_secs_f64(seconds.ceil());
    seconds.map_or("for ever".into(), |seconds| format!("{seconds:#}"))
}

fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use tidings_model::{Account, Orders};

    use super::*;

    fn drawn(lanes: usize, size: Size) -> String {
        let accounts: Vec<Account> = (0..lanes)
            .map(|lane| format!("raven.lane-{lane}").parse().unwrap())
            .collect();
        let (owner, why, orders) = ("host-1".into(), None, Orders::default());
        let report = Report {
            rate: "20/s".parse().unwrap(),
            in_flight: 3,
            ready: Some(74_490),
            drain_seconds: Some(3724.5),
            paused_until: None,
            why: &why,
            orders: &orders,
        };
        let row = |account| LaneRow {
            account,
            state: "running",
            owner: Some(&owner),
            report: Some(report),
        };
        let rows: Vec<_> = accounts.iter().map(row).collect();
        screen(&rows, Ok(1), Timestamp::UNIX_EPOCH, size)
    }

    #[test]
    fn a_drawing_covers_the_one_before_it_and_tells_all_of_a_lane() {
        let size = Size {
            columns: 200,
            lines: 40,
        };
        let drawn = drawn(2, size);
        assert!(drawn.starts_with(HOME) && drawn.ends_with(CLEAR_BELOW));
        assert!(
            drawn.contains("2 lanes, 1 workers, 1970-01-01T00:00:00Z"),
            "{drawn}"
        );
        let lane = drawn.lines().find(|line| line.contains("lane-1")).unwrap();
        let told: Vec<_> = lane
            .trim_end_matches(CLEAR_TO_END_OF_LINE)
            .split_whitespace()
            .collect();
        assert_eq!(
            told,
            [
                "raven.lane-1",
                "running",
                "20/s",
                "3",
                "74490",
                "1h",
                "2m",
                "5s",
                "-",
                "-",
                "host-1"
            ]
        );
    }

    #[test]
    fn a_drawing_is_no_larger_than_the_terminal() {
        for (columns, lines) in [(200, 10), (60, 24), (20, 5), (1, 1)] {
            let drawn = drawn(30, Size { columns, lines });
            let height = drawn.lines().count();
            assert!(height <= usize::from(lines).max(2), "{height} of {lines}");
            assert!(drawn.contains("--once"));
        }
    }

    #[test]
    fn that_nobody_is_there_is_said() {
        let drawn = screen(
            &[],
            Err("nobody is there"),
            Timestamp::UNIX_EPOCH,
            Size {
                columns: 80,
                lines: 24,
            },
        );
        assert!(drawn.contains("nobody is there"), "{drawn}");
    }
}
