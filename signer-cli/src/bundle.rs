//! The bundle: what is published, as one file for a server (the life of a release, step 3).
//!
//! Holds every root, the newest snapshot with every role that it names, every target file that those roles vouch for, and
//! an offline timestamp where one fits. The same published state gives the same bytes. Each file is compared with its
//! signed length and digest while it is copied; nothing is held in memory but the metadata.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use perennial_schemas::bundle::{BundleFile, BundleHeader};
use perennial_schemas::crypto::RunningDigest;
use perennial_schemas::tuf::{Role, TopRole};
use perennial_schemas::{Digest, FormatError, Sha256Digest, TargetPath, Timestamp};

use crate::cli::Advise;
use crate::crypto::Ring;
use crate::files::{self, FileError};
use crate::repository::{Published, Repository, RepositoryError, file_name, top};
use crate::scratch::Scratch;

/// Why a bundle can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is published can't be worked with.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It breaks a rule or limit of the format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// No snapshot is published.
    #[error("no snapshot is published in {} yet", .0.display())]
    NoSnapshot(PathBuf),
    /// The folder that it is to be written to isn't there.
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    /// A target's file is not there.
    #[error("{target} is published, and its file {} is missing", file.display())]
    Missing {
        /// The target.
        target: String,
        /// Where it should be.
        file: PathBuf,
    },
    /// A file is another than the metadata say.
    #[error("{} should have {length} bytes with SHA-256 {sha256}; it has {got_length} with {got}", file.display())]
    Differs {
        /// The file.
        file: PathBuf,
        /// Its length in bytes as signed.
        length: u64,
        /// Its digest as signed.
        sha256: Sha256Digest,
        /// Its length now.
        got_length: u64,
        /// Its digest now.
        got: Sha256Digest,
    },
}

impl Advise for BundleError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Repository(e) => e.advice(),
            Self::Format(_) => "split the repository: a server takes several".into(),
            Self::NoFolder(_) => "check the path, or make the folder first".into(),
            Self::NoSnapshot(_) => "publish a proposal first: see status".into(),
            Self::Missing { .. } | Self::Differs { .. } => {
                "restore the file from the copy it was published from; nothing was written".into()
            }
        }
    }
}

/// What goes into a bundle.
#[derive(Debug)]
pub struct Plan {
    header: BundleHeader,
    /// In the order of the header.
    sources: Vec<Source>,
}

#[derive(Debug)]
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Plan {
    /// A bundle of what `repository` publishes.
    ///
    /// # Errors
    /// [`BundleError`]; target files are not read yet.
    pub fn new(repository: &Repository) -> Result<Self, BundleError> {
        let published = repository.published()?;
        let mut files = Files::default();
        let created = metadata(repository, published, &mut files)?;
        let mut targets = BTreeMap::new();
        for (path, target) in published.roles.values().flat_map(|role| &role.value().targets) {
            let sha256 = target.sha256().ok_or_else(|| no_digest(path))?;
            let name: TargetPath = path.parse().map_err(|e| FormatError::shape("bundle", format!("{e}")))?;
            targets.insert(name.consistent(&sha256.to_string()), (path, target.length, sha256));
        }
        for (name, (path, length, sha256)) in targets {
            let file = repository.targets_dir().join(&name);
            match files::length(&file)? {
                Some(got) if got == length => {}
                Some(_) => differs(&file, length, sha256)?,
                None => return Err(BundleError::Missing { target: path.clone(), file }),
            }
            files.push(&format!("targets/{name}"), length, sha256, Source::File(file))?;
        }
        Ok(Self { header: BundleHeader::new(created, files.listed), sources: files.sources })
    }

    /// What stands at its beginning.
    pub fn header(&self) -> &BundleHeader {
        &self.header
    }

    /// Writes it to `path`, whole; returns its length in bytes. `progress` hears how many bytes were written since it was
    /// called last.
    ///
    /// # Errors
    /// [`BundleError`]; then `path` is as it was.
    pub fn write(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, BundleError> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !files::exists(folder) {
            return Err(BundleError::NoFolder(folder.into()));
        }
        let mut out = Scratch::create_in(folder)?;
        let fail = |source| FileError::Io { operation: "write", path: path.into(), source };
        let beginning = self.header.encode()?;
        out.write_all(&beginning).map_err(fail)?;
        for (listed, source) in self.header.files.iter().zip(&self.sources) {
            match source {
                Source::Bytes(bytes) => out.write_all(bytes).map_err(fail)?,
                Source::File(file) => copy(file, listed, &mut out, path, progress)?,
            }
        }
        out.keep_as(path, true)?;
        Ok(beginning.len() as u64 + self.header.contents_length())
    }
}

