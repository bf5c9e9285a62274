//! `key new|show|import|backup`

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_schemas::KeyId;
use perennial_schemas::key_file::KeyFile;
use serde::Serialize;

use super::common::{Output, PassphraseOptions};
use super::{CliError, Io};
use crate::keys::{self, KeyError, Passphrase, PassphraseSource, SecretKey};

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new key: FILE, under a passphrase, and its public half beside it (FILE with .pub.json).
    New {
        /// Where the private key goes, such as alice.key.
        file: PathBuf,
        /// Whose key it is, for people; without it the file's name.
        #[arg(long)]
        label: Option<String>,
        #[command(flatten)]
        passphrase: PassphraseOptions,
        #[command(flatten)]
        output: Output,
    },
    /// Show the public half of a key, from either half.
    Show {
        /// A private key, or a *.pub.json.
        file: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOptions,
        #[command(flatten)]
        output: Output,
    },
    /// Take in an ed25519 key of another tool: PKCS#8 as PEM or DER, as openssl, python-tuf and tuftool write it.
    Import {
        /// The other tool's file.
        from: PathBuf,
        /// Where the key goes, under a passphrase of its own.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Whose key it is, for people; without it the file's name.
        #[arg(long)]
        label: Option<String>,
        #[command(flatten)]
        passphrase: PassphraseOptions,
        #[command(flatten)]
        new: NewPassphraseOptions,
        #[command(flatten)]
        output: Output,
    },
    /// Copy a key under a new passphrase, and read the copy back.
    Backup {
        /// The private key.
        file: PathBuf,
        /// Where the copy goes, best on another medium.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOptions,
        #[command(flatten)]
        new: NewPassphraseOptions,
        #[command(flatten)]
        output: Output,
    },
}

/// Where the passphrase of a copy comes from; without either a person is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct NewPassphraseOptions {
    /// Read the new passphrase from the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_fd")]
    new_passphrase_file: Option<PathBuf>,
    /// Read the new passphrase from an open descriptor.
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<u32>,
}

impl NewPassphraseOptions {
    fn source(&self) -> PassphraseSource {
        PassphraseSource::from_options(self.new_passphrase_file.as_deref(), self.new_passphrase_fd)
    }
}

#[derive(Serialize)]
struct KeyReport {
    #[serde(skip)]
    heading: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<PathBuf>,
    label: String,
    keyid: KeyId,
    public_key: String,
}

pub(super) fn run(command: KeyCommand, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        KeyCommand::New { file, label, passphrase, output } => {
            refuse_existing(&file)?;
            let words = passphrase.source().ask_new(io, &file)?;
            let key = SecretKey::generate()?;
            store(&file, label, &key, &words, output, "Made a key", io)
        }
        KeyCommand::Show { file, passphrase, output } => show(&file, &passphrase, output, io),
        KeyCommand::Import { from, to, label, passphrase, new, output } => {
            refuse_existing(&to)?;
            let key = keys::open(&from, |path| passphrase.source().ask(io, path))?;
            let words = new.source().ask_new(io, &to)?;
            store(&to, label, &key, &words, output, "Took the key in", io)
        }
        KeyCommand::Backup { file, to, passphrase, new, output } => {
            refuse_existing(&to)?;
            let key = passphrase.open_key(io, &file)?;
            let words = new.source().ask_new(io, &to)?;
            let label = keys::read_public(&keys::public_path(&file)).ok().map(|file| file.label);
            let label = label.or_else(|| Some(name_of(&file)));
            store(&to, label, &key, &words, output, "Copied the key, and read the copy back", io)
        }
    }
}

fn store(
    file: &Path,
    label: Option<String>,
    key: &SecretKey,
    words: &Passphrase,
    output: Output,
    heading: &'static str,
    io: &mut Io<'_>,
) -> Result<(), CliError> {
    let label = label.unwrap_or_else(|| name_of(file));
    let public = keys::public_path(file);
    refuse_existing(&public)?;
    keys::create(file, key, words)?;
    let written = keys::write_public(&public, &label, key.public())?;
    let report = KeyReport { private: Some(file.into()), public: Some(public), ..of(written, heading) };
    io.report(output.json, &report)
}

fn show(
    file: &Path,
    passphrase: &PassphraseOptions,
    output: Output,
    io: &mut Io<'_>,
) -> Result<(), CliError> {
    let public = if file.extension().is_some_and(|extension| extension == "json") {
        keys::read_public(file)?
    } else {
        let key = keys::open(file, |path| passphrase.source().ask(io, path))?.public();
        KeyFile::new(&name_of(file), key, &crate::crypto::Ring)
            .map_err(|source| KeyError::Public { path: file.into(), source })?
    };
    io.report(output.json, &of(public, "A key"))
}

fn of(file: KeyFile, heading: &'static str) -> KeyReport {
    let public_key = file.key.public().into();
    KeyReport { heading, private: None, public: None, label: file.label, keyid: file.keyid, public_key }
}

fn refuse_existing(path: &Path) -> Result<(), KeyError> {
    let exists = || KeyError::File(crate::files::FileError::Exists { path: path.into() });
    if crate::files::exists(path) { Err(exists()) } else { Ok(()) }
}

fn name_of(file: &Path) -> String {
    file.file_stem().map_or_else(|| "key".into(), |stem| stem.to_string_lossy().chars().take(120).collect())
}

impl fmt::Display for KeyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.heading, self.label)?;
        if let Some(private) = &self.private {
            writeln!(
                f,
                "  private  {}  (keep it, with its passphrase, where only you reach it)",
                private.display()
            )?;
        }
        if let Some(public) = &self.public {
            writeln!(f, "  public   {}  (hand it around)", public.display())?;
        }
        writeln!(f, "  key id   {}", self.keyid)?;
        writeln!(f, "  ed25519  {}", self.public_key)
    }
}
