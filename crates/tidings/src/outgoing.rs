use std::{fmt, str::FromStr};

use opentelemetry::{Context, trace::TraceContextExt as _};
use tidings_model::Draft;

/// A draft, with what goes beside its body. A plain [`Draft`] becomes one by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub(crate) draft: Draft,
    pub(crate) traceparent: Option<TraceParent>,
}

impl Outgoing {
    /// A draft with nothing beside it.
    #[must_use]
    pub fn new(draft: Draft) -> Self {
        Self {
            draft,
            traceparent: None,
        }
    }

    /// The caller's trace, which the worker's spans will belong to; else that of the current OpenTelemetry context, if
    /// there is one.
    #[must_use]
    pub fn traceparent(mut self, traceparent: TraceParent) -> Self {
        self.traceparent = Some(traceparent);
        self
    }
}

impl From<Draft> for Outgoing {
    fn from(draft: Draft) -> Self {
        Self::new(draft)
    }
}

/// A W3C trace context: `00-<32 hex>-<16 hex>-<2 hex>`, in lower case, neither id all zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceParent(Box<str>);

/// Why a text is not a trace context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a traceparent such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)]
pub struct TraceParentError(String);

impl TraceParent {
    /// The header's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The span that is current where this is called, as the caller's OpenTelemetry has it.
    pub(crate) fn current() -> Option<Self> {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            let text = || {
                format!(
                    "00-{}-{}-{:02x}",
                    span.trace_id(),
                    span.span_id(),
                    span.trace_flags()
                )
            };
            span.is_valid().then(|| Self(text().into()))
        })
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let named = |part: &str| part.bytes().any(|b| b != b'0');
        let parts: Vec<&str> = text.splitn(5, '-').collect();
        match parts[..] {
            ["00", trace, span, flags]
                if hex(trace, 32)
                    && hex(span, 16)
                    && hex(flags, 2)
                    && named(trace)
                    && named(span) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(TraceParentError(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_what_w3c_says_it_is() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(good.parse::<TraceParent>().unwrap().as_str(), good);
        for bad in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