#[derive(Default)]
struct Files {
    listed: Vec<BundleFile>,
    sources: Vec<Source>,
}

impl Files {
    fn push(
        &mut self,
        path: &str,
        length: u64,
        sha256: Sha256Digest,
        source: Source,
    ) -> Result<(), BundleError> {
        let path = path.parse().map_err(|e| FormatError::shape("bundle", format!("{e}")))?;
        self.listed.push(BundleFile { path, length, sha256 });
        self.sources.push(source);
        Ok(())
    }

    fn push_bytes(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), BundleError> {
        let (length, sha256) = (bytes.len() as u64, Ring.sha256(&bytes));
        self.push(&format!("metadata/{name}"), length, sha256, Source::Bytes(bytes))
    }
}

/// Puts the metadata files in; gives when the snapshot was signed, which stands for the bundle's own date, so that the
/// same state gives the same bytes.
fn metadata(
    repository: &Repository,
    published: &Published,
    files: &mut Files,
) -> Result<Timestamp, BundleError> {
    let none = || BundleError::NoSnapshot(repository.dir().into());
    let snapshot = published.snapshot.as_ref().ok_or_else(none)?;
    for bytes in roots(repository)? {
        let version = files.listed.len() as u64 + first_root(repository)?;
        files.push_bytes(&file_name(&top(TopRole::Root), version), bytes)?;
    }
    let name = file_name(&top(TopRole::Snapshot), snapshot.version());
    files.push_bytes(&name, snapshot.bytes.clone())?;
    for (role, file) in &published.roles {
        files.push_bytes(&file_name(role, file.version()), file.bytes.clone())?;
    }
    if let Some(timestamp) = &published.timestamp {
        let listed = timestamp.value().snapshot();
        let same = listed.is_some_and(|listed| {
            let digest = listed.hashes.as_ref().and_then(|hashes| hashes.get("sha256"));
            listed.version == snapshot.version() && digest.is_none_or(|d| *d == snapshot.sha256().to_string())
        });
        // One for an older snapshot would lead nobody anywhere.
        if same {
            files.push_bytes("timestamp.json", timestamp.bytes.clone())?;
        }
    }
    Ok(snapshot.value().common().signed_at.unwrap_or(Timestamp::EPOCH))
}

/// Every root file up to the one that counts, oldest first.
///
/// # Errors
/// [`FileError`], [`RepositoryError`]
pub fn roots(repository: &Repository) -> Result<Vec<Vec<u8>>, RepositoryError> {
    let newest = repository.published()?.root.version();
    let read = |version| {
        let path = repository.metadata_dir().join(file_name(&top(TopRole::Root), version));
        Ok(files::read(&path, perennial_schemas::limits::ROOT_LENGTH)?)
    };
    (first_root(repository)?..=newest).map(read).collect()
}

/// The version of the oldest root file: 1, but for a repository that was taken over from elsewhere.
fn first_root(repository: &Repository) -> Result<u64, RepositoryError> {
    let names = files::list(&repository.metadata_dir())?;
    let versions = names.iter().filter_map(|name| name.strip_suffix(".root.json")?.parse::<u64>().ok());
    Ok(versions.min().unwrap_or(1))
}

fn no_digest(path: &str) -> FormatError {
    FormatError::shape("bundle", format!("{path} has no SHA-256 in the metadata"))
}

