//! Target files: fetched up to their length, checked, then put in place (TUF 5.7.3).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use perennial_device::http::{Answer, Get, HttpClient, HttpError, Span, Url};
use perennial_device_core::trust::FoundTarget;
use perennial_schemas::digest::{decode_hex, encode_hex};
use ring::digest::{Algorithm, Context, SHA256, SHA512, digest};

/// Why a target was not downloaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    #[error("{0} has no digest that is known here")]
    NoKnownDigest(String),
    #[error("the repository has no {0}")]
    Missing(String),
    #[error("{0} is not what the metadata vouches for")]
    Mismatch(String),
    #[error("{0} could not be fetched")]
    Http(String, #[source] HttpError),
    #[error("{path}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
}

/// Downloads a target into `folder`, unless it is there already.
pub(super) fn fetch(
    client: &HttpClient,
    base: &Url,
    target: &FoundTarget,
    folder: &Path,
) -> Result<(), DownloadError> {
    let name = target.path.as_str();
    let place = folder.join(file_name(name));
    let kept = File::open(&place).ok().and_then(|file| Check::new(target)?.all(file).ok());
    if kept == Some(true) {
        return Ok(());
    }
    let mut check = Check::new(target).ok_or_else(|| DownloadError::NoKnownDigest(name.into()))?;
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |error| DownloadError::File(path, error)
    };
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let temporary = tempfile::Builder::new().prefix(".download-").tempfile_in(folder);
    let mut temporary = temporary.map_err(file_error(folder))?;

    let http_error = |error| DownloadError::Http(name.into(), error);
    // One byte more than its length would be refused, and an empty file is asked for as well.
    let get = Get {
        url: &base.file(&target.location),
        span: Span::Whole { max_length: target.length },
        unless: None,
    };
    let Answer::Body(mut body) = client.get(get).map_err(http_error)? else {
        return Err(DownloadError::Missing(name.into()));
    };
    while let Some(piece) = body.piece().map_err(http_error)? {
        check.update(&piece);
        temporary.write_all(&piece).map_err(file_error(&place))?;
    }
    if !check.finish() {
        return Err(DownloadError::Mismatch(name.into()));
    }
    temporary.as_file().sync_all().map_err(file_error(&place))?;
    temporary.persist(&place).map_err(|error| DownloadError::File(place.clone(), error.error))?;
    Ok(())
}

/// One flat file name for each target path: percent-encoded, or its digest where that is too long for a file system.
fn file_name(path: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.~".contains(byte);
    let encoded: String = path
        .bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    // A leading dot would hide it, and `.` alone is no file.
    let encoded = encoded.strip_prefix('.').map_or(encoded.clone(), |rest| format!("%2E{rest}"));
    if encoded.len() <= 240 { encoded } else { encode_hex(digest(&SHA256, path.as_bytes()).as_ref()) }
}

/// Length and digests, checked while bytes pass.
struct Check {
    left: Option<u64>,
    digests: Vec<(Context, Vec<u8>)>,
}

impl Check {
    /// `None` where no digest of the target is known here.
    fn new(target: &FoundTarget) -> Option<Self> {
        let known: [(&str, &'static Algorithm); 2] = [("sha256", &SHA256), ("sha512", &SHA512)];
        let mut digests = Vec::new();
        for (name, algorithm) in known {
            if let Some(listed) = target.hashes.get(name) {
                digests.push((Context::new(algorithm), decode_hex(listed)?));
            }
        }
        (!digests.is_empty()).then_some(Self { left: Some(target.length), digests })
    }

    fn update(&mut self, piece: &[u8]) {
        self.left = self.left.and_then(|left| left.checked_sub(piece.len() as u64));
        for (context, _) in &mut self.digests {
            context.update(piece);
        }
    }

    fn finish(self) -> bool {
        self.left == Some(0)
            && self
                .digests
                .into_iter()
                .all(|(context, listed)| context.finish().as_ref() == listed.as_slice())
    }

    fn all(mut self, mut file: File) -> io::Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(self.finish()),
                read => self.update(&buffer[..read]),
            }
        }
    }
}
