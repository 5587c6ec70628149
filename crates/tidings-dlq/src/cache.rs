use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crc::{CRC_32_ISCSI, Crc};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tidings_broker::{Broker, BrokerError, Position, ReadFrom, ReadUntil};

use crate::{Index, follow::read_next, index::Mark};

/// Which version writes the file: another one's is made anew.
const FORMAT: &str = concat!("tidings-dlq ", env!("CARGO_PKG_VERSION"), " index 1");

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Where the index of one dead stream is kept from one time to the next.
///
/// The file can be deleted at any time, and processes can share it: it is replaced as a whole, and one that is
/// damaged, another version's or another stream's is made anew.
#[derive(Debug, Clone)]
pub struct Cache {
    file: PathBuf,
    stream: String,
}

#[derive(Serialize)]
struct Write<'i> {
    format: &'i str,
    stream: &'i str,
    index: &'i Index,
}

#[derive(Deserialize)]
struct Read {
    format: String,
    stream: String,
    index: Index,
}

impl Cache {
    /// `stream` says which broker's it is, and with which prefix.
    #[must_use]
    pub fn new(folder: &Path, stream: String) -> Self {
        let mut name = DefaultHasher::new();
        stream.hash(&mut name);
        Self {
            file: folder.join(format!("dlq-{:016x}.index", name.finish())),
            stream,
        }
    }

    /// The index of the whole stream: what is kept of it, and what has been written since.
    ///
    /// # Errors
    /// When the broker is away or has no dead letters' stream. A file that cannot be used or written is no error.
    pub async fn index(&self, broker: &dyn Broker) -> Result<Index, BrokerError> {
        let mut index = self.load().unwrap_or_default();
        let before = index.mark();
        if !read_on(&mut index, broker).await? {
            index = Index::default();
            read_on(&mut index, broker).await?;
        }
        let forgot = index.mark().is_some() && index.forget_before(first(broker).await?);
        if (forgot || index.mark() != before)
            && let Err(error) = self.save(&index)
        {
            tracing::info!(file = %self.file.display(), %error, "the index is not kept: the next reading starts over");
        }
        Ok(index)
    }

    fn load(&self) -> Option<Index> {
        let bytes = fs::read(&self.file).ok()?;
        let read: Read = postcard::from_bytes_crc32(&bytes, CHECKSUM.digest()).ok()?;
        let mut index = read.index;
        index.place();
        (read.format == FORMAT && read.stream == self.stream).then_some(index)
    }

    fn save(&self, index: &Index) -> io::Result<()> {
        let write = Write {
            format: FORMAT,
            stream: &self.stream,
            index,
        };
        let bytes =
            postcard::to_allocvec_crc32(&write, CHECKSUM.digest()).map_err(io::Error::other)?;
        let folder = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(&self.file)?;
        Ok(())
    }
}

/// Reads on behind the last entry that the index took in. Says no where the stream has another one in its place.
async fn read_on(index: &mut Index, broker: &dyn Broker) -> Result<bool, BrokerError> {
    let from = match index.mark().map(|mark| mark.position.checked_sub(1)) {
        Some(Some(before)) => ReadFrom::After(Position(before)),
        _ => ReadFrom::First,
    };
    let mut entries = broker.dead(from, ReadUntil::Now).await?;
    if let Some(mark) = index.mark() {
        match entries.next().await.transpose()? {
            Some(entry) if Mark::of(&entry) == mark => {}
            _ => return Ok(false),
        }
    }
    let mut last = None;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        index.take_in(&entry);
        last = Some(entry);
    }
    if let Some(last) = &last {
        index.set_mark(Mark::of(last));
    }
    Ok(true)
}

/// Where the oldest entry stands that is kept, of a stream in which something was read: so that its end need not be looked
/// for.
pub(crate) async fn first(broker: &dyn Broker) -> Result<Position, BrokerError> {
    let mut entries = broker.dead(ReadFrom::First, ReadUntil::Forever).await?;
    let first = read_next(&mut entries, broker).await?;
    Ok(first.position)
}
