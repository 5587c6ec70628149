use std::{
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::BrokerError;

/// Marks a file as Tidings' ("Tidi").
const APPLICATION: i32 = 0x5469_6469;

/// Counts the changes of the tables.
const VERSION: i32 = 1;

/// How long another process's write is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// Statements kept compiled on each connection: more than there are.
const STATEMENTS: usize = 64;

/// The broker's file.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
    /// How it is called in errors: the path as it was given.
    place: String,
}

impl File {
    /// Finds the file, makes it where it is missing, and looks whether it is Tidings'.
    pub(super) fn open(path: &str) -> Result<Self, BrokerError> {
        let place = format!("sqlite:{path}");
        // Absolute: it stays the same file wherever the process goes, and no name means anything special to SQLite.
        let path = std::path::absolute(path).map_err(|error| BrokerError::Away {
            broker: place.clone(),
            why: error.to_string(),
        })?;
        // Of several names the one that SQLite uses for the files beside it.
        let path = create(&path).and_then(|()| path.canonicalize());
        let path = path.map_err(|error| BrokerError::Away {
            broker: place.clone(),
            why: format!("{error} (its folder must exist and be writable)"),
        })?;
        let file = Self { path, place };
        file.prepare()?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// A connection that may write.
    pub(super) fn writer(&self) -> Result<Connection, BrokerError> {
        let open = || {
            let db = self.connect()?;
            // A commit is on the disk when it returns. Fewer, larger checkpoints than the default's of 4 MiB.
            db.pragma_update(None, "synchronous", "FULL")?;
            db.pragma_update(None, "wal_autocheckpoint", 4096)?;
            db.pragma_update(None, "journal_size_limit", 64 << 20)?;
            Ok(db)
        };
        open().map_err(|error| self.error(&error))
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> Result<Connection, BrokerError> {
        let open = || {
            let db = self.connect()?;
            db.pragma_update(None, "query_only", true)?;
            Ok(db)
        };
        open().map_err(|error| self.error(&error))
    }

    /// What SQLite said, in the port's words.
    pub(super) fn error(&self, error: &rusqlite::Error) -> BrokerError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => self.unsupported("it is not a Tidings database"),
            _ => self.away(&error.to_string()),
        }
    }

    pub(super) fn away(&self, why: &str) -> BrokerError {
        BrokerError::Away {
            broker: self.place.clone(),
            why: why.to_owned(),
        }
    }

    pub(super) fn closed(&self) -> BrokerError {
        self.away("it was closed")
    }

    fn unsupported(&self, why: &str) -> BrokerError {
        BrokerError::Unsupported {
            broker: self.place.clone(),
            why: why.to_owned(),
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&self.path, flags)?;
        // SQLite's own handler backs off to 100 ms, and would starve beside a process that writes without a pause.
        let mut began = Instant::now();
        db.busy_handler(Some(move |before| {
            if before == 0 {
                began = Instant::now();
            }
            thread::sleep(Duration::from_millis(1));
            began.elapsed() < BUSY
        }))?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(db)
    }

    /// Makes the tables in a new file; refuses what is not ours, before anything in it changes.
    fn prepare(&self) -> Result<(), BrokerError> {
        let mut db = self.connect().map_err(|error| self.error(&error))?;
        let until = Instant::now() + BUSY;
        loop {
            match prepare(&mut db) {
                Ok(Fit::Ours) => return Ok(()),
                Ok(Fit::New) => {}
                Ok(Fit::Not(why)) => return Err(self.unsupported(&why)),
                // Changing to the write-ahead log fails at once where another process does the same.
                Err(error) if is_busy(&error) && Instant::now() < until => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(self.error(&error)),
            }
        }
    }
}

/// Makes an empty file that only its owner may read: messages are nobody else's business. SQLite gives the files
/// beside it the same permissions.
fn create(path: &Path) -> io::Result<()> {
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// What a file is to us.
enum Fit {
    Ours,
    New,
    Not(String),
}

fn prepare(db: &mut Connection) -> rusqlite::Result<Fit> {
    // In one look: another process may be making the tables at this moment.
    let fits = fit(&*db.transaction()?)?;
    match fits {
        Fit::New => {}
        Fit::Ours => return write_ahead(db).map(|()| Fit::Ours),
        not => return Ok(not),
    }
    write_ahead(db)?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Fit::New = fit(&tx)? {
        tx.execute_batch(include_str!("schema.sql"))?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.pragma_update(None, "user_version", VERSION)?;
    }
    let fit = fit(&tx)?;
    tx.commit()?;
    Ok(fit)
}

fn write_ahead(db: &Connection) -> rusqlite::Result<()> {
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
        Some("its file system does not let processes share memory (it must be a local one)".into()),
    ))
}

fn fit(db: &Connection) -> rusqlite::Result<Fit> {
    let pragma = |name| db.pragma_query_value::<i32, _>(None, name, |row| row.get(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (application, version) {
        (APPLICATION, VERSION) => Fit::Ours,
        (APPLICATION, version) => Fit::Not(format!(
            "it was written by another version of Tidings (its tables have version {version}, known here is {VERSION})"
        )),
        (0, 0) if tables == 0 => Fit::New,
        _ => Fit::Not("it is a database, but not Tidings': give a file of its own".into()),
    })
}
