//! The second opinion: what is published must also load in tough, an implementation of TUF that shares no code with ours.
//!
//! tough reads the preview from memory. It asks for targets as `<hash>.dir/name`, where the specification has
//! `dir/<hash>.name`, so both are found here. Expiry is left to the device's core and to [`super`]: tough reads the
//! system's clock, this tool is given one.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::poll_fn;
use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use perennial_schemas::limits;
use tough::{
    ExpirationEnforcement, Limits, Repository, RepositoryLoader, TargetName, Transport, TransportError,
    TransportErrorKind, TransportStream,
};
use url::Url;

use super::{CheckError, Preview};
use crate::files;

const METADATA: &str = "https://preview.invalid/metadata/";
const TARGETS: &str = "https://preview.invalid/targets/";

/// Loads the preview in tough and fetches `targets` (paths) through it. `progress` hears the bytes that passed.
///
/// # Errors
/// [`CheckError::Tough`] with tough's reason.
pub(super) fn accepts(
    preview: &Preview,
    rehearsal: &super::preview::Rehearsal,
    targets: &BTreeMap<String, PathBuf>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), CheckError> {
    let memory = Memory::new(preview, rehearsal, targets)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|e| CheckError::tough("its runtime can't start", e))?;
    runtime.block_on(async {
        let repository = load(memory, &rehearsal.root).await?;
        for path in targets.keys() {
            fetch(&repository, path, progress).await?;
        }
        Ok(())
    })
}

async fn load(memory: Memory, root: &[u8]) -> Result<Repository, CheckError> {
    let base = |text: &str| Url::parse(text).map_err(|e| CheckError::tough("the preview has no address", e));
    RepositoryLoader::new(&root, base(METADATA)?, base(TARGETS)?)
        .transport(memory)
        .expiration_enforcement(ExpirationEnforcement::Unsafe)
        .limits(Limits {
            max_root_size: limits::ROOT_LENGTH,
            max_targets_size: limits::TARGETS_LENGTH,
            max_timestamp_size: limits::TIMESTAMP_LENGTH,
            max_snapshot_size: limits::SNAPSHOT_LENGTH,
            max_root_updates: limits::ROOT_ROTATIONS.into(),
        })
        .load()
        .await
        .map_err(|e| CheckError::tough("the metadata", e))
}

/// Reads a target to its end: tough compares length and digest on the way.
async fn fetch(repository: &Repository, path: &str, progress: &mut dyn FnMut(u64)) -> Result<(), CheckError> {
    let failed = |e: tough::error::Error| CheckError::tough(path, e);
    let name = TargetName::new(path).map_err(failed)?;
    let stream = repository.read_target(&name).await.map_err(failed)?;
    let stream = stream.ok_or_else(|| CheckError::tough(path, NotFound))?;
    let mut stream = std::pin::pin!(stream);
    while let Some(bytes) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
        progress(bytes.map_err(failed)?.len() as u64);
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("no role vouches for it")]
struct NotFound;

/// The preview as tough asks for it.
#[derive(Debug, Clone)]
struct Memory {
    metadata: Arc<BTreeMap<String, Bytes>>,
    /// Target files by tough's spelling, `<hash>.dir/name`.
    targets: Arc<BTreeMap<String, PathBuf>>,
}

impl Memory {
    fn new(
        preview: &Preview,
        rehearsal: &super::preview::Rehearsal,
        targets: &BTreeMap<String, PathBuf>,
    ) -> Result<Self, CheckError> {
        let copy = |(name, file): (String, &[u8])| (name, Bytes::copy_from_slice(file));
        let mut metadata: BTreeMap<String, Bytes> = preview.metadata()?.into_iter().map(copy).collect();
        metadata.insert("timestamp.json".into(), Bytes::copy_from_slice(&rehearsal.timestamp));
        let described = preview.targets()?;
        let spelled = targets.iter().filter_map(|(path, file)| {
            let digest = described.get(path)?.sha256()?;
            Some((format!("{digest}.{path}"), file.clone()))
        });
        Ok(Self { metadata: Arc::new(metadata), targets: Arc::new(spelled.collect()) })
    }
}

#[async_trait::async_trait]
impl Transport for Memory {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let missing = || TransportError::new(TransportErrorKind::FileNotFound, &url);
        if let Some(name) = url.as_str().strip_prefix(METADATA) {
            let file = self.metadata.get(name).ok_or_else(missing)?.clone();
            return Ok(Box::pin(Once(Some(file))));
        }
        let name = url.as_str().strip_prefix(TARGETS).ok_or_else(missing)?;
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        let path = self.targets.get(&*name).ok_or_else(missing)?;
        let other = |e| TransportError::new_with_cause(TransportErrorKind::Other, &url, e);
        let file = files::open(path).map_err(other)?.into_inner();
        Ok(Box::pin(Pieces { file, url }))
    }
}

/// A file in memory, as a stream.
struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// A file on disk, in pieces. Nothing else runs on this runtime, so reading may block.
struct Pieces {
    file: File,
    url: Url,
}

/// The size of a piece in bytes.
const PIECE: usize = 256 * 1024;

impl Stream for Pieces {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut piece = vec![0; PIECE];
        Poll::Ready(match self.file.read(&mut piece) {
            Ok(0) => None,
            Ok(n) => {
                piece.truncate(n);
                Some(Ok(piece.into()))
            }
            Err(e) => {
                Some(Err(TransportError::new_with_cause(TransportErrorKind::Other, self.url.clone(), e)))
            }
        })
    }
}
