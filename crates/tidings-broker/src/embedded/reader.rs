use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::file::File;
use crate::BrokerError;

/// The connection of this process that reads. It never holds up who writes.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    db: Arc<Mutex<Connection>>,
    file: File,
}

impl Reader {
    pub(super) fn open(file: File) -> Result<Self, BrokerError> {
        let db = Arc::new(Mutex::new(file.reader()?));
        Ok(Self { db, file })
    }

    /// Reads, on a thread that may wait.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let db = Arc::clone(&self.db);
        let read = move || read(&db.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read.map_err(|error| self.file.error(&error)),
            Err(error) => Err(self.file.away(&error.to_string())),
        }
    }
}