/// Copies a target file and compares it on the way.
fn copy(
    file: &Path,
    listed: &BundleFile,
    out: &mut dyn Write,
    to: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), BundleError> {
    let failed = |operation, path: &Path, source| FileError::Io { operation, path: path.into(), source };
    // One byte more than there should be is enough to know.
    let mut from = files::open(file)?.into_inner().take(listed.length.saturating_add(1));
    let (mut digest, mut got_length) = (Ring.start(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(failed("read", file, e).into()),
        };
        digest.update(&buffer[..n]);
        got_length += n as u64;
        out.write_all(&buffer[..n]).map_err(|e| failed("write", to, e))?;
        progress(n as u64);
    }
    let got = digest.finish();
    if (got_length, got) == (listed.length, listed.sha256) {
        return Ok(());
    }
    let BundleFile { length, sha256, .. } = *listed;
    Err(BundleError::Differs { file: file.into(), length, sha256, got_length, got })
}

fn differs(file: &Path, length: u64, sha256: Sha256Digest) -> Result<(), BundleError> {
    let (got_length, got) = files::measure(file)?;
    Err(BundleError::Differs { file: file.into(), length, sha256, got_length, got })
}

#[cfg(test)]
mod tests {
    use perennial_schemas::Document;
    use perennial_schemas::bundle::PREFIX_LENGTH;

    use super::*;
    use crate::fixture::{Fixture, draft};

    fn published() -> Fixture {
        let fixture = Fixture::new();
        fixture.publish(&fixture.propose(&draft("1.0.0"), &[3; 500_000]).unwrap().proposal);
        fixture
    }

    #[test]
    fn the_same_state_gives_the_same_bytes_and_every_file_is_in_it() {
        let fixture = published();
        let missing = fixture.dir().join("out/site.bundle");
        let refused = Plan::new(&fixture.repository()).unwrap().write(&missing, &mut |_| ());
        assert!(matches!(refused, Err(BundleError::NoFolder(_))) && !fixture.dir().join("out").exists());
        let out = fixture.dir().join("site.bundle");
        let write = || {
            let length = Plan::new(&fixture.repository()).unwrap().write(&out, &mut |_| ()).unwrap();
            let bytes = std::fs::read(&out).unwrap();
            assert_eq!(bytes.len() as u64, length);
            bytes
        };
        let bytes = write();
        assert_eq!(write(), bytes);
        let length = BundleHeader::length(bytes.first_chunk().unwrap()).unwrap();
        let (header, mut contents) = bytes[PREFIX_LENGTH..].split_at(length);
        let header = BundleHeader::parse(header).unwrap();
        for file in &header.files {
            let (content, rest) = contents.split_at(file.length as usize);
            assert_eq!(Ring.sha256(content), file.sha256, "{}", file.path);
            assert_eq!(
                std::fs::read(fixture.dir().join(file.path.as_str())).unwrap(),
                content,
                "{}",
                file.path
            );
            contents = rest;
        }
        assert!(contents.is_empty());
        // Root, snapshot, targets, the product; manifest, payload, two indexes, channel, support record.
        assert_eq!(header.files.len(), 4 + 6);
    }

    #[test]
    fn a_changed_file_leaves_the_old_bundle_alone() {
        let fixture = published();
        let plan = Plan::new(&fixture.repository()).unwrap();
        let file = plan.header.files.iter().find(|file| file.path.as_str().ends_with(".image.zst")).unwrap();
        let path = fixture.dir().join(file.path.as_str());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let out = fixture.dir().join("site.bundle");
        std::fs::write(&out, "the old one").unwrap();
        assert!(matches!(plan.write(&out, &mut |_| ()), Err(BundleError::Differs { .. })));
        assert_eq!(std::fs::read(&out).unwrap(), b"the old one");
        bytes.pop();
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(Plan::new(&fixture.repository()), Err(BundleError::Differs { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Plan::new(&fixture.repository()), Err(BundleError::Missing { .. })));
    }
}
