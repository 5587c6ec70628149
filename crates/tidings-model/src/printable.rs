use std::{borrow::Cow, fmt::Write as _};

/// Somebody else's text, fit to be written to a terminal: what would move the cursor, change colours or turn the
/// direction of writing is spelled out as in JSON, `\u001b`. In a line of JSON that changes nothing but the spelling.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_active(c) {
            // Writing to a string cannot fail.
            let _ = write!(printable, "\\u{:04x}", u32::from(c));
        } else {
            printable.push(c);
        }
    }
    Cow::Owned(printable)
}

/// Control characters, the marks of bidirectional writing, and the separators of lines that are not line ends.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_gets_through() {
        assert!(matches!(
            printable("Grüße, 你好 👋"),
            Cow::Borrowed("Grüße, 你好 👋")
        ));
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}txt.exe\u{2066}\u{7f}\r\n";
        assert_eq!(
            printable(hostile),
            "\\u001b[2J\\u009b31m\\u202etxt.exe\\u2066\\u007f\\u000d\\u000a"
        );
    }

    #[test]
    fn a_line_of_json_still_says_the_same() {
        let words = "\u{9b}31m \u{202e}\u{2069} \u{7f}\n";
        let json = serde_json::to_string(words).unwrap();
        let shown = printable(&json);
        assert!(!shown.contains(is_active));
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), words);
    }
}
