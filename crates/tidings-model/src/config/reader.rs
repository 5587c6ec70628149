use std::{collections::BTreeSet, fmt::Display, num::NonZeroU32, str::FromStr, time::Duration};

use toml::{Table, Value};

use crate::Delay;

/// Takes known keys out of a TOML table and notes every problem with its full key, so that all are told at once.
pub(super) struct Reader<'p> {
    path: String,
    table: Table,
    /// The keys that were asked for.
    known: BTreeSet<String>,
    renamed: Vec<(&'static str, &'static str)>,
    problems: &'p mut Vec<String>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(path: &str, table: Table, problems: &'p mut Vec<String>) -> Self {
        Self {
            path: path.to_owned(),
            table,
            known: BTreeSet::new(),
            renamed: Vec::new(),
            problems,
        }
    }

    /// Puts an environment variable's value in place of a key's, and names the variable if that is wrong.
    pub(super) fn replace(
        &mut self,
        key: &'static str,
        variable: &'static str,
        value: Option<&str>,
    ) {
        if let Some(value) = value {
            self.table
                .insert(key.to_owned(), Value::String(value.to_owned()));
            self.renamed.push((key, variable));
        }
    }

    pub(super) fn problem(&mut self, what: &str) {
        self.problems.push(format!("`{}`: {what}", self.path));
    }

    fn problem_at(&mut self, key: &str, what: &str) {
        let name = match self.renamed.iter().find(|(from, _)| *from == key) {
            Some((_, variable)) => (*variable).to_owned(),
            None => self.key(key),
        };
        self.problems.push(format!("`{name}`: {what}"));
    }

    fn key(&self, key: &str) -> String {
        let bare = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let key = if bare {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Takes a key; its value, or `default` where it is absent or wrong.
    fn take<T>(
        &mut self,
        key: &str,
        default: T,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> T {
        self.known.insert(key.to_owned());
        match self.table.remove(key).map(read) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(what)) => {
                self.problem_at(key, &what);
                default
            }
        }
    }

    pub(super) fn text_with<T>(
        &mut self,
        key: &str,
        default: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.take(key, default, |value| match value {
            Value::String(text) => read(&text),
            other => Err(format!("is {}, not text in quotes", other.type_str())),
        })
    }

    pub(super) fn text<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text_with(key, default, |text| {
            text.parse::<T>().map_err(|error| error.to_string())
        })
    }

    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.text_with(key, None, |text| read(text).map(Some))
    }

    pub(super) fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.duration_up_to(key, default, Duration::MAX)
    }

    /// One that is refused where it is longer than `most`.
    pub(super) fn duration_up_to(
        &mut self,
        key: &str,
        default: Duration,
        most: Duration,
    ) -> Duration {
        self.text_with(key, default, |text| match text.parse::<Delay>() {
            Ok(delay) if delay.as_duration() > most => {
                Err(format!("{delay} is more than {} s", most.as_secs()))
            }
            Ok(delay) => Ok(delay.as_duration()),
            Err(error) => Err(error.to_string()),
        })
    }

    pub(super) fn count<T: TryFrom<i64>>(&mut self, key: &str, default: T) -> T {
        self.take(key, default, |value| match value {
            Value::Integer(number) if number > 0 => {
                T::try_from(number).map_err(|_| format!("{number} is too large"))
            }
            other => Err(format!("{other} is not a whole number of at least 1")),
        })
    }

    pub(super) fn non_zero(&mut self, key: &str, default: NonZeroU32) -> NonZeroU32 {
        let number = self.count::<u32>(key, default.get());
        NonZeroU32::new(number).unwrap_or(default)
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        self.take(key, default, |value| {
            value
                .as_bool()
                .ok_or_else(|| format!("{value} is neither true nor false"))
        })
    }

    /// Reads a table below this one; an absent one is read as empty, so that its defaults hold.
    pub(super) fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let table = self.take(key, Table::new(), |value| match value {
            Value::Table(table) => Ok(table),
            other => Err(format!("is {}, not a table", other.type_str())),
        });
        let path = self.key(key);
        let mut below = Reader::new(&path, table, self.problems);
        let value = read(&mut below);
        below.finish();
        value
    }

    /// Reads every table below this one.
    pub(super) fn each<T, C: FromIterator<T>>(
        &mut self,
        mut read: impl FnMut(&str, &mut Reader<'_>) -> Option<T>,
    ) -> C {
        let names: Vec<String> = self.table.keys().cloned().collect();
        names
            .iter()
            .filter_map(|name| self.table(name, |below| read(name, below)))
            .collect()
    }

    pub(super) fn missing(&mut self, key: &str, what: &str) {
        self.problem_at(key, &format!("is missing: {what}"));
    }

    /// Whether a key is there and not yet taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Names what nobody took: a typo must not be lost.
    pub(super) fn finish(&mut self) {
        let unknown: Vec<String> = std::mem::take(&mut self.table)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let known: Vec<String> = std::mem::take(&mut self.known).into_iter().collect();
        for key in unknown {
            let what = format!("is not a key that is known here: {}", known.join(", "));
            self.problem_at(&key, &what);
        }
    }
}
