//! The checks that several providers share. None allocates unless it fails.

use super::{PayloadError, Problem};

/// A required text must have something in it.
pub(super) fn required(field: &str, text: &str) -> Result<(), PayloadError> {
    if text.is_empty() {
        Err(PayloadError::new(field, Problem::Required))
    } else {
        Ok(())
    }
}

/// An optional text must have something in it when it is there.
pub(super) fn not_empty(field: &str, text: Option<&str>) -> Result<(), PayloadError> {
    match text {
        Some("") => Err(PayloadError::invalid(
            field,
            "is empty: leave it out where there is none",
        )),
        _ => Ok(()),
    }
}

/// A text of at most so many characters (Unicode scalar values).
pub(super) fn characters(field: &str, text: &str, limit: usize) -> Result<(), PayloadError> {
    at_most(
        field,
        limit,
        text.len(),
        || text.chars().count(),
        "characters",
    )
}

/// A text of at most so many UTF-16 units.
pub(super) fn utf16_units(field: &str, text: &str, limit: usize) -> Result<(), PayloadError> {
    at_most(
        field,
        limit,
        text.len(),
        || text.encode_utf16().count(),
        "UTF-16 units",
    )
}

/// No text has more characters or units than bytes: they are counted only where the bytes are too many.
fn at_most(
    field: &str,
    limit: usize,
    bytes: usize,
    count: impl FnOnce() -> usize,
    unit: &'static str,
) -> Result<(), PayloadError> {
    if bytes <= limit {
        return Ok(());
    }
    match count() {
        actual if actual > limit => Err(PayloadError::new(
            field,
            Problem::TooLong {
                limit,
                actual,
                unit,
            },
        )),
        _ => Ok(()),
    }
}

/// An id that becomes a part of the path: `.` and `..` would be taken for steps in it, however they are encoded.
pub(super) fn path_part(field: &str, id: &str) -> Result<(), PayloadError> {
    required(field, id)?;
    if matches!(id, "." | "..") {
        return Err(PayloadError::invalid(
            field,
            "is no id but a step in a path",
        ));
    }
    Ok(())
}

/// An address that can be fetched by anyone.
pub(super) fn web_url(field: &str, url: &str) -> Result<(), PayloadError> {
    required(field, url)?;
    match after_scheme(url) {
        Some(rest) if !rest.is_empty() => Ok(()),
        _ => Err(PayloadError::invalid(
            field,
            "does not begin with https:// or http://",
        )),
    }
}

/// What follows `https://` or `http://`.
pub(super) fn after_scheme(url: &str) -> Option<&str> {
    url.strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
}
